"""A scheme's own moments without sampling: the noise of a step replaced by the nodes of a quadrature.

Two- and three-point numbers and signs are enumerated; Gaussian ones get Gauss-Hermite nodes, exact for polynomials.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_state
from sgdlimits.exact.errors import InvalidInput, finite_array, positive, whole_number

from .coefficients import Coefficients, check_diffusion
from .registry import find_scheme
from .scheme import Scheme, StepNoise

MOST_NODES = 200_000
LONGEST_INCREMENT = 1e50  # powers of it up to the third are still numbers


def step_noise_nodes(
    chosen: Scheme, noise_dimension: int, dt: float, nodes: int = 8
) -> tuple[np.ndarray, StepNoise]:
    """Weights (Q,), adding up to 1, and noises (Q, m) whose weighted mean is the expectation over one step's noise.

    Parameters
    ----------
    chosen : Scheme
    noise_dimension : int
        m.
    dt : float
    nodes : int
        Gauss-Hermite nodes a Gaussian number: exact for polynomials of degree 2 nodes - 1.

    Raises
    ------
    InvalidInput
        If more than 200 000 combinations would be needed.
    """
    m = whole_number("noise_dimension", noise_dimension, 1)
    points, weights = np.polynomial.hermite_e.hermegauss(whole_number("nodes", nodes, 1))
    gaussian = points, weights / math.sqrt(2 * math.pi)
    fair = np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    three = np.array([-math.sqrt(3.0), 0.0, math.sqrt(3.0)]), np.array([1.0, 4.0, 1.0]) / 6
    first = {"gaussian": gaussian, "two_point": fair, "three_point": three}[chosen.increments]
    axes = [first] * m + [gaussian] * (m if chosen.areas else 0) + [fair] * (m if chosen.signs else 0)
    count = math.prod(len(values) for values, _ in axes)
    if count > MOST_NODES:
        raise InvalidInput(
            f"{count} combinations of noise are too many to enumerate: lower noise_dimension or nodes"
        )
    grid = np.array(list(itertools.product(*(values for values, _ in axes))))
    weight = np.array([math.prod(row) for row in itertools.product(*(values for _, values in axes))])
    areas = grid[:, m : 2 * m] * math.sqrt(dt / 12) if chosen.areas else None
    signs = grid[:, -m:] if chosen.signs else None
    return weight, StepNoise(grid[:, :m] * math.sqrt(dt), areas, signs)


def linear_moments(
    diffusion: Any, x0: np.ndarray, dt: float, steps: int, solver: str | Scheme = "euler", degree: int = 2
) -> np.ndarray:
    """Exact moments of a scheme on a linear diffusion, up to `degree`, after a number of steps.

    The coefficients must be affine in x and free of t; then so is a step of every scheme but tamed Euler.

    Parameters
    ----------
    x0 : (d,) array
    degree : int
        Highest order of moments, 1 to 3.

    Returns
    -------
    array (d + 1,) * degree
        E y (x) ... (x) y for y = (1, x): entry [0, i + 1] is E x_i, entry [i + 1, j + 1] is E x_i x_j.
    """
    check_diffusion(diffusion)
    degree, d = whole_number("degree", degree, 1, 3), int(diffusion.dimension)
    dt, steps = positive("dt", dt), whole_number("steps", steps, 0)
    x0 = finite_array("x0", initial_state(x0, d), shape=(d,))
    chosen, coefficients = find_scheme(solver), Coefficients(diffusion, 0.0, x0)
    chosen.check(coefficients)
    if dt > LONGEST_INCREMENT:
        raise InvalidInput(f"dt must be at most {LONGEST_INCREMENT:g}, got {dt:g}: change the unit of time")
    weights, noise = step_noise_nodes(chosen, coefficients.noise_dimension, dt)
    starts = np.concatenate([np.zeros((1, d)), np.eye(d)])
    ends = np.empty((d + 1, len(weights), d))
    for row, start in enumerate(starts):
        ends[row] = chosen.step(coefficients, 0.0, np.tile(start, (len(weights), 1)), dt, noise)
    maps = np.zeros((len(weights), d + 1, d + 1))
    maps[:, 0, 0] = 1.0
    maps[:, 1:, 0] = ends[0]
    maps[:, 1:, 1:] = (ends[1:] - ends[0]).transpose(1, 2, 0)
    _check_affine(chosen, coefficients, x0, dt, noise, maps)
    size = (d + 1) ** degree
    powers = {1: "q,qab->ab", 2: "q,qab,qcd->acbd", 3: "q,qab,qcd,qef->acebdf"}
    operands = (weights,) + (maps,) * degree
    step = np.einsum(powers[degree], *operands, optimize=True).reshape(size, size)
    y = np.concatenate([[1.0], x0])
    start = y
    for _ in range(degree - 1):
        start = np.multiply.outer(start, y)
    with np.errstate(over="ignore", invalid="ignore"):
        moments = (np.linalg.matrix_power(step, steps) @ start.ravel()).reshape((d + 1,) * degree)
    return np.where(np.isnan(moments), np.inf, moments)


def _check_affine(
    chosen: Scheme, coefficients: Coefficients, x0: np.ndarray, dt: float, noise: StepNoise, maps: np.ndarray
) -> None:
    x = x0 + np.linspace(0.5, 1.5, x0.size)
    got = chosen.step(coefficients, 0.0, np.tile(x, (len(maps), 1)), dt, noise)
    expected = maps[:, 1:, 0] + maps[:, 1:, 1:] @ x
    if np.abs(got - expected).max() > 1e-6 * (1 + np.abs(got).max()):
        raise InvalidInput(
            f"a step of {chosen.name!r} is not affine in x here, so its moments do not close: the coefficients must be "
            "affine in x (and tamed Euler's step never is)"
        )

"""What a diffusion says of its noise within one increment: the variance that it gives a function, |sigma^T gradient|^2.

Structure is used: O(d) for homogenized SGD, O(d n) for one column a sample, one matrix for all paths where noise is
additive. Matrices of many paths are made a few at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.packs import PACK
from sgdlimits.ensembles.passages import Gradient, LocalNoise
from sgdlimits.ensembles.simulators import ArraySimulator, rotated
from sgdlimits.exact.numerical_derivatives import jacobian
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.quadratic import QuadraticProblem

from .array_form import ArrayForm
from .linear_forms import level, sampled_gradients, samples, stream
from .solvers import Coefficients, Scheme
from .solvers.adapters import LibraryScheme

BLOCK = 2**18  # numbers of the matrices that are made at once
MOST_SIZES = 4096  # of a schedule that are kept ready

Variance = Callable[[Any, np.ndarray, np.ndarray], np.ndarray]


def unseen(scheme: Scheme, tolerance: float | None = None) -> str:
    """Why nothing can be said of the path inside this scheme's increments; empty where something can."""
    if isinstance(scheme, LibraryScheme):
        return f"solver {scheme.name!r} is another library's, and the noise inside its steps is not known"
    if scheme.increments != "gaussian":
        kind = scheme.increments.replace("_", "-")
        return f"solver {scheme.name!r} draws {kind} increments, between which there is no Brownian path"
    return "" if tolerance is None else "the steps adapt to a tolerance, and their ends are not seen"


def process_noise(process: Any, simulator: Simulator, length: float | None = None) -> LocalNoise | str:
    """Local noise of one of SGD's diffusions; `length` of an own step in its time, where that is no part of a step."""
    each, sizes, problem = simulator.substeps, process.step_size, process.problem
    scale = getattr(simulator, "scale", None)
    if isinstance(sizes, StepSizes) and each > 1 and scale is not None and (scale != 1).any():
        return "on a schedule the substeps of this solver are taken together: take 'euler', or substeps=1"

    @lru_cache(MOST_SIZES)
    def variance_at(size: Any) -> tuple[Variance, float]:
        here = process.at(size) if isinstance(sizes, StepSizes) else process
        return variance_of(here.array_form()), 1 / (float(here.clock) * each) if length is None else length

    def variance(own: int, z: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        rate, span = variance_at(sizes(own // each) if isinstance(sizes, StepSizes) else None)
        return span * rate(own * span, z, gradient)

    if isinstance(problem, QuadraticProblem):
        basis, centre = problem.eigenvectors, problem.minimiser_modes
        slope: Gradient = lambda z: problem.eigenvalues * (z + problem.offset_modes)  # noqa: E731
    else:
        basis, centre = None, np.zeros(process.dimension)
        slope = lambda x: problem.gradient(x) - getattr(problem, "ridge", 0.0) * x  # noqa: E731
    return local_noise(simulator, variance, basis, centre, slope)


def diffusion_noise(diffusion: Any, simulator: Simulator, t0: float, dt: float, start: np.ndarray) -> LocalNoise:
    """Local noise of any diffusion whose positions are advanced by dt a step; it is tried out at `start`."""
    coefficients = Coefficients(diffusion, t0, start)
    d, m = coefficients.dimension, coefficients.noise_dimension
    rate = _of_matrices(coefficients.layout, d, m, coefficients.diffusion)

    def variance(own: int, x: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        return dt * rate(t0 + own * dt, x, gradient)

    risk = getattr(diffusion, "risk", None)
    slope = None if risk is None else lambda x: jacobian(risk, x)
    return local_noise(simulator, variance, None, np.zeros(d), slope)


def local_noise(
    simulator: Simulator, variance: Callable[[int, np.ndarray, np.ndarray], np.ndarray], basis: np.ndarray | None,
    centre: np.ndarray, slope: Gradient | None,
) -> LocalNoise:  # fmt: skip
    """In coordinates z = basis^T x - centre, or in positions; `slope` is the risk's gradient there."""

    def direction(z: np.ndarray) -> np.ndarray:
        x = z + centre
        size = np.sqrt(np.square(x).sum(axis=1, keepdims=True))
        return x / np.where(size > 0, size, np.inf)  # at 0 the norm has no gradient

    def padded(own: int, z: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        return variance(own, whole_packs(z), whole_packs(gradient))[: len(z)]

    def turn(gradient: np.ndarray) -> np.ndarray:
        return gradient if basis is None else rotated(whole_packs(gradient), basis.T)[: len(gradient)]

    gradients = {"norm": direction} | ({} if slope is None else {"risk": slope})
    coordinates = simulator.coordinates if isinstance(simulator, ArraySimulator) else simulator.positions
    return LocalNoise(padded, coordinates, turn, gradients)


def whole_packs(rows: np.ndarray) -> np.ndarray:
    """Rows with the last one repeated until they fill packs: products of matrices may round by their number."""
    return np.pad(rows, ((0, -len(rows) % PACK), (0, 0)), mode="edge")


def variance_of(form: ArrayForm) -> Variance:
    """|sigma(z)^T v|^2 (P,), per unit of the clock, as a function of t, z (P, d) and v (P, d)."""
    c = SimpleNamespace(**form.constants)
    if form.diffusion is samples:
        return _in_blocks(c.rows.shape[0], lambda t, z, v: _of_samples(c, z, v))
    if isinstance(form.diffusion, partial) and form.diffusion.func is sampled_gradients:
        (process,) = form.diffusion.args
        return lambda t, z, v: process.step_size * process.gradient.variance_along(z, v)
    if form.diffusion is stream:
        return lambda t, z, v: _of_stream(c, z, v)
    _, diffusion = form.bound(np, np.asarray)
    return _of_matrices(form.layout, form.dimension, form.noise_dimension, diffusion)


def _of_samples(c: Any, z: np.ndarray, v: np.ndarray) -> np.ndarray:
    along = (rotated(z, c.rows) + c.offsets) * rotated(v, c.rows)
    along -= along.mean(axis=1, keepdims=True)
    own = rotated(v, c.own.T) if c.own.shape[1] else np.zeros((len(v), 0))
    return c.scale**2 * np.square(along).sum(axis=1) + np.square(own).sum(axis=1)


def _of_stream(c: Any, z: np.ndarray, v: np.ndarray) -> np.ndarray:
    pull, spread = (c.pull * (z + c.offsets) * v).sum(axis=1), np.diagonal(c.spread)
    return np.square(pull) + level(np, c, z) * np.square(spread * v).sum(axis=1)


def _of_matrices(layout: str, d: int, m: int, diffusion: Callable[[Any, np.ndarray], np.ndarray]) -> Variance:
    def rate(t: Any, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        g = diffusion(t, z)  # (..., d) or (..., d, m), the same for all paths or not
        if layout == "matrix":
            along = rotated(v, g.T) if g.ndim == 2 else (g * v[:, :, None]).sum(axis=1)
        else:
            along = g * v
        return np.square(along.sum(axis=1)) if layout == "column" else np.square(along).sum(axis=1)

    return _in_blocks(d * m if layout == "matrix" else d, rate)


def _in_blocks(width: int, rate: Variance) -> Variance:
    """The same, of as many paths at once as make BLOCK numbers, `width` a path."""
    count = PACK * max(1, BLOCK // (PACK * width))

    def blocks(t: Any, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.concatenate([rate(t, z[i : i + count], v[i : i + count]) for i in range(0, len(z), count)])

    return blocks

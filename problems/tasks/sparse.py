"""The diagonal linear network w = u^2 - v^2 on a sparse teacher: where noise offline helps, and online does not."""

from __future__ import annotations

import numba
import numpy as np

from sgdlimits.exact.errors import InvalidInput, non_negative, whole_number

from ..diagonal_network import DiagonalNetwork
from ..sources import Stream
from .drawing import TEST_ROWS, samples_of, supervised
from .population import diagonal
from .task import Starts, Task


@numba.njit(nogil=True, error_model="numpy")
def _draw(normals, uniforms, out, coefficients, noise):
    label = noise[0] * normals[out.size]
    for j in range(out.size):
        out[j] = normals[j]
        label += normals[j] * coefficients[j]
    return label


def diagonal_network(
    inputs: int = 100, ones: int = 5, noise: float = 0.0, scale: float = 0.1, rows: int | None = None,
    spread: float = 0.0, seed: int = 0, test_rows: int = TEST_ROWS,
) -> Task:  # fmt: skip
    """Inputs N(0, I), labels the sum of the first `ones` inputs; squares of the predictor a . (u^2 - v^2).

    Parameters
    ----------
    inputs : int
        p; d = 2 p.
    ones : int
        Coefficients of the teacher that are 1; the others are 0.
    noise : float
        Standard deviation of the labels about the teacher.
    scale : float
        u and v start here.
    rows, seed, test_rows
        As in `linear_regression`.
    spread : float
        Standard deviation of the start, relative to the scale.
    """
    p, count = whole_number("inputs", inputs, 1), whole_number("ones", ones, 0)
    if count > p:
        raise InvalidInput(f"ones is {count}, more than the {p} inputs; it can be at most that")
    coefficients, noise = np.where(np.arange(p) < count, 1.0, 0.0), non_negative("noise", noise)
    source, test = samples_of(Stream(_draw, p, p + 1, arrays=(coefficients, [noise])), seed, rows, test_rows)
    problem = supervised(DiagonalNetwork(p), "squares", source, test, "diagonal network")
    centre = np.full(2 * p, non_negative("scale", scale))
    about = f"inputs N(0, I) in dimension {p}, labels the sum of the first {count} and noise {noise:g}"
    start = Starts(centre, centre * non_negative("spread", spread))
    return Task("diagonal network", problem, test, start, diagonal(coefficients, noise), about)

"""Linear regression with a power-law spectrum: least squares, whose moments are exact."""

from __future__ import annotations

import numba
import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import non_negative, whole_number

from ..sources import Rows, Stream, stored
from ..streaming import StreamingLeastSquares
from .drawing import TEST_ROWS, least_squares, teacher_uniforms
from .population import quadratic
from .task import Starts, Task


@numba.njit(nogil=True, error_model="numpy")
def _draw(normals, uniforms, out, scales, truth, noise):
    label = noise[0] * normals[out.size]
    for j in range(out.size):
        out[j] = scales[j] * normals[j]
        label += out[j] * truth[j]
    return label


def linear_regression(
    dimension: int = 100, decay: float = 1.5, noise: float = 0.5, rows: int | None = None, spread: float = 0.0,
    seed: int = 0, test_rows: int = TEST_ROWS,
) -> Task:  # fmt: skip
    """Inputs N(0, diag(i^-decay)), labels <a, truth> + noise N(0, 1) with truth_i = +-1 / sqrt(i).

    Online it is `StreamingLeastSquares`, offline `LeastSquares`: both have `SGD.moments`, against which simulations of
    this task can be checked.

    Parameters
    ----------
    dimension : int
        d.
    decay : float
        Exponent of the spectrum.
    noise : float
        Standard deviation of the labels about <a, truth>.
    rows : int, optional
        Offline: so many samples, drawn once. None: online.
    spread : float
        Standard deviation of the start about 0.
    seed : int
        Of signs, rows and test rows; not of any run.
    test_rows : int
    """
    d, noise = whole_number("dimension", dimension, 1), non_negative("noise", noise)
    place = np.arange(1, d + 1)
    variances = place ** -non_negative("decay", decay)
    truth = np.where(teacher_uniforms(seed, d) < 0.5, -1.0, 1.0) / np.sqrt(place)

    def drawn(count: int, part: str) -> Rows:
        law = Stream(_draw, d, d + 1, seed=child_seed(seed, part), arrays=(np.sqrt(variances), truth, [noise]))
        return stored(law, count, part)

    test = drawn(test_rows, "test rows")
    problem = StreamingLeastSquares(variances, noise, truth) if rows is None else least_squares(
        drawn(rows, "rows"), test
    )  # fmt: skip
    about = f"inputs N(0, diag(i^-{decay:g})), labels of a linear teacher with noise of standard deviation {noise:g}"
    start = Starts(np.zeros(d), np.full(d, non_negative("spread", spread)))
    return Task("linear regression", problem, test, start, quadratic("linear regression", np.diag(variances), truth,
                0.5 * noise**2), about)  # fmt: skip

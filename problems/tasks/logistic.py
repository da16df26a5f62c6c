"""Logistic regression on labels that follow the model: convex, not quadratic, with a population risk by formula."""

from __future__ import annotations

import math

import numba
import numpy as np

from sgdlimits.exact.errors import non_negative, whole_number

from ..logistic import Logistic
from ..predictors import Linear
from ..sources import Stream
from .drawing import TEST_ROWS, samples_of, supervised, teacher_normals
from .population import logistic
from .task import Starts, Task


@numba.njit(nogil=True, error_model="numpy")
def _draw(normals, uniforms, out, scales, truth):
    margin = 0.0
    for j in range(out.size):
        out[j] = scales[j] * normals[j]
        margin += out[j] * truth[j]
    return 1.0 if uniforms[0] < 1.0 / (1.0 + math.exp(-margin)) else -1.0


def logistic_regression(
    dimension: int = 20, decay: float = 1.0, signal: float = 2.0, rows: int | None = None, spread: float = 0.0,
    seed: int = 0, test_rows: int = TEST_ROWS,
) -> Task:  # fmt: skip
    """Inputs N(0, diag(i^-decay)), labels +1 with probability 1 / (1 + exp(-<a, truth>)), else -1; without intercept.

    Parameters
    ----------
    dimension : int
        d.
    decay : float
        Exponent of the spectrum.
    signal : float
        Standard deviation of <a, truth>, whose direction the seed draws.
    rows, spread, seed, test_rows
        As in `linear_regression`; offline it is `Logistic`.
    """
    d = whole_number("dimension", dimension, 1)
    variances = np.arange(1, d + 1) ** -non_negative("decay", decay)
    truth = teacher_normals(seed, d)
    truth *= non_negative("signal", signal) / np.sqrt(variances @ truth**2)
    law = Stream(_draw, d, d, 1, arrays=(np.sqrt(variances), truth))
    source, test = samples_of(law, seed, rows, test_rows)
    problem = Logistic(source.inputs, source.labels) if rows is not None else supervised(
        Linear(d, bias=False), "logistic", source, test, "logistic regression"
    )  # fmt: skip
    start = Starts(np.zeros(d), np.full(d, non_negative("spread", spread)))
    about = f"inputs N(0, diag(i^-{decay:g})), labels of the logistic model, margins of standard deviation {signal:g}"
    return Task("logistic regression", problem, test, start, logistic(variances, truth), about)

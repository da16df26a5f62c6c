"""A two-layer ReLU student of a narrower ReLU teacher, squares; the population risk by the arc-cosine kernel."""

from __future__ import annotations

import numba
import numpy as np

from sgdlimits.exact.errors import non_negative, positive, whole_number

from ..predictors import TwoLayer
from ..sources import Stream
from .drawing import TEST_ROWS, samples_of, supervised, teacher_normals
from .population import relu
from .task import Starts, Task


@numba.njit(nogil=True, error_model="numpy")
def _draw(normals, uniforms, out, teacher, noise):
    p = out.size
    label = noise[0] * normals[p]
    for j in range(p):
        out[j] = normals[j]
    for i in range(teacher.shape[0]):
        value = 0.0
        for j in range(p):
            value += teacher[i, j] * normals[j]
        label += teacher[i, p] * max(value, 0.0)
    return label


def relu_regression(
    inputs: int = 10, width: int = 40, teacher: int = 3, noise: float = 0.0, scale: float = 0.9,
    rows: int | None = None, seed: int = 0, test_rows: int = TEST_ROWS,
) -> Task:  # fmt: skip
    """Inputs N(0, I), labels sum_k c_k relu(w_k.a) + noise N(0, 1) with unit w_k and c_k = +-1; student without biases.

    It starts from weights N(0, scale^2 / p) in the first layer and N(0, scale^2 / width) in the second.

    Parameters
    ----------
    inputs, width : int
        p, and hidden units of the student.
    teacher : int
        Hidden units of the teacher; its signs alternate.
    noise : float
        Standard deviation of the labels about the teacher.
    scale : float
        From 1 on some runs of batch size 1 overflow at a step size of 0.05.
    rows, seed, test_rows
        As in `linear_regression`.
    """
    p, h = whole_number("inputs", inputs, 1), whole_number("width", width, 1)
    k, noise, scale = whole_number("teacher", teacher, 1), non_negative("noise", noise), positive("scale", scale)
    weights = teacher_normals(seed, k * p).reshape(k, p)
    weights /= np.linalg.norm(weights, axis=1, keepdims=True)
    units = np.column_stack([weights, np.where(np.arange(k) % 2, -1.0, 1.0)])
    source, test = samples_of(Stream(_draw, p, p + 1, arrays=(units, [noise])), seed, rows, test_rows)
    student = TwoLayer(p, h, activation="relu", bias=False)
    start = Starts.of_layers((h * p, scale * p**-0.5), (h, scale * h**-0.5))
    about = f"inputs N(0, I) in dimension {p}, labels of a ReLU teacher of width {k} and noise {noise:g}"
    problem = supervised(student, "squares", source, test, "ReLU regression")
    return Task("ReLU regression", problem, test, start, relu(units, h, noise), about)

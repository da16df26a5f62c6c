"""A two-layer ReLU student of a ReLU teacher of classes, whose labels are drawn from its softmax or are its argmax."""

from __future__ import annotations

import math

import numba
import numpy as np

from sgdlimits.exact.errors import one_of, positive, whole_number

from ..predictors import TwoLayer
from ..sources import Stream
from .drawing import TEST_ROWS, samples_of, supervised, teacher_normals
from .task import Starts, Task

LABELS = ("softmax", "argmax")


@numba.njit(nogil=True, error_model="numpy")
def _draw(normals, uniforms, out, inner, outer, drawn):
    outputs = np.zeros(outer.shape[0])
    for j in range(out.size):
        out[j] = normals[j]
    for i in range(inner.shape[0]):
        value = 0.0
        for j in range(out.size):
            value += inner[i, j] * normals[j]
        if value > 0.0:
            for k in range(outputs.size):
                outputs[k] += outer[k, i] * value
    best = outputs.argmax()
    if drawn[0] == 0.0:
        return float(best)
    top, total = outputs[best], 0.0
    for k in range(outputs.size):
        outputs[k] = math.exp(outputs[k] - top)
        total += outputs[k]
    left = uniforms[0] * total
    for k in range(outputs.size - 1):
        left -= outputs[k]
        if left < 0.0:
            return float(k)
    return float(outputs.size - 1)


def relu_classification(
    inputs: int = 10, width: int = 32, classes: int = 4, teacher: int = 4, sharpness: float = 4.0,
    labels: str = "softmax", rows: int | None = None, seed: int = 0, test_rows: int = TEST_ROWS,
) -> Task:  # fmt: skip
    """Inputs N(0, I); the teacher's outputs have standard deviation `sharpness`; cross-entropy of the student.

    It starts from weights N(0, 2 / p) in the first layer and N(0, 1 / width) in the second, biases 0.

    Parameters
    ----------
    inputs, width, classes : int
        p, hidden units of the student, and K.
    teacher : int
        Hidden units of the teacher.
    sharpness : float
        The larger, the surer are the labels.
    labels : {"softmax", "argmax"}
        Drawn from the teacher's probabilities, or its likeliest class.
    rows, seed, test_rows
        As in `linear_regression`.
    """
    p, h, K = whole_number("inputs", inputs, 1), whole_number("width", width, 1), whole_number("classes", classes, 2)
    t, drawn = whole_number("teacher", teacher, 1), [float(one_of("labels", labels, LABELS) == "softmax")]
    normals = teacher_normals(seed, t * (p + K))
    inner = normals[: t * p].reshape(t, p) / np.sqrt(p)
    outer = normals[t * p :].reshape(K, t) * positive("sharpness", sharpness) * np.sqrt(2 / t)
    source, test = samples_of(Stream(_draw, p, p, 1, arrays=(inner, outer, drawn)), seed, rows, test_rows)
    student = TwoLayer(p, h, K, "relu")
    start = Starts.of_layers((h * p, (2 / p) ** 0.5), (h, 0.0), (K * h, h**-0.5), (K, 0.0))
    about = f"inputs N(0, I) in dimension {p}, {K} classes by the {labels} of a ReLU teacher of width {t}"
    problem = supervised(student, "cross_entropy", source, test, "ReLU classification")
    return Task("ReLU classification", problem, test, start, None, about)

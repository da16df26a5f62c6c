"""The embedded digits under an endless stream of changes: shifts, contrast, noise on pixels, noise on labels."""

from __future__ import annotations

import numba

from sgdlimits.exact.errors import whole_number

from ..datasets import embedded
from ..predictors import TwoLayer
from ..sources import Augmented, Rows
from .drawing import TEST_ROWS, samples_of, supervised
from .task import Starts, Task

SIDE, CLASSES = 8, 10
PIXEL_NOISE, LABEL_NOISE = 0.35, 0.1
CONTRAST = 0.5, 1.5


@numba.njit(nogil=True, error_model="numpy")
def _change(point, normals, uniforms):
    """Shift by -1, 0 or 1 both ways, blank from beyond the edge; contrast; noise on the pixels."""
    down, right = int(3 * uniforms[0]) - 1, int(3 * uniforms[1]) - 1
    contrast = CONTRAST[0] + (CONTRAST[1] - CONTRAST[0]) * uniforms[2]
    before = point.copy()
    for i in range(SIDE):
        for j in range(SIDE):
            row, column = i - down, j - right
            inside = 0 <= row and row < SIDE and 0 <= column and column < SIDE
            value = before[row * SIDE + column] if inside else 0.0
            point[i * SIDE + j] = contrast * value + PIXEL_NOISE * normals[i * SIDE + j]


@numba.njit(nogil=True, error_model="numpy")
def _relabel(label, normals, uniforms):
    """One of the other digits, with probability LABEL_NOISE."""
    if uniforms[3] >= LABEL_NOISE:
        return label
    return float((int(label) + 1 + int((CLASSES - 1) * uniforms[4])) % CLASSES)


def digits(width: int = 32, rows: int | None = None, seed: int = 0, test_rows: int = TEST_ROWS) -> Task:
    """A two-layer ReLU classifier of 8 x 8 digits: 9 shifts x contrast 0.5 to 1.5 x N(0, 0.35^2) x 10 % wrong labels.

    The law is that of a digit of the 1797, each equally likely, changed at random; test rows are fresh draws of it.
    Pixels run from 0 to 1 before they are changed. Starts as in `relu_classification`.

    Parameters
    ----------
    width : int
        Hidden units.
    rows, seed, test_rows
        As in `linear_regression`.
    """
    h, p = whole_number("width", width, 1), SIDE * SIDE
    table = embedded("digits")
    law = Augmented(Rows(table.features / 16, table.targets), _change, p, 5, relabel=_relabel)
    source, test = samples_of(law, seed, rows, test_rows)
    start = Starts.of_layers((h * p, (2 / p) ** 0.5), (h, 0.0), (CLASSES * h, h**-0.5), (CLASSES, 0.0))
    problem = supervised(TwoLayer(p, h, CLASSES, "relu"), "cross_entropy", source, test, "digits")
    about = "1797 digits of 8 x 8 pixels, shifted, with another contrast, noise on pixels and a tenth of labels wrong"
    return Task("digits", problem, test, start, None, about)

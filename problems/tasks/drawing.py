"""What the tasks share: seeds of their parts, teachers, and the same law as a stream, stored rows and test rows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose, child_seed

from ..least_squares import LeastSquares
from ..prediction import Supervised
from ..predictor import Predictor
from ..sources import Rows, stored

TEST_ROWS = 2000


def teacher_normals(seed: int, size: int) -> np.ndarray:
    """Standard normals (size,) that a task's teacher is made of."""
    noise = Noise(child_seed(seed, "teacher"), np.zeros(1, np.int64), "float64")
    return noise.normals(Purpose.FEATURES, 0, size)[0]


def teacher_uniforms(seed: int, size: int) -> np.ndarray:
    """Uniforms (size,) on (0, 1) of the teacher, independent of its normals."""
    noise = Noise(child_seed(seed, "teacher, uniforms"), np.zeros(1, np.int64))
    return noise.uniforms(Purpose.FEATURES, 0, size)[0]


def samples_of(law: Any, seed: int, rows: int | None, test_rows: int) -> tuple[Any, Rows]:
    """The source to learn from and the test rows: three streams of one law under seeds of their own.

    Parameters
    ----------
    law : Stream or Augmented
        Whatever its seed.
    seed : int
        Of the task.
    rows : int or None
        Rows that are drawn once and stored; None: every sample is fresh.
    test_rows : int
    """
    test = stored(replace(law, seed=child_seed(seed, "test rows")), test_rows, "test rows")
    if rows is None:
        return replace(law, seed=child_seed(seed, "stream")), test
    return stored(replace(law, seed=child_seed(seed, "rows")), rows, "rows drawn once"), test


def supervised(predictor: Predictor, loss: Any, source: Any, test: Rows, name: str) -> Supervised:
    """Predictor x loss x source with test rows and without a ridge."""
    return Supervised(predictor, loss, source, test=test, name=name)


def least_squares(source: Rows, test: Rows) -> LeastSquares:
    """Stored rows as least squares, with exact moments."""
    return LeastSquares(source.inputs, source.labels, 0.0, test_features=test.inputs, test_targets=test.labels)

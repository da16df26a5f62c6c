"""Verdicts: whether a difference, known by an interval, lies within a margin."""

from __future__ import annotations

import numpy as np


def verdicts_of(lower: np.ndarray, upper: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """agrees: the whole interval lies within the margin; differs: outside; undecided: it straddles, or says nothing.

    An infinite difference (one side is infinite) differs from every margin.
    """
    margin = np.where(np.isfinite(margin), margin, 0.0)
    apart = np.isinf(lower) & (lower == upper)
    with np.errstate(invalid="ignore"):
        inside = (lower >= -margin) & (upper <= margin) & ~apart
        outside = (lower > margin) | (upper < -margin) | apart
    return np.where(inside, "agrees", np.where(outside, "differs", "undecided")).astype(object)


def judged(value: float, error: float, predicted: float, tolerance: float, z: float) -> str:
    """The verdict on one value beside its prediction, by the interval of z standard errors."""
    gap, half = float(value) - float(predicted), z * float(error)
    return str(verdicts_of(np.array(gap - half), np.array(gap + half), np.array(tolerance)))

"""When recorded values pass a level."""

from __future__ import annotations

import numpy as np


def crossing(steps: np.ndarray, values: np.ndarray, errors: np.ndarray, level: float) -> tuple[float, float]:
    """Where values (T,) first pass `level`, and its standard error: (inf, nan) if they do not.

    Linear between two steps on a logarithmic scale; the error is that of the value over the slope nearby.
    """
    beyond = (values - level) * np.sign(level - values[0]) >= 0
    if not beyond.any():
        return np.inf, np.nan
    after = int(np.argmax(beyond))
    if after == 0:
        return float(steps[0]), 0.0
    before = after - 1
    share = (level - values[before]) / (values[after] - values[before])
    if steps[before] > 0:
        found = float(np.exp(np.log(steps[before]) * (1 - share) + np.log(steps[after]) * share))
    else:
        found = float(steps[before] * (1 - share) + steps[after] * share)
    low, high = max(0, before - 4), min(len(steps) - 1, after + 4)
    slope = (values[high] - values[low]) / (steps[high] - steps[low])
    error = (1 - share) * errors[before] + share * errors[after]
    return found, float(error / abs(slope)) if slope else np.nan


def geometric_crossing(steps: np.ndarray, distance: np.ndarray, level: float) -> tuple[float, float]:
    """Step, not whole, at which a decaying distance (T,) passes `level`: exact for a geometric decay."""
    below = distance <= level
    if not below.any():
        return np.inf, np.nan
    after = int(np.argmax(below))
    share = np.log(distance[after - 1] / level) / np.log(distance[after - 1] / distance[after])
    return float(steps[after - 1] + float(share) * (steps[after] - steps[after - 1])), 0.0

"""The root of a smooth function that is dear, or known up to an error: few values, none nearer than it can tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

Known = Callable[[float], tuple[float, float]]  # of a place: value and error
MOST = 14  # values
LONGEST = 3.0  # times the step before, that a step is at most
APART = 0.01  # relative distance of two places from which a slope is taken where values have errors
NOISE = 0.3  # of an error, below which a step towards the root tells nothing


class SecantRoot(NamedTuple):
    """A root with its error, and the slope there."""

    value: float
    error: float
    slope: float


def secant_root(function: Known, first: float, second: float, close: float) -> SecantRoot | None:
    """From two places above zero; None where steps do not settle to `close`, relative, or to the function's errors."""
    (f, _), x = function(first), first
    (g, error), y = function(second), second
    slope = (g - f) / (y - x)
    for _ in range(MOST):
        if not (math.isfinite(slope) and slope):
            return None
        step, most = -g / slope, LONGEST * abs(y - x)
        step = max(-most, min(most, step))
        if abs(step) <= max(close * y, NOISE * abs(error / slope)):
            return SecantRoot(y + step, abs(error / slope) + min(abs(step), close * y), slope)
        if y + step <= 0:
            return None
        x, f = y, g
        y += step
        g, error = function(y)
        if abs(y - x) > (APART * y if error else 0.0):
            slope = (g - f) / (y - x)
    return None

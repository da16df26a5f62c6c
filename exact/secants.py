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
    """From two places above zero; None where steps do not settle to `close`, relative, or to the function's errors.

    Between two places with values of both signs it stays, by halving where a secant leads out.
    """
    (f, _), x = function(first), first
    (g, error), y = function(second), second
    slope = (g - f) / (y - x)
    ends: dict[bool, float] = {f > 0: x, g > 0: y}
    for _ in range(MOST):
        if not (math.isfinite(slope) and slope):
            return None
        step, most = -g / slope, LONGEST * abs(y - x)
        enclosed = len(ends) == 2
        if not enclosed:
            step = max(-most, min(most, step))
        noise = NOISE * abs(error / slope)
        settled = abs(step) <= max(close * y, noise)
        if enclosed and not settled and not min(ends.values()) < y + step < max(ends.values()):
            step = math.sqrt(ends[True] * ends[False]) - y
            settled = abs(step) <= close * y
        if settled:
            return SecantRoot(y + step, abs(error / slope) + min(abs(step), close * y), slope)
        if y + step <= 0:
            return None
        x, f = y, g
        y += step
        g, error = function(y)
        ends[g > 0] = y
        if abs(y - x) > (APART * y if error else 0.0):
            slope = (g - f) / (y - x)
    return None

"""The root of a smooth function that is dear, or known up to an error: few values, none nearer than it can tell."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

Known = Callable[[float], tuple[float, float]]  # of a place: value and error
MOST = 18  # values
LONGEST = 3.0  # times the step before, that a step is at most
APART = 0.01  # relative distance of two places from which a slope is taken where values have errors
SLOW = 0.7  # of a value, above which the next one on the same side is no progress
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
    stuck = False
    for _ in range(MOST):
        enclosed, level = len(ends) == 2, not (math.isfinite(slope) and slope)
        if level and not enclosed:
            return None
        step, most = 0.0 if level else -g / slope, LONGEST * abs(y - x)
        if not enclosed:
            step = max(-most, min(most, step))
        settled = not level and abs(step) <= max(close * y, NOISE * abs(error / slope))
        if enclosed and not settled and (level or stuck or not min(ends.values()) < y + step < max(ends.values())):
            step = math.sqrt(ends[True] * ends[False]) - y
            settled = not level and abs(step) <= close * y
        if settled:
            return SecantRoot(y + step, abs(error / slope) + min(abs(step), close * y), slope)
        if y + step <= 0:
            return None
        x, f = y, g
        y += step
        g, error = function(y)
        ends[g > 0] = y
        stuck = (f > 0) == (g > 0) and abs(g) > SLOW * abs(f)
        if abs(y - x) > (APART * y if error else 0.0):
            slope = (g - f) / (y - x)
    return None

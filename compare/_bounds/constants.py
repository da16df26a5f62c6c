"""The constant C of |error| <= C step_size^p over a range of step sizes, to three digits. Derived.

C(s) = error(s) / s^p is looked at by interval halving with its slopes: between two step sizes it is taken to lie below
both tangents, so that only intervals whose tangents meet above the largest value found are halved. That is no proof: a
peak narrower than the last intervals, whose tangents do not show it, would be missed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

FINE = 1e-3  # gain, relative, that is not looked for any more
NARROWEST = 2.0**-12  # of the range
MOST = 80  # step sizes that are looked at
SMALL = (2e-4, 1e-4)  # of the range's upper end: step sizes from which power and constant at zero are read off
WHOLE = 0.05  # distance from a whole power beyond which there is none

Scaled = Callable[[float], tuple[float, float]]  # of a step size: error / step_size^p and its slope


@dataclass(frozen=True)
class Constant:
    """What was found.

    Attributes
    ----------
    value : float
    step_size : float
        At which it is reached; 0 where it is the limit.
    leading : float
        The limit as the step size goes to zero; nan where the range does not reach it.
    looked_at : int
        Step sizes.
    settled : bool
        Whether no interval is left that could hold more than `FINE` beyond it.
    """

    value: float
    step_size: float
    leading: float
    looked_at: int
    settled: bool


def power_of(error: Callable[[float], float], high: float) -> tuple[int, float]:
    """The whole power of the step size with which an error falls, at most what is seen; and what is seen.

    0 where it does not fall: beside an excess that noise makes, which falls with the step size itself.
    """
    far, near = (error(share * high) for share in SMALL)
    if not near > 0 < far:
        return 0, 0.0
    seen = math.log(far / near) / math.log(SMALL[0] / SMALL[1])
    whole = round(seen)
    return (whole if abs(seen - whole) <= WHOLE else math.floor(seen)), seen


def largest_constant(scaled: Scaled, low: float, high: float) -> Constant:
    """Largest C over [low, high], or (0, high] with its limit at zero."""
    leading = float("nan")
    points = {high: scaled(high)}
    if low > 0:
        points[low] = scaled(low)
    else:
        (far, _), (near, _) = (scaled(share * high) for share in SMALL)
        slope = (far - near) / ((SMALL[0] - SMALL[1]) * high)
        leading = near - slope * SMALL[1] * high
        points[0.0] = leading, slope
    width = high - low
    while True:
        best = max(value for value, _ in points.values())
        ordered = sorted(points)
        open_ones = [
            (_meeting(a, points[a], b, points[b]), a, b)
            for a, b in zip(ordered, ordered[1:])
            if b - a > NARROWEST * width
        ]
        above, a, b = max(open_ones, default=(0.0, 0.0, 0.0))
        settled = above <= best * (1 + FINE)
        if settled or len(points) >= MOST:
            where = max(points, key=lambda size: points[size][0])
            return Constant(best, where, leading, len(points) + (low <= 0), settled)
        middle = (a + b) / 2
        points[middle] = scaled(middle)


def _meeting(a: float, at_a: tuple[float, float], b: float, at_b: tuple[float, float]) -> float:
    """Largest value between a and b below both tangents."""
    (value_a, slope_a), (value_b, slope_b) = at_a, at_b
    ends = max(value_a, value_b)
    if slope_a <= 0 and slope_b >= 0 or slope_a == slope_b:
        return ends
    place = (value_b - value_a + slope_a * a - slope_b * b) / (slope_a - slope_b)
    if not a < place < b:
        # The tangents do not meet inside: the curve bends there, and only halving can tell.
        return max(ends, value_a + slope_a * (b - a) / 2, value_b - slope_b * (b - a) / 2)
    return max(ends, value_a + slope_a * (place - a))

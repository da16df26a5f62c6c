"""When a gap has fallen to a fraction of what it was at the drop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.moment_states import Curve

from .curves import GapCurve

EVERY, AT_ONCE = 4096, 64  # steps after the drop that are looked at one by one, without a proof and with one
PER_DECADE, BETWEEN = 40, 30  # steps of a grid, and between two of them
LONGEST, FARTHEST = 10**15, 10**5  # steps that are leaped to, and that are walked
ROUNDING = 1e-13  # of what a gap is the difference of
NEVER = -1
PROVED = "exact: proved to fall from there on"
LOOKED = "exact: every step looked at"
GRID = "first seen on a grid of 40 steps a decade"


@dataclass(frozen=True)
class Arrival:
    """When a gap is at most a fraction of what it was.

    Attributes
    ----------
    step : int
        After the drop; -1 where it is not reached.
    gap : float
        There; nan where it is not reached.
    how : str
        How it is known, or why it is not.
    """

    step: int
    gap: float
    how: str


def arrivals(gap: GapCurve, fractions: Sequence[float] | np.ndarray, scale: float) -> list[Arrival]:
    """First steps at which the gap's size is at most each fraction of its size at the drop.

    Parameters
    ----------
    scale : float
        What gaps are differences of: below rounding of it nothing is seen, unless the gap is a recurrence of its own.
    """
    curve, limit, proved = gap.values, gap.limit, gap.falls_from >= 0
    every = max(AT_ONCE, gap.falls_from) if proved else EVERY
    every = every if limit is None else limit
    steps = np.arange(every + 1)
    values = np.abs(curve(steps))
    found: dict[float, Arrival] = {}
    for fraction in fractions:
        level = fraction * values[0]
        below = np.flatnonzero(values <= level)
        if not gap.own and level <= ROUNDING * scale:
            found[fraction] = Arrival(NEVER, float("nan"), "not told: the gap there is rounding")
        elif below.size:
            step = int(below[0])
            found[fraction] = Arrival(step, float(curve(np.array([step]))[0]), LOOKED)
        elif limit is not None:
            found[fraction] = Arrival(NEVER, float("nan"), f"not within the {limit} steps after the drop")
        else:
            found[fraction] = (_far if gap.leaps else _walk_on)(curve, level, every, proved)
    return [found[fraction] for fraction in fractions]


def _walk_on(curve: Curve, level: float, first: int, proved: bool) -> Arrival:
    """Every step from `first` on, where far ones cost more than near ones."""
    while first < FARTHEST:
        last = 8 * first
        below = np.flatnonzero(np.abs(values := curve(np.arange(last + 1))) <= level)
        if below.size:
            return Arrival(int(below[0]), float(values[below[0]]), LOOKED)
        first = last
    return Arrival(NEVER, float("nan"), f"not within {first} steps, and more are not walked")


def _far(curve: Curve, level: float, first: int, proved: bool) -> Arrival:
    """By a grid from `first` on, made finer between the last step above the level and the first below it."""
    low, high = first, first
    try:
        while high < LONGEST:
            grid = np.unique(np.rint(np.geomspace(high, 100 * high, 2 * PER_DECADE + 1)).astype(np.int64))
            below = np.flatnonzero(np.abs(curve(grid)) <= level)
            if below.size:
                low, high = (int(grid[place]) for place in (below[0] - 1, below[0]))
                break
            high = int(grid[-1])
        else:
            return Arrival(NEVER, float("nan"), f"not within {LONGEST:.0e} steps")
        while high - low > 1:
            grid = np.unique(np.rint(np.linspace(low, high, BETWEEN + 2)).astype(np.int64))
            place = int(np.argmax(np.abs(curve(grid)) <= level))
            low, high = int(grid[place - 1]), int(grid[place])
    except OutOfReach as error:
        return Arrival(NEVER, float("nan"), f"not looked for beyond step {high}: {error}")
    return Arrival(high, float(curve(np.array([high]))[0]), PROVED if proved else GRID)

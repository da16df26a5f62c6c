"""When a curve over whole steps first comes down to a level: of a function that reaches any step, and of records.

Between two steps the curve is interpolated linearly in its logarithm, so that a passage is a real number of steps and
moves continuously with whatever the curve depends on.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

FIRST_STEPS = 32  # of which each is looked at
PER_DECADE = 24  # steps of the grid after these
BETWEEN = 14  # steps put between two of the grid at once
LONGEST = 10**15  # steps
SETTLED = 1e-9  # distance from its end, over the largest value, at which a curve has arrived
NEARLY = 1.05  # a minimum of the grid within this factor of the level is looked into

Curve = Callable[[np.ndarray], np.ndarray]  # of whole steps (k,): values (k,), above zero


def first_passage(curve: Curve, level: float, end: Callable[[], float], swings: int = 0) -> float:
    """The real step at which the curve first comes down to the level; inf if it never does.

    Every step up to 32, or to `swings`, is looked at, then 24 a decade, and all between where the curve passes or
    nearly does: what is made of few exponentials changes little in between, but a dip narrower than that would be
    missed.

    Parameters
    ----------
    curve : callable
    level : float
    end : callable
        What the curve tends to, asked for when it is needed; inf if it grows for ever.
    swings : int
        Steps within which the curve may rise and fall from step to step.
    """
    steps = np.arange(FIRST_STEPS)
    values = curve(steps)
    limit = math.nan
    while True:
        hit = np.flatnonzero(values <= level)
        found = _in_dips(curve, level, steps[: hit[0]] if hit.size else steps, values)
        if found < math.inf:
            return found
        if hit.size:
            place = int(hit[0])
            return 0.0 if not place else _inside(curve, level, int(steps[place - 1]), int(steps[place]))
        if math.isnan(limit):
            limit = end()
        gone = not (math.isfinite(limit) and np.isfinite(values[-1]))
        if steps[-1] >= LONGEST or gone:
            return math.inf
        arrived = abs(values[-1] - limit) <= SETTLED * max(values.max(), limit)
        if limit > level and arrived and steps[-1] >= swings:
            return math.inf
        if steps[-1] < swings:
            further = np.arange(steps[-1] + 1, min(2 * steps[-1], swings) + 1)
        else:
            further = np.rint(np.geomspace(steps[-1], 10.0 * steps[-1], PER_DECADE + 1)[1:]).astype(np.int64)
        keep = len(steps) - min(2, len(steps))  # the last two may stand beside a dip
        steps, values = np.append(steps[keep:], further), np.append(values[keep:], curve(further))


def _in_dips(curve: Curve, level: float, steps: np.ndarray, values: np.ndarray) -> float:
    """The passage in a dip between neighbours that do not pass; inf if there is none."""
    for place in range(1, len(steps) - 1):
        low = values[place]
        if low > NEARLY * level or low > min(values[place - 1], values[place + 1]):
            continue
        left, right = int(steps[place - 1]), int(steps[place + 1])
        while right - left > 2:
            inner = np.unique(np.rint(np.linspace(left, right, BETWEEN + 2)).astype(np.int64))
            found = curve(inner)
            hit = np.flatnonzero(found <= level)
            if hit.size:
                return _inside(curve, level, int(inner[hit[0] - 1]), int(inner[hit[0]]))
            lowest = int(found.argmin())
            left, right = int(inner[max(lowest - 1, 0)]), int(inner[min(lowest + 1, len(inner) - 1)])
    return math.inf


def _inside(curve: Curve, level: float, above: int, below: int) -> float:
    """The passage between a step above the level and one that is not, by sections of many."""
    while below - above > 1:
        inner = np.unique(np.rint(np.linspace(above, below, BETWEEN + 2)).astype(np.int64))
        place = int(np.flatnonzero(curve(inner[1:]) <= level)[0]) + 1
        above, below = int(inner[place - 1]), int(inner[place])
    high, low = curve(np.array([above, below])).tolist()
    return between(above, below, high, low, level)


def between(above: float, below: float, high: float, low: float, level: float) -> float:
    """Where the line through the logarithms of `high` at `above` and `low` at `below` is at the level."""
    if not low > 0:
        return below - (below - above) * (level - low) / (high - low)
    return above + (below - above) * math.log(high / level) / math.log(high / low)


def first_of_records(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """The first passage of values (k,) at recorded steps (k,); inf if they end above the level."""
    hit = np.flatnonzero(values <= level)
    if not hit.size:
        return math.inf
    place = int(hit[0])
    if not place:
        return float(steps[0])
    return _between_records(steps, values, place - 1, level)


def last_of_records(steps: np.ndarray, values: np.ndarray, level: float) -> float:
    """The step from which on all recorded values are at most the level; inf if the last one is not."""
    above = np.flatnonzero(values > level)
    if not above.size:
        return float(steps[0])
    place = int(above[-1])
    if place == len(steps) - 1:
        return math.inf
    return _between_records(steps, values, place, level)


def _between_records(steps: np.ndarray, values: np.ndarray, place: int, level: float) -> float:
    ends, sizes = steps[place : place + 2].tolist(), values[place : place + 2].tolist()
    return between(ends[0], ends[1], sizes[0], sizes[1], level)


def at_real_steps(curve: Curve, steps: np.ndarray) -> np.ndarray:
    """Values (k,) at real steps (k,), between whole ones linear in the logarithm."""
    low = np.floor(steps).astype(np.int64)
    share = steps - low
    every, places = np.unique(np.concatenate([low, low + 1]), return_inverse=True)
    values = curve(every)[places]
    first, second = values[: len(low)], values[len(low) :]
    with np.errstate(divide="ignore", invalid="ignore"):
        mixed = np.exp((1 - share) * np.log(first) + share * np.log(second))
    return np.where(share == 0, first, mixed)

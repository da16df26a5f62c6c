"""The least value of a function of one positive number: a ladder finds where, sections of it find the place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CLOSE = 1.1  # every local minimum of the ladder within this factor of the least is looked into
DEEPEST = 1e-18  # of the highest rung
PATIENCE = 3  # rungs in a row that do not fall before a ladder ends


@dataclass(frozen=True)
class Least:
    """What was found.

    Attributes
    ----------
    place, value : float
    edge : str
        "lowest" or "highest" where the least value lies at that end of what was allowed; else empty.
    """

    place: float
    value: float
    edge: str


def ladder_down(
    function: Callable[[float], float], high: float, low: float = 0.0, ratio: float = 2.0,
    patience: int = PATIENCE,
) -> dict[float, float]:  # fmt: skip
    """Values at high, high / ratio, ...: down to `low`, or until they have risen so many times from a finite one."""
    found, place, rises = {}, high, 0
    before, least = math.inf, math.inf
    while True:
        value = function(place)
        found[place] = value
        rises = rises + 1 if value >= before and math.isfinite(least) else 0
        before, least = value, min(least, value)
        if place <= low or rises >= patience or place <= DEEPEST * high:
            return found
        place = max(place / ratio, low)


def least_between(
    function: Callable[[float], float], known: dict[float, float], tolerance: float = 1e-3
) -> Least:
    """The least value within the range of a ladder of known values, by sections of the logarithm.

    About each local minimum of the ladder that comes near the least; more than one valley between two rungs is not
    seen. inf where no rung is finite.

    Parameters
    ----------
    tolerance : float
        Of the place, relative; at a smooth minimum the value is then known to about its square.
    """
    places = sorted(known)
    best = min(known.values())
    if not math.isfinite(best):
        return Least(places[-1], math.inf, "")
    values = dict(known)
    for index, place in enumerate(places):
        sides = [known[other] for other in places[max(index - 1, 0) : index + 2]]
        if known[place] > min(sides) or known[place] > best + (CLOSE - 1) * abs(best):
            continue
        low, high = places[max(index - 1, 0)], places[min(index + 1, len(places) - 1)]
        values |= _sections(function, low, high, tolerance)
    where = min(values, key=lambda place: (values[place], place))
    edge = "lowest" if where == places[0] else "highest" if where == places[-1] else ""
    return Least(where, values[where], edge)


def _sections(function: Callable[[float], float], low: float, high: float, tolerance: float) -> dict[float, float]:
    """Values by Brent's method, which falls back on golden sections where values are inf."""
    from scipy.optimize import minimize_scalar

    found = {}

    def of_logarithm(logarithm: float) -> float:
        place = math.exp(float(logarithm))
        found[place] = float(function(place))
        return found[place]

    with np.errstate(invalid="ignore"):
        minimize_scalar(
            of_logarithm, bounds=(math.log(low), math.log(high)), method="bounded", options={"xatol": tolerance}
        )
    return found

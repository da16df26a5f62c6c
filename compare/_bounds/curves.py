"""The largest difference of two processes over all steps, from exact moments: a grid, refined where it is largest."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from sgdlimits.exact.errors import OutOfReach, StabilityWarning
from sgdlimits.exact.stationary_law import StationaryLaw
from sgdlimits.problems.quadratic import QuadraticProblem

FIRST_STEPS = 32  # of which each is looked at
PER_DECADE = 40  # steps of the grid after these
FADED = 45.0  # relaxation times after which a start is below rounding
LONGEST = 10**15  # steps
SETTLED = 1e-9  # distance from the stationary risk, over the largest risk, at which a curve has arrived
CANDIDATES, BETWEEN = 4, 14  # maxima of a grid that are refined, steps put between their neighbours
ROUNDS = 24
RESOLVED = 1e-10  # gain of a round, relative, at which a maximum is found

Values = Callable[[np.ndarray], np.ndarray]  # of steps (k,): signed (k,)


@dataclass(frozen=True)
class Worst:
    """A supremum over all steps.

    Attributes
    ----------
    size : float
        Of the difference in absolute value.
    signed : float
        With its sign.
    step : int or None
        Where it is reached; None where only the stationary end comes up to it.
    """

    size: float
    signed: float
    step: int | None


def largest(values: Values, horizon: int, end: float) -> Worst:
    """Supremum of |values| over the steps 0..horizon and the value at the end, to which they tend."""
    steps = grid(horizon)
    found = values(steps)
    for _ in range(ROUNDS):
        sizes = np.abs(found)
        before = sizes.max()
        inner = _between(steps, sizes)
        if not inner.size:
            break
        steps = np.concatenate([steps, inner])
        order = np.argsort(steps)
        steps, found = steps[order], np.concatenate([found, values(inner)])[order]
        if np.abs(found).max() <= before * (1 + RESOLVED) and _close(steps, np.abs(found)):
            break
    place = int(np.abs(found).argmax())
    # What a curve only tends to is no maximum: at the horizon it differs from it by rounding.
    if abs(end) >= abs(found[place]) * (1 - SETTLED) and abs(end) > 0:
        return Worst(abs(end), end, None)
    return Worst(float(abs(found[place])), float(found[place]), int(steps[place]))


@lru_cache(maxsize=256)
def grid(horizon: int) -> np.ndarray:
    """Steps from 0 to the horizon, read-only: the first ones each, then evenly in their logarithm."""
    steps = np.arange(min(horizon, FIRST_STEPS - 1) + 1)
    if horizon >= FIRST_STEPS:
        count = int(PER_DECADE * math.log10(horizon / FIRST_STEPS)) + 2
        far = np.rint(np.geomspace(FIRST_STEPS, horizon, count)).astype(np.int64)
        steps = np.union1d(steps, far)
    steps.setflags(write=False)
    return steps


def _between(steps: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Steps between the neighbours of the largest local maxima."""
    padded = np.concatenate([[-1.0], sizes, [-1.0]])
    tops = np.flatnonzero((padded[1:-1] >= padded[:-2]) & (padded[1:-1] >= padded[2:]))
    tops = np.asarray(tops[np.argsort(-sizes[tops])][:CANDIDATES])
    found = []
    for place in map(int, tops):
        left, right = steps[max(place - 1, 0)], steps[min(place + 1, len(steps) - 1)]
        found.append(np.rint(np.linspace(left, right, BETWEEN + 2)).astype(np.int64))
    return np.setdiff1d(np.concatenate(found), steps)


def _close(steps: np.ndarray, sizes: np.ndarray) -> bool:
    """Whether the neighbours of the maximum are as large as it to rounding."""
    place = int(sizes.argmax())
    near = sizes[max(place - 1, 0) : place + 2]
    return bool(near.min() >= sizes[place] * (1 - 100 * RESOLVED))


@dataclass(frozen=True, eq=False)
class Side:
    """A process at one step size whose stationary law exists."""

    process: Any
    stationary: StationaryLaw
    _curves: list[tuple[int, Values]] = field(default_factory=list)

    def moments(self, x0: Any, steps: np.ndarray, quantities: Sequence[str]) -> Any:
        """Exact moments at these steps (increasing)."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StabilityWarning)
            found = self.process.moments(x0, int(steps[-1]), record=steps, quantities=quantities)
        return found if steps[0] == 0 else found.isel(step=slice(1, None))

    def risk(self, x0: Any, steps: np.ndarray) -> np.ndarray:
        """Expected risk (k,) at steps of which the last one is the largest."""
        last = int(steps[-1])
        if self._curves and self._curves[-1][0] >= last:
            return self._curves[-1][1](steps)
        curve = self.process.second_moments.risk_curve(x0, grid(last))
        self._curves.append((last, curve))
        return np.asarray(curve(steps))


def relaxation_horizon(sides: Sequence[Side], x0: Any) -> int:
    """Steps after which all have arrived at their stationary risk, to rounding of the largest risk.

    Raises
    ------
    OutOfReach
        If that takes more steps than can be counted.
    """
    problem: QuadraticProblem = sides[0].process.problem
    moving = problem.curvatures[problem.curvatures > 0]
    step_size = float(sides[0].process.step_size)
    horizon = math.ceil(FADED / max(step_size * float(moving.min(initial=math.inf)), FADED / LONGEST))
    if not moving.size:
        return 1
    while horizon <= LONGEST:
        arrived = True
        for side in sides:
            first, last = side.risk(x0, np.array([0, horizon]))
            arrived &= bool(abs(last - side.stationary.risk) <= SETTLED * max(first, last))
        if arrived:
            return horizon
        horizon *= 4
    raise OutOfReach(
        f"at step size {step_size:g} the slowest mode needs more than {LONGEST:.0e} steps to come to rest, so nothing "
        "can be said of all steps: raise the ridge, or leave that mode out of the data"
    )

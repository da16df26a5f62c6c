"""The errors of a limit at one step size: their suprema over all steps, and how these change with the step size."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.errors import OutOfReach, StabilityWarning

from .curves import Side, Worst, grid, largest, relaxation_horizon
from .quadratic import quadratic_gap

GONE = 1e-12  # excess at rest, over the largest, below which it counts as nothing
LATE = 1e-8  # excess, over that at the start, down to which decay rates are read off
DIFFERENCE = 1e-4  # relative change of a step size whose effect stands for a derivative

Pair = tuple[Any, Any]


@dataclass(frozen=True, eq=False)
class Errors:
    """A limit against SGD at a step size that is stable for both.

    Attributes
    ----------
    pair : (reference, limit)
    x0 : start
    step_size : float
    """

    pair: Pair
    x0: Any
    step_size: float

    @cached_property
    def sides(self) -> tuple[Side, Side]:
        first, second = (replace(process, step_size=self.step_size) for process in self.pair)
        return Side(first, first.stationary()), Side(second, second.stationary())

    @cached_property
    def horizon(self) -> int:
        """Steps after which both are at rest."""
        return relaxation_horizon(self.sides, self.x0)

    @property
    def floor(self) -> float:
        """Least risk, without the ridge."""
        return float(self.pair[0].problem.least_risk)

    @property
    def void(self) -> bool:
        """Whether SGD's excess tends to nothing, so that no error stays small beside it."""
        start = self.sides[0].risk(self.x0, np.array([0]))[0]
        return bool(self.sides[0].stationary.risk - self.floor <= GONE * max(start, self.floor))

    @cached_property
    def risk(self) -> Worst:
        """Of the difference of expected risks."""
        own, other = self.sides

        def values(steps: np.ndarray) -> np.ndarray:
            return other.risk(self.x0, steps) - own.risk(self.x0, steps)

        return largest(values, self.horizon, other.stationary.risk - own.stationary.risk)

    @cached_property
    def relative(self) -> Worst | None:
        """The same over SGD's excess at the same step; None where that tends to nothing."""
        if self.void:
            return None
        own, other = self.sides

        def values(steps: np.ndarray) -> np.ndarray:
            mine = own.risk(self.x0, steps)
            return (other.risk(self.x0, steps) - mine) / (mine - self.floor)

        end = (other.stationary.risk - own.stationary.risk) / (own.stationary.risk - self.floor)
        return largest(values, self.horizon, end)

    def quadratic(self, origin: np.ndarray, metric: str) -> Worst:
        """Of all quadratic observables of unit size."""
        problem = self.pair[0].problem

        def values(steps: np.ndarray) -> np.ndarray:
            found = [side.moments(self.x0, steps, ("mean", "covariance")) for side in self.sides]
            first, second = ((each["mean"].values, each["covariance"].values) for each in found)
            return quadratic_gap(problem, origin, metric, first, second)

        ends = [(side.stationary.mean[None], side.stationary.covariance[None]) for side in self.sides]
        frozen = self.sides[0].stationary.frozen_directions
        if frozen.size:  # there both stay where they started
            stay = (np.asarray(self._start_mean()) @ frozen) @ frozen.T
            ends = [(mean + stay, covariance) for mean, covariance in ends]
        return largest(values, self.horizon, float(quadratic_gap(problem, origin, metric, *ends)[0]))

    def _start_mean(self) -> np.ndarray:
        return self.sides[0].moments(self.x0, np.array([0]), ("mean",))["mean"].values[0]

    @cached_property
    def decay_rates(self) -> tuple[float, float]:
        """Decay of the excess a step, of SGD and of the limit, from where it is small but no rounding; nan if none."""
        steps = grid(self.horizon)
        excesses = [side.risk(self.x0, steps) - self.floor for side in self.sides]
        start = max(float(excess[0]) for excess in excesses)
        seen = np.flatnonzero((excesses[0] > LATE * start) & (excesses[1] > LATE * start))
        if not len(seen) or steps[seen[-1]] == 0:
            return math.nan, math.nan
        last = int(seen[-1])
        first = int(np.searchsorted(steps, steps[last] * 0.8))
        first = min(first, last - 1)
        span = steps[last] - steps[first]
        own, other = (float(np.log(excess[first] / excess[last]) / span) for excess in excesses)
        return own, other

    def slope(self, worst: Worst, relative: bool) -> float:
        """Derivative of the supremum in the step size, at the step where it is reached."""
        values = [self._risk_and_slope(place, worst.step) for place in (0, 1)]
        (mine, own), (theirs, other) = values
        change = other - own
        if relative:
            excess = mine - self.floor
            change = change / excess - (theirs - mine) * own / excess**2
        return math.copysign(1.0, worst.signed) * change

    def _risk_and_slope(self, place: int, step: int | None) -> tuple[float, float]:
        """Expected risk of a side at a step, or at rest, and its derivative in the step size."""
        side = self.sides[place]
        if step is not None:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", StabilityWarning)
                    found = side.process.sensitivities(self.x0, step, record=[step], parameters="step_size")
                return float(found.risk[-1]), float(found.sensitivity[0, -1])
            except OutOfReach:
                pass  # dearer than two more runs of moments
        h = DIFFERENCE * self.step_size
        near = [replace(side.process, step_size=self.step_size + sign * h) for sign in (-1, 1)]
        if step is None:
            below, above = (each.stationary().risk for each in near)
            return side.stationary.risk, (above - below) / (2 * h)
        below, above = (Side(each, side.stationary).risk(self.x0, np.array([step]))[0] for each in near)
        return float(side.risk(self.x0, np.array([step]))[0]), (above - below) / (2 * h)

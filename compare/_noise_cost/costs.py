"""Exact excess risk at any real batch size and step size, and the steps that bring it down to a level."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.discrete.moment_equations import second_moments
from sgdlimits.discrete.sgd import SGD
from sgdlimits.ensembles.initial import initial_moments
from sgdlimits.exact.bounded_search import Least, ladder_down, least_between
from sgdlimits.exact.level_passages import LONGEST, Curve, first_passage
from sgdlimits.exact.moment_spectra import Functional
from sgdlimits.exact.noiseless_risk import noiseless_risk
from sgdlimits.problems.quadratic import QuadraticProblem

BELOW = 1 - 1e-9  # of the mean-square threshold: the largest step size that is tried
TOLERANCE = 1e-3  # of the best step size, relative
WALKED = 2**13  # steps of momentum of which each is kept
STILL = 1e-12  # of the start, to which the swings of momentum fall before steps are left out


class Costs:
    """SGD from one start, at every batch size and step size; what was found once is remembered.

    Parameters
    ----------
    sgd : SGD
        Its batch size and step size are not used.
    x0 : start
    level : float
        Excess risk that is to be reached.
    """

    def __init__(self, sgd: SGD, x0: Any, level: float = math.nan) -> None:
        self.sgd, self.x0, self.level = sgd, x0, level
        self.problem: QuadraticProblem = sgd.problem
        self._equations = functools.cache(lambda batch_size: second_moments(sgd, batch_size))
        self.threshold = functools.cache(self._threshold)
        self.steps = functools.cache(self._steps)
        self.tuned = functools.cache(self._tuned)
        self.tuned_excess = functools.cache(self._tuned_excess)
        self.tuned_nearby = functools.cache(self._tuned_nearby)
        self._tuned_at: dict[float, float] = {}

    @functools.cached_property
    def initial(self) -> float:
        """Excess risk at the start."""
        return float(self.curve(math.inf, 1.0)(np.zeros(1, dtype=np.int64))[0])

    @functools.cached_property
    def _start(self) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances (d,) of the modes."""
        mean, covariance = initial_moments(self.x0, self.problem.dimension)
        vectors = self.problem.eigenvectors
        variances = (vectors * (covariance @ vectors)).sum(axis=0) if covariance.any() else np.zeros(mean.size)
        return self.problem.to_modes(mean), variances

    @functools.cached_property
    def _swings(self) -> int:
        """Steps in which momentum may overshoot: squares of modes that swing shrink by itself at every step."""
        return math.ceil(math.log(STILL) / math.log(self.sgd.momentum)) if self.sgd.momentum else 0

    def _threshold(self, batch_size: float) -> float:
        """Step size below which second moments settle; of descent without noise, the mean."""
        second = self._equations(batch_size)
        return second.mean_threshold if math.isinf(batch_size) else second.mean_square_threshold()

    def curve(self, batch_size: float, step_size: float) -> Curve:
        """Excess risk as a function of whole steps."""
        problem = self.problem
        if math.isinf(batch_size) and not self.sgd.momentum:
            functional = Functional(
                problem.risk_at_minimiser - problem.least_risk, problem.risk_slope, problem.eigenvalues
            )
            return noiseless_risk(step_size * problem.curvatures, *self._start, functional)
        second = replace(self._equations(batch_size), step_size=step_size)
        found = second.risk_curve(self.x0, np.array([0, LONGEST]), problem.least_risk)
        return kept_at_first(found) if self.sgd.momentum else found

    def floor(self, batch_size: float, step_size: float) -> float:
        """Excess risk that is left for ever; inf past the threshold."""
        if step_size >= self.threshold(batch_size):
            return math.inf
        problem, variances = self.problem, np.zeros(1)
        if not math.isinf(batch_size):
            variances = self._equations(batch_size).equations_at(step_size).feedback.stationary_variances()
        return float(0.5 * (problem.offset_modes**2 + variances) @ problem.eigenvalues)

    def _steps(self, batch_size: float, step_size: float) -> float:
        """Real steps to the level; inf where it is never reached, or past the threshold."""
        if step_size >= self.threshold(batch_size):
            return math.inf
        curve = self.curve(batch_size, step_size)
        return first_passage(curve, self.level, lambda: self.floor(batch_size, step_size), self._swings)

    def _tuned(self, batch_size: float) -> Least:
        """The step size of the least steps to the level, with them."""
        found = self._best(lambda step_size: self.steps(batch_size, step_size), batch_size, None)
        if math.isfinite(found.value) and math.isfinite(batch_size):
            self._tuned_at[batch_size] = found.place
        return found

    def _tuned_excess(self, batch_size: float, steps: int, near: float | None = None) -> Least:
        """The step size of the least excess risk after so many steps, with it."""

        def excess(step_size: float) -> float:
            return float(self.curve(batch_size, step_size)(np.array([steps]))[0])

        return self._best(excess, batch_size, near)

    def _best(self, function: Callable[[float], float], batch_size: float, near: float | None) -> Least:
        highest = self.threshold(batch_size) * BELOW
        if near is not None:
            known = {size: function(size) for size in {near / 2, near, min(2 * near, highest)}}
            found = least_between(function, known, TOLERANCE)
            if math.isfinite(found.value) and (not found.edge or found.place == highest):
                return replace(found, edge="highest" if found.place == highest else "")
        return least_between(function, ladder_down(function, highest), TOLERANCE)

    def _tuned_nearby(self, batch_size: float) -> Least:
        """As `tuned`, searched about the step size of the batch size beside it among those that were."""
        if batch_size in self._tuned_at:
            return self.tuned(batch_size)
        beside = min(self._tuned_at, key=lambda size: abs(math.log(size / batch_size)), default=None)
        if beside is None:
            return self.tuned(batch_size)
        near = min(self._tuned_at[beside], self.threshold(batch_size) * BELOW)
        return self._best(lambda step_size: self.steps(batch_size, step_size), batch_size, near)


def kept_at_first(curve: Curve) -> Curve:
    """The same curve, whose first values are found once: a walk to a step passes all before it."""
    table = np.empty(0)

    def values(steps: np.ndarray) -> np.ndarray:
        nonlocal table
        last = int(np.max(steps))
        if last >= WALKED:
            return curve(steps)
        if last >= table.size:
            table = curve(np.arange(min(WALKED, max(2 * table.size, last + 1))))
        return table[steps]

    return values

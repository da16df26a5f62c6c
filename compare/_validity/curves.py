"""The error of a limit at one step size: the largest over all steps up to the horizon, on a named scale."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from sgdlimits.diffusions import ModifiedEquation
from sgdlimits.ensembles.initial import initial_moments
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.moment_spectra import Functional
from sgdlimits.exact.noiseless_risk import noiseless_risk
from sgdlimits.exact.reduced_risk import ReducedCurve
from sgdlimits.problems.quadratic import QuadraticProblem

from .._bounds.curves import LONGEST, Values, grid, largest
from .._laws.budget import PARTS, obstacle
from ..capabilities import risk_floor
from .reduced import Reduction

SCALES = ("excess", "noise", "risk")
UNITS = ("relaxation times", "gradient-flow time")
ROUNDED = 1e-12  # curvature, over the largest, below which a mode is rounding
TERMS = PARTS[:3]
CLOSE = 0.25  # of the allowance: from how near it a maximum over steps is refined
GONE = 1e-13  # of the start's excess: what is left below that is rounding
TOLD = 1e-9  # of the start's excess: a part that noise makes, below which errors over it are rounding
ENOUGH, ROUGH = 1e-3, 0.01  # of the allowance, or of the error itself: how far off an error may be
BEARABLE = 5e-3  # of the allowance, where a bound does not come down any more
PATIENCE = 6  # rounds in which a bound must halve
LOST = 1e-15  # of the least risk, from which an excess is told
SHIFTED = 1e-26  # of the excess at the origin: what rounding of a minimiser leaves of it


@dataclass(frozen=True)
class Horizon:
    """Up to when errors count.

    Attributes
    ----------
    length : float
        In gradient-flow time.
    """

    length: float

    @classmethod
    def of(cls, problem: Any, horizon: float, unit: str) -> Horizon:
        """From a number of relaxation times of the slowest mode that is no rounding, or a gradient-flow time."""
        if unit == UNITS[1]:
            return cls(horizon)
        if not isinstance(problem, QuadraticProblem):
            raise InvalidInput(
                f"relaxation times are known of quadratic losses alone, not of {type(problem).__name__}: give the "
                f'horizon as a gradient-flow time, unit="{UNITS[1]}"'
            )
        curvatures = problem.curvatures
        moving = curvatures[curvatures > ROUNDED * curvatures.max(initial=0.0)]
        if not moving.size:
            raise InvalidInput("no mode of the problem has a curvature, so nothing moves: check the data")
        return cls(horizon / float(moving.min()))

    def steps(self, step_size: float) -> int:
        """Steps of that size, the last one at the horizon or past it."""
        count = math.ceil(self.length / step_size - 1e-9)
        if count > LONGEST:
            raise OutOfReach(
                f"at step size {step_size:g} the horizon is {count:.1e} steps, and {LONGEST:.0e} can be counted: take "
                "a shorter horizon, or a larger ridge"
            )
        return max(1, count)

    def reached(self, step_size: float, values: Values) -> Values:
        """Values at steps, the last one's where the horizon falls between it and the one before: linear there.

        A horizon of whole steps would jump with the step size, and errors with it.
        """
        last = self.steps(step_size)
        part = min(self.length / step_size - (last - 1), 1.0)

        def found(at: np.ndarray) -> np.ndarray:
            given = values(at)
            if part == 1 or at[-1] != last:
                return given
            before = given[-2] if at.size > 1 and at[-2] == last - 1 else values(at[-1:] - 1)[0]
            return np.append(given[:-1], part * given[-1] + (1 - part) * before)

        return found


@dataclass(frozen=True)
class Error:
    """The largest error up to the horizon, the step at which it is reached, and by how much it may be off.

    `least` is what it is proved to be at least, at whatever step.
    """

    size: float
    signed: float
    step: int
    uncertain: float = 0.0
    least: float = 0.0


@dataclass(frozen=True, eq=False)
class Side:
    """The excess of a process, as a function of steps and on the grid; `bound` (grid,) of its errors, 0 where exact."""

    values: Values
    found: np.ndarray
    bound: np.ndarray | float = 0.0
    reduced: ReducedCurve | None = None


@dataclass
class Cell:
    """SGD and its limits along the step size, all else fixed; exact curves, each made once.

    Attributes
    ----------
    make : function of the step size, to (SGD, mapping from labels to limits)
    horizon : Horizon
    x0 : start
    scale : one of SCALES
    """

    make: Callable[[float], tuple[Any, dict[str, Any]]]
    horizon: Horizon
    x0: Any
    scale: str
    _made: dict[float, tuple[Any, dict[str, Any]]] = field(default_factory=dict)
    _own: dict[float, tuple[Side, float]] = field(default_factory=dict)
    _reductions: list[Reduction | None] = field(default_factory=list)
    _stuck: float = math.inf  # step size from which on the space does not grow: what blows up would fill it

    def processes(self, step_size: float) -> tuple[Any, dict[str, Any]]:
        """SGD and its limits there."""
        if step_size not in self._made:
            self._made[step_size] = self.make(step_size)
        return self._made[step_size]

    def error(self, label: str, step_size: float, near: float = math.inf, exact: bool = False) -> Error:
        """Of one limit; infinite where a side has overflowed.

        Over a grid of steps; where that is within a factor 1 + CLOSE of `near`, the maximum is refined to rounding.
        Curves of many modes are known up to a bound. It is brought down to ENOUGH of `near`, or far from that to ROUGH
        of the error, unless the error is proved to be far above. Where it stays larger, and it is open on which side of
        `near` the error lies, or with `exact`, curves are made to rounding.
        """
        steps, seen = self.horizon.steps(step_size), list[float]()
        while not exact:
            own, noise = self._reference(step_size, steps)
            other = self._side(self.processes(step_size)[1][label], steps)
            found = self._largest(label, step_size, own, other, noise, near)
            close = near / (1 + CLOSE) < found.size < near * (1 + CLOSE)
            enough = ENOUGH * min(near, 1.0) if close else max(ENOUGH * min(near, 1.0), ROUGH * found.size)
            if not found.uncertain > enough or found.least > near * (1 + CLOSE):
                return found
            reduction = self._reductions[0]
            assert reduction is not None  # else nothing is uncertain
            self._own.pop(step_size)
            if own.reduced is not None and own.reduced.outdated:
                continue
            seen.append(found.uncertain)
            if len(seen) > PATIENCE and not seen[-1] < 0.5 * seen[-1 - PATIENCE]:
                self._stuck = min(self._stuck, step_size)
            if step_size >= self._stuck or not reduction.grow([own.reduced, other.reduced], steps):
                if found.uncertain <= BEARABLE * near or abs(found.size - near) > found.uncertain:
                    return found
                break
        own, noise = self._reference(step_size, steps, exact=True)
        other = self._side(self.processes(step_size)[1][label], steps, exact=True)
        return self._largest(label, step_size, own, other, noise, near)

    def _largest(self, label: str, step_size: float, own: Side, other: Side, noise: float, near: float) -> Error:
        steps = self.horizon.steps(step_size)
        sgd, limits = self.processes(step_size)
        base = risk_floor(limits[label].problem) or 0.0 if self.scale == "risk" else 0.0
        least, known = least_excess(sgd, own), places(steps)

        def against(mine: np.ndarray) -> np.ndarray | float:
            return np.maximum(mine + base, least) if math.isnan(noise) else noise

        def at_steps(at: np.ndarray) -> np.ndarray:
            mine, theirs = (own.found, other.found) if at is known else (own.values(at), other.values(at))
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                gap = theirs - mine
                found = np.where(gap == 0, 0.0, gap / against(mine))
            return np.where(np.isnan(found), np.inf, found)

        values = self.horizon.reached(step_size, at_steps)
        first = values(known)
        place = int(np.abs(first).argmax())
        size, uncertain = float(np.abs(first[place])), 0.0
        surely = size
        if math.isfinite(size) and (own.reduced is not None or other.reduced is not None):
            with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
                off = (other.bound + own.bound * (1 + np.abs(first))) / against(own.found)
            off = np.where(np.isnan(off), np.inf, off)
            off[-1] = off[-2:].max()  # the error at the horizon lies between those of two steps
            uncertain, surely = float(np.max(np.abs(first) + off)) - size, float(np.max(np.abs(first) - off))
        if not math.isfinite(size) or not near / (1 + CLOSE) < size < near * (1 + CLOSE):
            return Error(size, float(first[place]), int(known[place]), uncertain, surely)
        worst = largest(values, steps, 0.0)
        return Error(worst.size, worst.signed, 0 if worst.step is None else worst.step, uncertain, surely)

    def _reference(self, step_size: float, steps: int, exact: bool = False) -> tuple[Side, float]:
        """Excess of SGD, and the part that noise makes where errors are divided by that, else nan."""
        if exact or step_size not in self._own:
            sgd, _ = self.processes(step_size)
            own, noise = self._side(sgd, steps, exact), math.nan
            if self.scale == "noise":
                still = without_noise(sgd, self.x0)
                made = self.horizon.reached(step_size, lambda at: own.values(at) - still(at))
                noise = max(largest(made, steps, 0.0).size, least_excess(sgd, own))
            self._own[step_size] = own, noise
        return self._own[step_size]

    def tells(self, step_size: float) -> bool:
        """Whether the part that noise makes is more than rounding; true of every other scale."""
        if self.scale != "noise":
            return True
        own, noise = self._reference(step_size, self.horizon.steps(step_size))
        return noise > TOLD * float(own.found[0])

    def _side(self, process: Any, steps: int, exact: bool = False) -> Side:
        at, reduced = places(steps), self._reduced(process, exact)
        if reduced is not None:
            return Side(reduced, reduced(at), reduced.error(at), reduced)
        made = curve(process, self.x0, steps)
        return Side(made, made(at))

    def _reduced(self, process: Any, whole: bool = False) -> ReducedCurve | None:
        """By the space of the cell, where there is one; what noise makes is too small a part for it."""
        if not self._reductions:
            other = self.scale == "noise" or not hasattr(process, "problem")
            self._reductions.append(None if other else Reduction.of(process.problem, self.x0, self.horizon.length))
        return None if self._reductions[0] is None else self._reductions[0].curve(process, whole)

    def term(self, label: str, step_size: float, step: int) -> str:
        """The term of the error budget that is the largest at a step; "" where there is no budget."""
        sgd, limits = self.processes(step_size)
        limit = limits[label]
        if obstacle(sgd, limit) or step == 0:
            return ""
        at = np.array([step])
        middle = ModifiedEquation(sgd.problem, sgd.step_size, sgd.batch_size, limit.drift_order, sgd.label_noise)
        chain = [sgd, replace(sgd, sampling="with_replacement"), middle, limit]
        reduced = [self._reduced(process) for process in chain]
        found = np.array([
            (curve(process, self.x0, step) if small is None else small)(at)[0] for process, small in zip(chain, reduced)
        ])  # fmt: skip
        parts = np.diff(found)
        return TERMS[int(np.abs(parts).argmax())] if np.isfinite(parts).all() else ""


@lru_cache(maxsize=256)
def places(last: int) -> np.ndarray:
    """Steps of a grid up to the last one, and the one before that, read-only."""
    steps = np.union1d(grid(last), [last - 1])
    steps.setflags(write=False)
    return steps


def least_excess(sgd: Any, own: Side) -> float:
    """What is left of an excess that counts as one."""
    return max(GONE * float(own.found[0]), rounding_of(sgd.problem))


def rounding_of(problem: Any) -> float:
    """An excess that is no more than rounding of the problem's numbers."""
    if not isinstance(problem, QuadraticProblem):
        return 0.0
    origin = problem.to_modes(np.zeros(problem.dimension))
    return LOST * problem.least_risk + SHIFTED * 0.5 * float(problem.eigenvalues @ np.square(origin))


def without_noise(sgd: Any, x0: Any) -> Values:
    """Excess of gradient descent of the same step size, the mean path of plain SGD."""
    problem = sgd.problem
    mean, covariance = initial_moments(x0, problem.dimension)
    vectors = problem.eigenvectors
    variances = (vectors * (covariance @ vectors)).sum(axis=0)
    above = Functional(problem.risk_at_minimiser - problem.least_risk, problem.risk_slope, problem.eigenvalues)
    return noiseless_risk(sgd.step_size * problem.curvatures, problem.to_modes(mean), variances, above)


def curve(process: Any, x0: Any, last: int) -> Values:
    """Exact excess of the expected risk over the least one, as a function of steps up to the last."""
    floor = risk_floor(process.problem) or 0.0
    made = getattr(process, "second_moments", None)
    if made is not None and hasattr(made, "risk_curve"):
        return made.risk_curve(x0, grid(last), floor)
    return lambda steps: (
        process.moments(x0, int(np.max(steps)), record=np.unique(steps), quantities=("risk",))["risk"]
        .sel(step=steps).values - floor
    )  # fmt: skip

"""Gradient flow of any loss: one adaptive solution for each distinct start, looked at wherever steps fall."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlimits.ensembles import limits
from sgdlimits.ensembles.crowd import Arrays, PathState
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.schedules import StepSizes, elapsed

MOST = 20_000  # evaluations of the gradient from one step to the next
EXPLOSIVE = 1e6  # spacings of the clock within which a path would change by its own size, at most, when it explodes


@dataclass(eq=False)
class Flow(PathState):
    """Distinct solutions, and which of them each path (P,) follows.

    A solver can be made anew where its last increment began, so that neither a saved state nor where one looks changes
    any bit.

    Attributes
    ----------
    x : (u, d) array
        Where they stand at the step that was reached.
    base, when, length : (u, d), (u,) and (u,) arrays
        Where the solver's last increment began, at what time, and the length that was tried first; `when` is nan
        before the first one.
    gone : (u,) array
        Time at which they explode, inf where they have not.
    overflow : (u,) int64 array
    """

    x: np.ndarray
    base: np.ndarray
    when: np.ndarray
    length: np.ndarray
    gone: np.ndarray
    overflow: np.ndarray
    member: np.ndarray
    solvers: dict[int, Solution] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"solvers": {}}

    @property
    def overflow_steps(self) -> np.ndarray:
        return self.overflow[self.member]

    def dump(self) -> Arrays:
        names = ("x", "base", "when", "length", "gone", "overflow")
        return {name: getattr(self, name)[self.member] for name in names}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        columns = [np.asarray(arrays[name], dtype=np.float64) for name in ("x", "base", "when", "length")]
        rows = np.concatenate([each.reshape(len(each), -1) for each in columns], axis=1)
        _, first, member = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        for name, values in arrays.items():
            setattr(self, name, np.array(values)[first])
        self.member, self.solvers = member.ravel(), {}


class Solution:
    """One path of dX = velocity(X) dt by DOP853, and its interpolation of the last increment."""

    def __init__(
        self, velocity: Callable[[np.ndarray], np.ndarray], when: float, x: np.ndarray, length: float | None,
        rtol: float, atol: float,
    ) -> None:  # fmt: skip
        from scipy.integrate import DOP853

        self.solver = DOP853(lambda t, y: velocity(y), when, x, np.inf, rtol=rtol, atol=atol, first_step=length)
        self.between: Any = None

    def step(self) -> str | None:
        """One increment; a sentence where none is short enough."""
        self.between = None
        return self.solver.step()

    @property
    def explodes(self) -> bool:
        """Whether the path changes by its own size within so little time that the clock hardly shows it."""
        solver = self.solver
        size, speed = np.linalg.norm(solver.y), np.linalg.norm(solver.f)
        return not (np.isfinite(size) and size >= EXPLOSIVE * np.spacing(solver.t) * speed)

    def at(self, time: float) -> np.ndarray:
        """Position (d,) within the last increment."""
        if time == self.solver.t:
            return self.solver.y
        if self.between is None:
            self.between = self.solver.dense_output()
        return self.between(time)


@dataclass(frozen=True, eq=False)
class FlowSimulator:
    """Gradient flow of any loss by an adaptive explicit Runge-Kutta method of order 8 with its interpolation.

    Attributes
    ----------
    problem : problem with `risk`
    velocity : function (d,) -> (d,)
    step_size : float or StepSizes
        Flow time of a step.
    rtol, atol : float
        Of one increment, coordinate by coordinate.
    """

    problem: Any
    velocity: Callable[[np.ndarray], np.ndarray]
    step_size: float | StepSizes
    rtol: float
    atol: float
    compiled: bool = True  # a path's bits do not depend on its company
    name: str = "gradient flow"
    substeps: int = 1
    whole: str = ""
    alone: bool = False  # equal starts are one solution: lanes cost nothing

    @property
    def dimension(self) -> int:
        return self.problem.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> Flow:
        starts, member = np.unique(positions, axis=0, return_inverse=True)
        u = len(starts)
        when, length, gone = (np.full(u, value) for value in (np.nan, 0.0, np.inf))
        overflow = np.full(u, -1, dtype=np.int64)
        return Flow(starts, starts.copy(), when, length, gone, overflow, member.ravel())

    def advance(self, state: Flow, first: int, last: int, noise: Noise) -> None:
        times = elapsed(self.step_size, np.arange(first, last + 1))
        for row in range(len(state.x)):
            for step, begin, end in zip(range(first, last), times[:-1], times[1:]):
                if state.overflow[row] >= 0:
                    break
                state.x[row] = self._reached(state, row, step, float(begin), float(end))
                limits.mark(state.overflow[row : row + 1], state.x[row : row + 1], step + 1)

    def _reached(self, state: Flow, row: int, step: int, begin: float, end: float) -> np.ndarray:
        """Where solution `row` stands at the time `end` of a step's end; inf where it has exploded by then."""
        with np.errstate(over="ignore", invalid="ignore"):
            fresh = np.isnan(state.when[row])
            if fresh:
                state.when[row] = begin
            if end <= state.when[row]:
                return state.x[row]
            path = state.solvers.get(row)
            if path is None:
                length = None if fresh else float(state.length[row])
                path = Solution(self.velocity, float(state.when[row]), state.base[row], length, self.rtol, self.atol)
                state.solvers[row] = path
            solver = path.solver
            spent = solver.nfev + MOST
            while solver.t < end:
                if solver.nfev > spent:
                    raise InvalidInput(
                        f"gradient flow takes more than {MOST} gradients within step {step}, at flow time "
                        f"{solver.t:.6g}: it slides along a kink of the loss, and a higher rtol and atol than "
                        f"{self.rtol:g} and {self.atol:g} help (1e-6 for a ReLU), or it is stiff, and a shorter "
                        "step_size does"
                    )
                state.base[row], state.when[row], state.length[row] = solver.y, solver.t, solver.h_abs
                why = path.step()
                if solver.status != "failed":
                    continue
                if path.explodes:
                    state.gone[row] = solver.t
                    return np.full(self.dimension, np.inf)
                raise InvalidInput(f"gradient flow cannot be solved past step {step}: {str(why).lower()}")
            return path.at(end)

    def positions(self, state: Flow) -> np.ndarray:
        return state.x[state.member]

    def measure(self, name: str, state: Flow) -> np.ndarray | None:
        if name != "risk":
            return None
        risks = [np.inf if gone >= 0 else float(self.problem.risk(x)) for x, gone in zip(state.x, state.overflow)]
        return np.array(risks)[state.member]

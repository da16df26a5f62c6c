"""The sides of a comparison: what each is about, how it is sampled, and which of its moments are exact."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits import discrete
from sgdlimits.diffusions import ManifoldLimit, find_scheme, integrate
from sgdlimits.diffusions.diffusion import Diffusion
from sgdlimits.diffusions.optimiser_limit import OptimiserLimit
from sgdlimits.ensembles.initial import Gaussian, initial_state
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, positive
from sgdlimits.exact.schedules import StepSizes

from ..capabilities import has_moments, has_one_step_size, is_diffusion, is_local, is_recurrence, problem_of, shown
from ..known_law import KnownLaw
from .integrator import Increments, chosen_increments

if TYPE_CHECKING:
    from .observables import Observable

FEW_PATHS = 100  # below, no distance is known well enough for the integrator's part of it to matter
FIRST = {"euler": 4}  # increments a step with which the search begins; 2 for schemes of a higher order


@dataclass(frozen=True, eq=False)
class Run:
    """Where, how long and how often."""

    x0: Any
    steps: int
    record: np.ndarray
    paths: int
    seed: int
    threads: int | None
    progress: Any

    def child(self, *labels: int | str) -> int:
        """A seed of its own for a part of the work."""
        return child_seed(self.seed, *labels)

    def first_starts(self, count: int) -> Any:
        """The start of the first `count` paths."""
        if isinstance(self.x0, (tuple, Gaussian)) or np.ndim(self.x0) != 2:
            return self.x0
        return np.asarray(self.x0)[:count]

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of `simulate`."""
        return {"record": self.record, "seed": self.seed, "threads": self.threads, "progress": self.progress}


@dataclass(frozen=True, eq=False)
class Sample:
    """What was sampled of one side: observable -> (paths, steps), how many paths overflowed and when the first."""

    values: dict[str, np.ndarray]
    overflowed: tuple[int, int] | None = None
    increments: Increments | None = None


@dataclass(frozen=True, eq=False)
class Side(ABC):
    """One side.

    Attributes
    ----------
    process : object
    label : str
        What its rows are about: the process, or a scheme for it when the user asked for one.
    note : str
        What must be said of how it was run; empty when nothing.
    """

    process: Any
    label: str
    note: str = ""

    @property
    def problem(self) -> Any:
        """What the process descends, or None."""
        return problem_of(self.process)

    @property
    def scheme(self) -> dict[str, Any]:
        """Scheme that its rows are about, as keyword arguments of `moments`; empty for the process itself."""
        return {}

    @cached_property
    def scheme_settles(self) -> bool | None:
        """Whether the second moment of the scheme that its rows are about settles; None where that is not known."""
        known = self.scheme and self.closes and has_one_step_size(self.process)
        return self.process.scheme_settles(**self.scheme) if known else None

    @property
    def closes(self) -> bool:
        """Whether the moments of what its rows are about are known."""
        return has_moments(self.process)

    def expectation(self, observable: Observable, moments: Any) -> np.ndarray | None:
        """E (steps,) of an observable from its moments; None where they do not give it."""
        if is_local(self.process) and observable.source == "risk":
            return None  # they are those of a quadratic, whose expectation is not the loss's
        return observable.expectation(self.problem, moments)

    def moments(self, run: Run, **scheme: Any) -> Any:
        """Exact moments (Dataset) of what its rows are about, or None."""
        if not self.closes:
            return None
        chosen = scheme or self.scheme
        return self.process.moments(run.x0, run.steps, record=run.record, **chosen).sel(step=run.record)

    @abstractmethod
    def sample(self, run: Run, functions: Mapping[str, Any], measured: frozenset[str]) -> Sample | None:
        """Paths; None where the laws are known. `measured`: whose means are taken from them."""


@dataclass(frozen=True, eq=False)
class RecurrenceSide(Side):
    """A recurrence, or anything with `simulate` that needs no integrator."""

    def sample(self, run: Run, functions: Mapping[str, Any], measured: frozenset[str]) -> Sample:
        if hasattr(self.process, "simulate"):
            found = self.process.simulate(run.x0, run.steps, run.paths, observables=dict(functions), **run.options)
        else:
            found = discrete.simulate(
                self.process, run.x0, run.steps, run.paths, observables=dict(functions), **run.options
            )
        return _sample(found, functions)


@dataclass(frozen=True, eq=False)
class DiffusionSide(Side):
    """A built-in diffusion: its own law, or a scheme's when one was asked for."""

    asked: str | None = None
    substeps: int | None = None

    @property
    def scheme(self) -> dict[str, Any]:
        if self.asked is None:
            return {}
        return {"solver": self.asked, "substeps": self.substeps or 1}

    @property
    def closes(self) -> bool:
        return has_moments(self.process) and (self.asked is None or self.asked in self.process.solvers)

    def largest_steps(self, run: Run) -> Any:
        """The process; of a schedule, that at its largest step size, whose increments are as long as any."""
        sizes = self.process.step_size
        return self.process.at(sizes.between(0, run.steps).max()) if isinstance(sizes, StepSizes) else self.process

    def sample(self, run: Run, functions: Mapping[str, Any], measured: frozenset[str]) -> Sample:
        solver, substeps, increments = self.asked, self.substeps or 1, None
        if solver is None:
            solver, exact = law_scheme(self.process)
            if not exact and (measured or run.paths >= FEW_PATHS):
                looked_at = {name: risk_of(self.problem) if f == "risk" else f for name, f in functions.items()}
                piloted = self.largest_steps(run)
                increments = chosen_increments(
                    piloted, solver, self.substeps or FIRST.get(solver, 2), float(piloted.clock), run,
                    looked_at, measured, self.substeps is not None,
                )  # fmt: skip
                if piloted is not self.process:
                    increments = increments.as_bound()
                increments = replace(increments, resolved=True)  # stable schemes: what overflows is the process
                substeps = increments.substeps
        found = self.process.simulate(
            run.x0, run.steps, run.paths, observables=dict(functions), solver=solver, substeps=substeps, **run.options
        )
        return _sample(found, functions, increments or Increments(solver, substeps, {}, {}, {}, {}))


@dataclass(frozen=True, eq=False)
class UserDiffusionSide(Side):
    """A diffusion of the user's own, integrated to the time of each step on the clock that was stated."""

    clock: float = 1.0
    asked: str | None = None
    substeps: int | None = None

    @property
    def closes(self) -> bool:
        return False

    def sample(self, run: Run, functions: Mapping[str, Any], measured: frozenset[str]) -> Sample:
        solver, increments, substeps = self.asked, None, self.substeps or 1
        if solver is None:
            solver = "sra1" if self.process.noise_type == "additive" else "euler"
            increments = chosen_increments(
                self.process, solver, self.substeps or FIRST.get(solver, 2), self.clock, run, functions,
                measured, self.substeps is not None,
            )  # fmt: skip
            substeps = increments.substeps
        horizon = run.steps / self.clock
        found = integrate(
            self.process, run.x0, horizon, horizon / (run.steps * substeps), run.paths, solver, run.seed,
            observables=dict(functions), record=run.record / self.clock, threads=run.threads, progress=run.progress,
        )  # fmt: skip
        sample = _sample(found, functions, increments or Increments(solver, substeps, {}, {}, {}, {}))
        if sample.overflowed:
            count, first = sample.overflowed
            sample = Sample(sample.values, (count, -(-first // substeps)), sample.increments)
        return sample


@dataclass(frozen=True, eq=False)
class LimitSide(Side):
    """A limit along a set of zero loss: of weak order 2 where it is random, of order 4 where it is not."""

    asked: str | None = None
    substeps: int | None = None

    @property
    def closes(self) -> bool:
        return False

    def sample(self, run: Run, functions: Mapping[str, Any], measured: frozenset[str]) -> Sample:
        solver = self.asked or ("ninomiya_victoir" if self.process.noise_dimension else "rk4")
        # Without noise, from one point, all paths are one path.
        one_point = not isinstance(run.x0, (tuple, Gaussian)) and np.ndim(run.x0) == 1
        alike = one_point and self.process.noise_dimension == 0
        found = self.process.simulate(
            run.x0, run.steps, 1 if alike else run.paths, observables=dict(functions), solver=solver,
            substeps=self.substeps, **run.options,
        )  # fmt: skip
        if alike:
            found = found.isel(path=np.zeros(run.paths, dtype=int))
        return _sample(found, functions, Increments(solver, self.substeps or 0, {}, {}, {}, {}))


@dataclass(frozen=True, eq=False)
class KnownSide(Side):
    """Laws in closed form: nothing is sampled."""

    @property
    def closes(self) -> bool:
        return False

    def sample(self, run: Run, functions: Mapping[str, Any], measured: frozenset[str]) -> None:
        return None


def risk_of(problem: Any) -> Callable[[np.ndarray], np.ndarray]:
    """The risk as a function of positions (P, d) that may have overflowed: infinite there."""

    def risk(x: np.ndarray) -> np.ndarray:
        values, finite = np.full(len(x), np.inf), np.isfinite(x).all(axis=1)
        values[finite] = problem.risk(x[finite])
        return values

    return risk


def law_scheme(process: Diffusion | OptimiserLimit) -> tuple[str, bool]:
    """The scheme that samples a built-in diffusion, and whether its law is exact whatever the increments."""
    if isinstance(process, OptimiserLimit):
        return process.law_solver, False
    if process.always_exact:
        return "exponential_euler", True
    if "strang" in process.solvers:
        return "strang", False
    linear = "exponential_euler" in process.solvers and process.noise_type == "additive"
    return ("exponential_euler", True) if linear else ("euler", False)


def sides_of(
    processes: Sequence[Any], labels: Sequence[str], x0: Any, solver: Any, substeps: int | None, clock: Any
) -> list[Side]:
    """One side a process; `solver` None compares the processes themselves.

    Raises
    ------
    InvalidInput
        If no process takes the scheme, or a diffusion states no clock.
    """
    name = solver if solver is None else _scheme_name(solver)
    refusals, sides = [], []
    for process, label in zip(processes, labels):
        side: Side
        if isinstance(process, KnownLaw):
            side = KnownSide(process, label)
        elif isinstance(process, (Diffusion, OptimiserLimit, ManifoldLimit)):
            kind: Any = LimitSide if isinstance(process, ManifoldLimit) else DiffusionSide
            refusal = "" if name is None else _refusal(process, solver, substeps, x0)
            if name is None or refusal or getattr(process, "always_exact", False):
                # Increments that were asked for belong to the scheme that was asked for.
                side = kind(process, label, refusal, substeps=substeps if name is None else None)
            else:
                side = kind(process, f"{label} by {name}", asked=solver, substeps=substeps)
            refusals += [refusal] if refusal else []
        elif is_diffusion(process) and not hasattr(process, "simulate"):
            steps_per_time = _clock(process, label, clock)
            named = label if name is None else f"{label} by {name}"
            if name is not None and getattr(process, "noise_type", "general") not in find_scheme(solver).noise_types:
                refusal = f"{label}: solver {name!r} does not treat {process.noise_type} noise"
                refusals.append(refusal)
                side = UserDiffusionSide(process, label, _instead(refusal), clock=steps_per_time)
            else:
                side = UserDiffusionSide(process, named, clock=steps_per_time, asked=solver, substeps=substeps)
        elif hasattr(process, "simulate") or is_recurrence(process):
            side = RecurrenceSide(process, label)
        else:
            raise InvalidInput(f"cannot compare {shown(process)}: it is no process")
        sides.append(side)
    continuous = [s for s in sides if isinstance(s, (DiffusionSide, UserDiffusionSide, LimitSide))]
    if name is not None and continuous and len(refusals) == len(continuous):
        raise InvalidInput(refusals[0].removesuffix(REPLACED))
    return sides


REPLACED = "; the row is about the process itself, not about that scheme"


def _instead(refusal: str) -> str:
    return refusal + REPLACED


def _scheme_name(solver: Any) -> str:
    from sgdlimits.diffusions.manifold.flows import TABLEAUS
    from sgdlimits.diffusions.manifold.schemes import NOISE_SOLVERS

    if isinstance(solver, str) and solver in (*NOISE_SOLVERS, *TABLEAUS):
        return solver
    return find_scheme(solver).name


def _refusal(process: Any, solver: Any, substeps: int | None, x0: Any) -> str:
    """Why the process does not take the scheme, found by taking one step; empty if it does."""
    initial = initial_state(x0, process.dimension)
    start = initial.mean if isinstance(initial, Gaussian) else np.atleast_2d(initial)[0]
    if getattr(process, "always_exact", False):
        return ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            process.simulate(start, 1, 2, observables=("norm",), solver=solver, substeps=substeps or 1, threads=1)
        except InvalidInput as error:
            return _instead(f"{process.label} does not take {_scheme_name(solver)!r} ({error})")
    return ""


def _clock(process: Any, label: str, clock: Any) -> float:
    """Steps per unit of a user diffusion's time."""
    given = clock.get(label) if isinstance(clock, Mapping) else clock
    own = getattr(process, "clock", None)
    if given is None and own is None:
        raise InvalidInput(
            f"{label} states no clock, and a comparison is made in steps: pass clock=, steps per unit of its time "
            "(1 / step_size for a gradient flow's time)"
        )
    return positive("clock", own if given is None else given)


def _sample(found: Any, functions: Mapping[str, Any], increments: Increments | None = None) -> Sample:
    overflowed = None
    if "overflow_step" in found:
        steps = found["overflow_step"].values
        overflowed = int((steps >= 0).sum()), int(steps[steps >= 0].min())
    values = {}
    for name in functions:
        array = found[name].values
        if array.ndim != 2:
            raise InvalidInput(f"observable {name!r} gave shape {array.shape[2:]} a path and step, not a number")
        values[name] = array
    return Sample(values, overflowed, increments)

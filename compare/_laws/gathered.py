"""What a comparison is about, checked, and what is known and sampled of it, before any statistic."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_state, stated_dimension
from sgdlimits.exact.errors import InvalidInput, MismatchedProcesses, positive, whole_number

from .. import capabilities
from ..estimates import confidence_level
from .observables import Observable, compared_steps, observables_of
from .sides import DiffusionSide, Run, Sample, Side, risk_of, sides_of


@dataclass(frozen=True, eq=False)
class Gathered:
    """One comparison; lists over its sides, the reference first.

    Attributes
    ----------
    sides : list of Side
    observables : list of Observable
    run : Run
    dimension : int
    problem : the first problem that a side states, or None
    mismatches : list of str
        In what the sides do not match.
    moments : list of Datasets
        Exact moments of what the rows are about, None where they do not close.
    samples : list of Samples
        None where nothing is sampled.
    controls : list of Datasets
        Exact moments of what was simulated, None where squares must not serve as control variates.
    tolerance, confidence : float
    asked : tuple
        The scheme and the increments that were asked for.
    """

    sides: list[Side]
    observables: Sequence[Observable]
    run: Run
    dimension: int
    problem: Any
    mismatches: list[str]
    moments: list[Any]
    samples: list[Sample | None]
    controls: list[Any]
    tolerance: float
    confidence: float
    asked: tuple[Any, int | None]

    @property
    def processes(self) -> list[Any]:
        """The processes, whatever their rows are about."""
        return [side.process for side in self.sides]

    @property
    def labels(self) -> list[str]:
        """What the rows are about."""
        return [side.label for side in self.sides]


def gathered(
    processes: Sequence[Any], x0: Any, steps: Any, paths: Any, observables: Any, record: Any, seed: Any, solver: Any,
    substeps: Any, clock: Any, tolerance: Any, confidence: Any, threads: Any, progress: Any,
) -> Gathered:  # fmt: skip
    """Check everything, then compute the moments and draw the samples; arguments and errors as in `laws`."""
    if len(processes) < 2:
        raise InvalidInput("nothing to compare with: give at least one process besides the reference")
    capabilities.check_processes(processes)
    dimension = dimension_of(processes, x0)
    tolerance, confidence = positive("tolerance", tolerance), confidence_level(confidence)
    steps = whole_number("steps", steps, 1)
    substeps = None if substeps is None else whole_number("substeps", substeps, 1)
    run = Run(
        x0, steps, compared_steps(record, steps), whole_number("paths", paths, 2),
        whole_number("seed", seed, 0, 2**64 - 1), threads, progress,
    )  # fmt: skip
    labels = capabilities.distinct_labels(processes)
    sides = sides_of(processes, labels, x0, solver, substeps, clock)
    problem = next((side.problem for side in sides if side.problem is not None), None)
    looked_at = observables_of(observables, problem, x0, dimension, any(side.closes for side in sides))
    wrong = capabilities.mismatches(processes, labels)
    if wrong:
        warnings.warn("the sides do not match: " + "; ".join(wrong), MismatchedProcesses, stacklevel=4)
    moments = [side.moments(run) for side in sides]
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is counted and said
        samples = [
            side.sample(run, _functions(side, looked_at, problem), _measured(side, looked_at, found))
            for side, found in zip(sides, moments)
        ]
    controls = [_simulated_moments(side, sample, found, run) for side, sample, found in zip(sides, samples, moments)]
    return Gathered(
        sides, looked_at, run, dimension, problem, wrong, moments, samples, controls, tolerance, confidence,
        (solver, substeps),
    )  # fmt: skip


def dimension_of(processes: Sequence[Any], x0: Any) -> int:
    """The dimension that all sides share; that of the start where none states one."""
    stated = [getattr(process, "dimension", None) for process in processes]
    for index, process in enumerate(processes):
        inner = capabilities.problem_of(process)
        stated[index] = getattr(inner, "dimension", None) if stated[index] is None else stated[index]
    known = {int(d) for d in stated if d is not None}
    if len(known) > 1:
        raise InvalidInput("the processes have different dimensions: build them on the same problem")
    if known:
        return known.pop()
    dimension = stated_dimension(x0)
    initial_state(x0, dimension)
    return dimension


def _functions(side: Side, looked_at: Sequence[Observable], problem: Any) -> dict[str, Any]:
    """What a side is asked to keep: the observables, the norm, and the risk where a control or a budget needs it."""
    functions = {observable.name: observable.source for observable in looked_at} | {"norm": "norm"}
    if capabilities.has_moments(side.process) or getattr(side.process, "sampling", None) == "reshuffle":
        functions["risk"] = "risk"
    local = capabilities.is_local(side.process)  # its own risk is that of a quadratic, not of the loss
    if side.problem is None or local:  # its risk is that of the problem that another side states
        problem = side.problem if local else problem
        for name, source in functions.items():
            if source == "risk":
                if not hasattr(problem, "risk"):
                    raise InvalidInput(f"{name!r} is a risk, but no side states a problem: give a function")
                functions[name] = risk_of(problem)
    return functions


def _measured(side: Side, looked_at: Sequence[Observable], moments: Any) -> frozenset[str]:
    """Observables whose means are taken from the paths."""
    return frozenset(o.name for o in looked_at if side.expectation(o, moments) is None)


def _simulated_moments(side: Side, sample: Sample | None, moments: Any, run: Run) -> Any:
    """Exact moments of what was simulated: for the controls, which must have its expectation."""
    if sample is None or not capabilities.fourth_moments_settle(side.process) or not side.closes:
        return None
    if capabilities.is_local(side.process):
        return None
    increments = sample.increments
    if isinstance(side, DiffusionSide) and increments is not None and side.asked is None:
        return side.moments(run, solver=increments.solver, substeps=increments.substeps)
    return moments

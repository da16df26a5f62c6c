"""What a comparison asks of a process, and whether the sides of one belong together."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sgdlimits.diffusions.optimiser_limit import OptimiserLimit
from sgdlimits.ensembles import blas_threads
from sgdlimits.exact.errors import InvalidInput, shown
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import Stability
from sgdlimits.problems.local_quadratic import LocalQuadratic
from sgdlimits.problems.quadratic import QuadraticProblem

from .known_law import KnownLaw


def one_blas_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run with one BLAS thread: the same bits on any number of cores, and small matrices are much faster."""

    @functools.wraps(function)
    def limited(*args: Any, **options: Any) -> Any:
        with blas_threads.one_blas_thread():
            return function(*args, **options)

    return limited


def has_moments(process: Any) -> bool:
    """Whether the first two moments of the process close, as it says itself."""
    return bool(getattr(process, "moments_close", False))


def stated_number(process: Any, name: str, missing: float = math.nan) -> float:
    """A number that the process states under this name; `missing` where it states none, or no number."""
    value = getattr(process, name, missing)
    return float(value) if isinstance(value, (int, float)) else missing


def has_one_step_size(process: Any) -> bool:
    """Whether the step size is a number, not a schedule."""
    return isinstance(getattr(process, "step_size", None), (int, float))


def known_stability(process: Any) -> Stability | None:
    """Thresholds, where the process has one step size and they are known."""
    if not (has_moments(process) and has_one_step_size(process) and hasattr(process, "stability")):
        return None
    try:
        found: Stability = process.stability()
    except InvalidInput:  # of proximal steps with a negative ridge, say
        return None
    return found


def fourth_moments_settle(process: Any) -> bool:
    """Whether a stationary fourth moment is proved finite: only then do controls made of squares have error bars."""
    method = getattr(process, "fourth_moments_settle", None)
    return bool(method()) if callable(method) and has_moments(process) else False


def is_process(thing: Any) -> bool:
    """Whether this can be a side of a comparison."""
    return isinstance(thing, KnownLaw) or hasattr(thing, "simulate") or is_recurrence(thing) or is_diffusion(thing)


def is_recurrence(thing: Any) -> bool:
    """Whether this follows the protocol of `discrete.Recurrence`."""
    return all(callable(getattr(thing, name, None)) for name in ("initial_state", "step", "position"))


def problem_of(process: Any) -> Any:
    """What a process descends: its `problem`, or the `model` of a zero-loss process; None where it states none.

    Of a process about a minimum of a smooth loss it is that loss, not the quadratic there.
    """
    problem = getattr(process, "problem", None)
    if isinstance(problem, LocalQuadratic):
        return problem.problem
    return getattr(process, "model", None) if problem is None else problem


def is_local(process: Any) -> bool:
    """Whether the process knows its loss by the quadratic about a minimum alone."""
    return isinstance(getattr(process, "problem", None), LocalQuadratic)


def risk_floor(problem: Any) -> float | None:
    """Smallest value of L itself, without the ridge; None where it is not known."""
    if not isinstance(problem, QuadraticProblem):
        return None
    slope, eigenvalues = problem.risk_slope, problem.eigenvalues
    active = eigenvalues > 0
    return problem.risk_at_minimiser - 0.5 * float((slope[active] ** 2 / eigenvalues[active]).sum())


def is_diffusion(process: Any) -> bool:
    """Whether the process lives in continuous time."""
    return hasattr(process, "drift")


def distinct_labels(processes: Sequence[Any]) -> list[str]:
    """Display names, numbered where two would be the same."""
    return numbered([str(getattr(process, "label", type(process).__name__)) for process in processes])


def numbered(names: Sequence[str]) -> list[str]:
    """The names, with a number where one comes again."""
    names = list(names)
    return [
        f"{name} ({names[:place].count(name) + 1})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def mismatches(processes: Sequence[Any], labels: Sequence[str]) -> list[str]:
    """Sentences on what the sides do not share with the first one; empty when all fits."""
    first, *rest = processes
    found = []
    for process, label in zip(rest, labels[1:]):
        if isinstance(process, OptimiserLimit) and hasattr(first, "update_rule"):
            found += [f"{label}: {reason}" for reason in limit_mismatch(process, first)]
            continue
        if problem_of(process) is not problem_of(first) and None not in (problem_of(process), problem_of(first)):
            found.append(f"{label} is built on another problem than {labels[0]}")
        for name in ("step_size", "batch_size", "label_noise"):
            mine, theirs = getattr(process, name, None), getattr(first, name, None)
            if mine is not None and theirs is not None and not _same(mine, theirs):
                found.append(f"{label} has {name} {_shown(mine)}, {labels[0]} has {_shown(theirs)}")
        momentum = getattr(first, "momentum", 0.0)
        if momentum and is_diffusion(process):
            found.append(f"{label} knows no momentum, {labels[0]} has {momentum:g}")
        rules = [getattr(side, "rule", None) for side in (process, first)]
        if rules[0] is not rules[1]:
            rule_of = ["plain descent" if rule is None else rule.label for rule in rules]
            found.append(f"{label} is about {rule_of[0]}, {labels[0]} takes steps of {rule_of[1]}")
    return found


def limit_mismatch(limit: OptimiserLimit, sgd: Any) -> list[str]:
    """Sentences on what the limit of an optimiser does not share with it; empty when it is this one's."""
    if not hasattr(sgd, "update_rule"):
        return [f"{limit.label} is the limit of {limit.limit_of}, not of {type(sgd).__name__}"]
    try:
        own = type(limit).of(sgd)
    except InvalidInput as error:
        return [str(error)]
    shared = {"step_size", "batch_size", "sampling", "label_noise", *type(limit).settings_of(sgd.update_rule)}
    found = [] if limit.problem is sgd.problem else ["it is built on another problem"]
    for name in sorted(shared):
        mine, theirs = getattr(limit, name), getattr(own, name)
        if mine != theirs:
            found.append(f"it has {name} {mine!r}, {sgd.label} has {theirs!r}")
    return found


def _same(mine: Any, theirs: Any) -> bool:
    """Whether two settings agree; two schedules do if they are of one function."""
    if isinstance(mine, StepSizes) and isinstance(theirs, StepSizes):
        return mine is theirs or mine.function is theirs.function or mine.function == theirs.function
    return not isinstance(mine, StepSizes) and not isinstance(theirs, StepSizes) and bool(mine == theirs)


def _shown(setting: Any) -> str:
    return repr(setting) if isinstance(setting, StepSizes) else f"{setting:g}"


def stability_notes(processes: Sequence[Any], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Thresholds, with a sentence, of each process that has them."""
    notes = []
    for process, label in zip(processes, labels):
        stability = known_stability(process)
        if stability is None:
            continue
        threshold = stability.mean_square_threshold
        if np.isinf(threshold):
            sentence = f"{label}: stable in mean square at every step size."
        else:
            state = "stable" if stability.mean_square_stable else "NOT stable"
            sentence = (
                f"{label}: {state} in mean square, step size {stability.step_size:g} is "
                f"{stability.step_size / threshold:.3g} of the threshold {threshold:.4g}."
            )
        notes.append(
            {
                "process": label,
                "mean_threshold": stability.mean_threshold,
                "mean_square_threshold": threshold,
                "step_size": stability.step_size,
                "stable": bool(stability.mean_square_stable),
                "sentence": sentence,
            }
        )
    return notes


def claim_notes(processes: Sequence[Any], labels: Sequence[str], kinds: Sequence[str] = ("claims",)) -> str:
    """JSON list of what theory claims of each process, under these names: "claims", "tail_claims"."""
    notes = [
        {
            "process": label,
            "statement": claim.statement,
            "assumptions": list(claim.assumptions),
            "source": claim.source,
            "order": claim.order,
        }
        for process, label in zip(processes, labels)
        for kind in kinds
        for claim in getattr(process, kind, ())
    ]
    return json.dumps(notes)


def check_processes(processes: Sequence[Any]) -> None:
    """Raise unless every side can be compared."""
    for process in processes:
        if not is_process(process):
            raise InvalidInput(
                f"cannot compare {shown(process)}: a process is needed, something with simulate(x0, steps, paths, "
                "...), a recurrence with initial_state, step and position, a diffusion with drift and diffusion, or a "
                "KnownLaw"
            )


def with_start(processes: Sequence[Any], x0: Any) -> tuple[list[Any], Any]:
    """The processes and the start, which may follow them as the last positional argument."""
    others = list(processes)
    if x0 is None and others and not is_process(others[-1]):
        x0 = others.pop()
    if x0 is None:
        raise InvalidInput("x0 is missing; give the start as x0=..., an array (d,) for example")
    return others, x0

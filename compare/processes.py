"""What a comparison asks of a process, and whether the sides of one belong together."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sgdlimits.ensembles import blas_threads
from sgdlimits.exact.errors import InvalidInput, one_of, shown
from sgdlimits.problems.quadratic import QuadraticProblem


def one_blas_thread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run with one BLAS thread: the same bits on any number of cores, and small matrices are much faster."""

    @functools.wraps(function)
    def limited(*args: Any, **options: Any) -> Any:
        with blas_threads.one_blas_thread():
            return function(*args, **options)

    return limited


def has_moments(process: Any) -> bool:
    """Whether the first two moments of the process close."""
    quadratic = isinstance(getattr(process, "problem", None), QuadraticProblem)
    return quadratic and getattr(process, "sampling", None) != "reshuffle"


def scheme_of(process: Any, solver: str, substeps: int) -> dict[str, Any]:
    """Keyword arguments that make `simulate` and `moments` use the scheme; none for a recurrence.

    A diffusion that cannot take the scheme is run by Euler's, and the result says so.
    """
    if not is_diffusion(process):
        return {}
    return {"solver": solver if solver in process.solvers else "euler", "substeps": substeps}


def check_solver(processes: Sequence[Any], solver: str) -> None:
    """Raise unless at least one of the diffusions takes the scheme."""
    taken = {name for process in processes if is_diffusion(process) for name in process.solvers}
    if taken:
        one_of("solver", solver, sorted(taken))


def scheme_notes(processes: Sequence[Any], labels: Sequence[str], solver: str, substeps: int) -> str:
    """JSON list of sentences on the diffusions whose scheme is not the one that was asked for."""
    return json.dumps([
        f"{label} does not take {solver!r} and was run by 'euler'"
        for process, label in zip(processes, labels)
        if is_diffusion(process) and scheme_of(process, solver, substeps)["solver"] != solver
    ])  # fmt: skip


def is_diffusion(process: Any) -> bool:
    """Whether the process lives in continuous time."""
    return hasattr(process, "drift")


def distinct_labels(processes: Sequence[Any]) -> list[str]:
    """Display names, numbered where two would be the same."""
    names = [str(getattr(process, "label", type(process).__name__)) for process in processes]
    return [
        f"{name} ({names[:place].count(name) + 1})" if names.count(name) > 1 else name
        for place, name in enumerate(names)
    ]


def mismatches(processes: Sequence[Any], labels: Sequence[str]) -> list[str]:
    """Sentences on what the sides do not share with the first one; empty when all fits."""
    first, *rest = processes
    found = []
    for process, label in zip(rest, labels[1:]):
        if getattr(process, "problem", None) is not getattr(first, "problem", None):
            found.append(f"{label} is built on another problem than {labels[0]}")
        for name in ("step_size", "batch_size", "label_noise"):
            mine, theirs = getattr(process, name, None), getattr(first, name, None)
            if mine is not None and theirs is not None and mine != theirs:
                found.append(f"{label} has {name} {mine:g}, {labels[0]} has {theirs:g}")
        momentum = getattr(first, "momentum", 0.0)
        if momentum and is_diffusion(process):
            found.append(f"{label} knows no momentum, {labels[0]} has {momentum:g}")
    return found


def stability_notes(processes: Sequence[Any], labels: Sequence[str]) -> str:
    """JSON list of thresholds, with a sentence for each process that has them."""
    notes = []
    for process, label in zip(processes, labels):
        if not (has_moments(process) and hasattr(process, "stability")):
            continue
        stability = process.stability()
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
                "sentence": sentence,
            }
        )
    return json.dumps(notes)


def claim_notes(processes: Sequence[Any], labels: Sequence[str]) -> str:
    """JSON list of what theory claims of each process."""
    notes = [
        {
            "process": label,
            "statement": claim.statement,
            "assumptions": list(claim.assumptions),
            "source": claim.source,
            "order": claim.order,
        }
        for process, label in zip(processes, labels)
        for claim in getattr(process, "claims", ())
    ]
    return json.dumps(notes)


def check_processes(processes: Sequence[Any]) -> None:
    """Raise unless every side can be simulated."""
    for process in processes:
        if not hasattr(process, "simulate"):
            raise InvalidInput(
                f"cannot compare {shown(process)}: a process is needed, something with simulate(x0, steps, paths, ...)"
            )

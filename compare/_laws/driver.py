"""compare.laws: two or more processes side by side, in law, with the error budget."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import Gaussian, initial_state
from sgdlimits.exact.errors import InvalidInput, MismatchedProcesses, positive, whole_number

from .. import capabilities
from ..estimates import confidence_level
from . import budget as budgets
from .noise import PLACES, noise_shares, off_by_more
from .observables import Observable, compared_steps, observables_of
from .result import Laws
from .sides import DiffusionSide, KnownSide, Run, Sample, Side, risk_of, sides_of
from .statistics import (
    QUANTILES,
    budgets_of,
    cautions_of,
    distance_steps,
    distances_of,
    floor_of,
    gelbrich_bounds,
    law_statistics,
    predicted_risk,
    quantiles_of,
    worst_of,
)


@capabilities.one_blas_thread
def laws(
    reference: Any,
    *others: Any,
    x0: Any = None,
    steps: int,
    paths: int = 10_000,
    observables: Sequence[str] | Mapping[str, Any] | None = None,
    record: Any = None,
    seed: int = 0,
    solver: Any = None,
    substeps: int | None = None,
    clock: float | Mapping[str, float] | None = None,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> Laws:
    """Compare the laws of processes at the same steps, and say where the distance comes from.

    A row is about the process that it names: exact where its moments give the expectation, else sampled. Where the law
    of the scheme depends on its increments, they are shortened until its own part is below the Monte Carlo error, or
    64 of them a step or the normals of a whole run (4e8) are spent. That part is estimated on a pilot, widens the
    interval, and where it stays larger than the Monte Carlo error the row says so (beware: integrator).

    Parameters
    ----------
    reference : process
        Usually `discrete.SGD`; every difference is "other minus reference". Any recurrence (with `initial_state`,
        `step` and `position`), diffusion, limit along a zero-loss set, or `compare.KnownLaw` will do.
    *others : processes
        Of the same dimension. The start may follow them as the last positional argument.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    steps : int
        SGD steps; a diffusion runs to the time of that step on its own clock.
    paths : int
        Independent paths of each process, at least 2.
    observables : names or mapping
        "risk", "excess" (risk less the least risk, without the ridge), "norm", "test_risk", or name -> function of
        positions (paths, d) giving (paths,). Default: the first three, as far as the problem has them.
    record : None, int or increasing sequence of steps
        None: about 50 evenly spaced steps, and 1, 2, 5, 10, 20, 50, ... between them.
    seed : int
    solver : None, name or scheme
        None: the processes themselves. A scheme: it is what is compared, in rows that are named after it.
    substeps : int, optional
        Increments per SGD step. Default: 1 for a scheme that is asked for, else as many as are needed.
    clock : float or mapping from labels to floats, optional
        Steps per unit of time, for a diffusion that states no clock of its own.
    tolerance : float
        A difference within `tolerance` times the scale is called agreement: the scale of a risk is the reference's
        excess over the least risk, that of another observable the reference's value.
    confidence : float
        Of each interval by itself, and of each band over all recorded steps together.
    threads, progress
        As in `simulate`.

    Returns
    -------
    Laws

    Raises
    ------
    InvalidInput
        If an argument does not fit; the sentence says which and why.

    Warns
    -----
    MismatchedProcesses
        If the sides do not share problem, step size, batch size or label noise.
    """
    compared, x0 = capabilities.with_start(others, x0)
    processes = [reference, *compared]
    capabilities.check_processes(processes)
    dimension = _dimension(processes, x0)
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
    closes = any(side.closes for side in sides)
    looked_at = observables_of(observables, problem, x0, dimension, closes)
    wrong = capabilities.mismatches(processes, labels)
    if wrong:
        warnings.warn("the sides do not match: " + "; ".join(wrong), MismatchedProcesses, stacklevel=3)

    moments = [side.moments(run) for side in sides]
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is counted and said
        samples = [
            side.sample(run, _functions(side, looked_at, problem), _measured(side, looked_at, found))
            for side, found in zip(sides, moments)
        ]
    simulated = [_simulated_moments(side, sample, found, run) for side, sample, found in zip(sides, samples, moments)]
    statistics = law_statistics(sides, looked_at, samples, moments, simulated, run, tolerance, confidence)
    predicted = np.full(statistics.estimate.shape, np.nan)
    leading = predicted_risk([_followed(side) for side in sides], x0, run.record)
    for place, observable in enumerate(looked_at):
        if observable.source == "risk":
            predicted[:, place] = leading
    parts, reasons = budgets_of(sides, samples, run)
    stability = capabilities.stability_notes([side.process for side in sides], [side.label for side in sides])
    worst = worst_of(statistics, run.record, tolerance)
    about_scheme = [bool(side.scheme) for side in sides]
    cancelling, main = budgets.cancellations(
        None if parts is None else parts[0], about_scheme, [o.source == "risk" for o in looked_at], run.record,
        worst["worst_step"],
    )  # fmt: skip
    unstable = {note["process"] for note in json.loads(stability) if note["step_size"] >= note["mean_square_threshold"]}
    shares = noise_shares([side.process for side in sides], x0)
    cautions = cautions_of(
        sides, samples, statistics, predicted, cancelling, [side.label in unstable for side in sides],
        off_by_more(shares)[:, None] & (worst["overall"] == "agrees"),
    )  # fmt: skip
    chosen = distance_steps(run.record)
    axes = ("process", "observable", "step")
    variables = statistics.variables() | {
        "predicted": (axes, predicted),
        "caution": (axes[:2], cautions),
        "worst_part": (axes[:2], main),
        "noise_share": (("process", "place"), shares),
        "quantiles": ((*axes, "quantile"), quantiles_of(sides, samples, looked_at, run.record)),
    }
    variables |= {name: (axes[:2], values) for name, values in worst.items()}
    variables |= distances_of(sides, samples, looked_at, run, chosen, confidence)
    bound = gelbrich_bounds(moments)
    if bound is not None:
        variables["gelbrich"] = (("process", "step"), bound)
    if parts is not None:
        variables["budget"] = (("process", "part", "step"), parts[0])
        variables["budget_error"] = (("process", "part", "step"), parts[1])
        variables["budget_sum"] = (("process", "step"), budgets.sums(parts[0], about_scheme))
    attributes = _settings(sides, samples, run, tolerance, confidence, solver, substeps) | {
        "title": f"{sides[0].label} against {', '.join(side.label for side in sides[1:])}",
        "problem": "" if problem is None else repr(problem),
        "preparation": str(getattr(problem, "preparation", "")),
        "scales": json.dumps([_scale_in_words(observable, sides[0]) for observable in looked_at]),
        "mismatches": json.dumps(wrong),
        "claims": capabilities.claim_notes([side.process for side in sides], [side.label for side in sides]),
        "stability": stability,
        "budget_absent": reasons,
    }
    return Laws(_labelled(variables, sides, looked_at, run, chosen, attributes))


def _labelled(
    variables: dict[str, Any], sides: Sequence[Side], looked_at: Sequence[Observable], run: Run, chosen: np.ndarray,
    attributes: dict[str, Any],
) -> Any:  # fmt: skip
    import xarray as xr

    coordinates = {
        "process": [side.label for side in sides],
        "observable": [observable.name for observable in looked_at],
        "step": run.record,
        "distance_step": run.record[chosen],
        "quantile": list(QUANTILES),
        "part": list(budgets.PARTS),
        "place": list(PLACES),
    }
    return xr.Dataset(variables, coords=coordinates, attrs=attributes)


def _dimension(processes: Sequence[Any], x0: Any) -> int:
    """The dimension that all sides share; that of the start where none states one."""
    if len(processes) < 2:
        raise InvalidInput("nothing to compare with: give at least one process besides the reference")
    stated = [getattr(process, "dimension", None) for process in processes]
    for index, process in enumerate(processes):
        inner = capabilities.problem_of(process)
        stated[index] = getattr(inner, "dimension", None) if stated[index] is None else stated[index]
    known = {int(d) for d in stated if d is not None}
    if len(known) > 1:
        raise InvalidInput("the processes have different dimensions: build them on the same problem")
    if known:
        return known.pop()
    if isinstance(x0, Gaussian):
        return x0.mean.size
    mean = x0[0] if isinstance(x0, tuple) and len(x0) == 2 and np.ndim(x0[1]) == 2 else x0
    dimension = int(np.shape(mean)[-1]) if np.ndim(mean) else 0
    initial_state(x0, dimension)
    return dimension


def _functions(side: Side, looked_at: Sequence[Observable], problem: Any) -> dict[str, Any]:
    """What a side is asked to keep: the observables, the norm, and the risk where a control or a budget needs it."""
    functions = {observable.name: observable.source for observable in looked_at} | {"norm": "norm"}
    if capabilities.has_moments(side.process) or getattr(side.process, "sampling", None) == "reshuffle":
        functions["risk"] = "risk"
    if side.problem is None:  # its risk is that of the problem that another side states
        for name, source in functions.items():
            if source == "risk":
                if not hasattr(problem, "risk"):
                    raise InvalidInput(f"{name!r} is a risk, but no side states a problem: give a function")
                functions[name] = risk_of(problem)
    return functions


def _measured(side: Side, looked_at: Sequence[Observable], moments: Any) -> frozenset[str]:
    """Observables whose means are taken from the paths."""
    return frozenset(o.name for o in looked_at if o.expectation(side.problem, moments) is None)


def _simulated_moments(side: Side, sample: Sample | None, moments: Any, run: Run) -> Any:
    """Exact moments of what was simulated: for the controls, which must have its expectation."""
    if sample is None or not capabilities.fourth_moments_settle(side.process) or not side.closes:
        return None
    increments = sample.increments
    if isinstance(side, DiffusionSide) and increments is not None and side.asked is None:
        return side.moments(run, solver=increments.solver, substeps=increments.substeps)
    return moments


def _followed(side: Side) -> Any:
    """The process, for theory; nothing where the rows are about a scheme."""
    return None if side.scheme else side.process


def _scale_in_words(observable: Observable, reference: Side) -> str:
    if observable.name == "excess" or floor_of(observable, reference) is not None:
        held = " held-out" if observable.name == "test_risk" else ""
        return f"the excess of {reference.label} over the least{held} risk"
    return f"the value of {reference.label}"


def _settings(
    sides: Sequence[Side], samples: Sequence[Sample | None], run: Run, tolerance: float, confidence: float,
    solver: Any, substeps: int | None,
) -> dict[str, Any]:  # fmt: skip
    import sgdlimits

    overflowed = {s.label: list(p.overflowed) for s, p in zip(sides, samples) if p is not None and p.overflowed}
    sampled = {
        side.label: [sample.increments.solver, sample.increments.substeps] + ([True] if sample.increments.bound else [])
        for side, sample in zip(sides, samples)
        if sample is not None and sample.increments is not None
    }
    first = sides[0].process
    return {
        "steps": run.steps,
        "paths": run.paths,
        "seed": run.seed,
        "solver": "" if solver is None else str(getattr(solver, "name", solver)),
        "substeps": substeps or 0,
        "sampled_by": json.dumps(sampled),
        "schemes": json.dumps([side.note for side in sides if side.note]),
        "known": json.dumps([side.label for side in sides if isinstance(side, KnownSide)]),
        "tolerance": tolerance,
        "confidence": confidence,
        "step_size": _number(first, "step_size"),
        "batch_size": int(getattr(first, "batch_size", 0)),
        "x0": _describe_start(run.x0),
        "version": sgdlimits.__version__,
        "overflowed": json.dumps(overflowed),
    }


def _number(process: Any, name: str) -> float:
    value = getattr(process, name, np.nan)
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _describe_start(x0: Any) -> str:
    if isinstance(x0, (tuple, Gaussian)):
        return "Gaussian"
    array = np.asarray(x0)
    if array.ndim == 2:
        return f"{array.shape[0]} given positions"
    return "the origin" if not array.any() else f"one point, norm {np.linalg.norm(array):.4g}"

"""compare.laws: two or more processes side by side, in law, with the error budget."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import recorded_steps
from sgdlimits.ensembles.observables import FirstPassage
from sgdlimits.exact.errors import (
    InvalidInput,
    MismatchedProcesses,
    kind,
    positive,
    real_number,
    seed_number,
    text,
    whole_number,
)

from . import budget as budgets
from .estimates import Controls, normal_quantile
from .law_parts import (
    QUANTILES,
    budgets_of,
    controls_of,
    distance_steps,
    distances_of,
    exact_moments,
    expectation,
    gelbrich_bounds,
    mean_with_error,
    predicted_risk,
    quantiles_of,
    verdicts_of,
)
from .outcomes import Laws
from .processes import (
    check_processes,
    check_solver,
    claim_notes,
    distinct_labels,
    mismatches,
    one_blas_thread,
    scheme_notes,
    scheme_of,
    stability_notes,
)

EXACT = ("risk", "test_risk")  # expectations that follow from two moments


@one_blas_thread
def laws(
    reference: Any,
    *others: Any,
    x0: Any = None,
    steps: int,
    paths: int = 10_000,
    observables: Sequence[str] | Mapping[str, Any] = ("risk", "norm"),
    record: Any = None,
    seed: int = 0,
    solver: str = "euler",
    substeps: int = 1,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> Laws:
    """Compare the laws of processes at the same steps, and say where the distance comes from.

    Parameters
    ----------
    reference : process
        Usually `discrete.SGD`; every difference is "other minus reference".
    *others : processes
        Usually diffusions made by `.of(sgd)`. The start may follow them as the last positional argument.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    steps : int
        SGD steps; a diffusion runs to the time of that step on its own clock.
    paths : int
        Independent paths of each process, at least 2.
    observables : names or mapping
        "risk", "norm", "test_risk", or name -> function of positions (paths, d) giving (paths,).
    record : None, int or increasing sequence of steps
    seed : int
    solver, substeps : str, int
        Scheme for the diffusions, and its increments per SGD step.
    tolerance : float
        A difference within `tolerance` times the reference's value is called agreement.
    confidence : float
        Of each interval by itself; they are not simultaneous.
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
    import warnings

    import xarray as xr

    import sgdlimits

    if x0 is None and others and not hasattr(others[-1], "simulate"):
        *others, x0 = others
    if x0 is None:
        raise InvalidInput("x0 is missing; give the start as x0=..., an array (d,) for example")
    processes = [reference, *others]
    check_processes(processes)
    if len(processes) < 2:
        raise InvalidInput("nothing to compare with: give at least one process besides the reference")
    if len({process.problem.dimension for process in processes}) > 1:
        raise InvalidInput("the processes have different dimensions: build them on the same problem")
    check_solver(processes, solver)
    tolerance, confidence = positive("tolerance", tolerance), real_number("confidence", confidence)
    if not 0 < confidence < 1:
        raise InvalidInput(f"confidence must be above 0 and below 1, got {confidence!r}")
    seed = seed_number(seed)
    paths, steps = whole_number("paths", paths, 2), whole_number("steps", steps, 1)
    record = recorded_steps(record, steps)
    functions = _observables(observables, reference.problem)
    labels = distinct_labels(processes)
    wrong = mismatches(processes, labels)
    if wrong:
        warnings.warn("the sides do not match: " + "; ".join(wrong), MismatchedProcesses, stacklevel=2)

    needed = {**functions, "risk": "risk", "norm": "norm"}  # the last two serve as controls and for the budget
    runs = [
        process.simulate(
            x0, steps, paths, observables=needed, record=record, seed=seed, threads=threads, progress=progress,
            **scheme_of(process, solver, substeps),
        )
        for process in processes
    ]  # fmt: skip
    samples = [{name: run[name].values for name in needed} for run in runs]
    overflowed = {}
    for label, run in zip(labels, runs):
        if "overflow_step" in run:
            passed = run["overflow_step"].values[run["overflow_step"].values >= 0]
            overflowed[label] = [passed.size, int(passed.min())]
    exact, scheme = exact_moments(processes, x0, steps, record, solver, substeps)
    controls = [controls_of(sample, moments) for sample, moments in zip(samples, scheme)]
    shape = (len(processes), len(functions), len(record))
    columns = {name: np.full(shape, np.nan) for name in ("estimate", "standard_error", "difference", "predicted")}
    error = np.zeros(shape)
    known = np.zeros(shape[:2], dtype=bool)
    for place, name in enumerate(functions):
        for index, (process, sample) in enumerate(zip(processes, samples)):
            row = index, place
            closed = name in EXACT and exact[index] is not None and exact[0] is not None
            known[row] = closed
            if closed:
                columns["estimate"][row] = expectation(name, process.problem, exact[index])
                columns["standard_error"][row] = 0.0
                with np.errstate(invalid="ignore"):
                    columns["difference"][row] = columns["estimate"][row] - columns["estimate"][0, place]
                continue
            columns["estimate"][row], columns["standard_error"][row] = mean_with_error(sample[name], controls[index])
            with np.errstate(invalid="ignore"):
                gap = sample[name] - samples[0][name]
            together = controls[index] + -controls[0] if index else Controls()
            columns["difference"][row], error[row] = mean_with_error(gap, together)
    predicted = predicted_risk(processes, x0, record)
    for place, name in enumerate(functions):
        if name == "risk":
            columns["predicted"][:, place] = predicted
    unknown = ~np.isfinite(columns["difference"])  # a side left the range of numbers: any difference is possible
    half = normal_quantile(confidence) * np.where(unknown, 0.0, error)
    columns["difference"][unknown] = np.inf
    lower, upper = columns["difference"] - half, columns["difference"] + half
    lower[unknown] = -np.inf
    verdicts = verdicts_of(lower, upper, tolerance * np.abs(columns["estimate"][:1]))
    chosen = distance_steps(record)
    axes = ("process", "observable", "step")
    variables = {name: (axes, values) for name, values in columns.items()}
    variables |= {
        "difference_lower": (axes, lower),
        "difference_upper": (axes, upper),
        "exact": (axes[:2], known),
        "verdict": (axes, verdicts),
        "quantiles": ((*axes, "quantile"), quantiles_of(samples, list(functions))),
    }
    variables |= distances_of(samples, list(functions), record, chosen, confidence, seed)
    bound = gelbrich_bounds(exact)
    if bound is not None:
        variables["gelbrich"] = (("process", "step"), bound)
    parts, reasons = budgets_of(processes, labels, x0, record, samples, solver, substeps)
    if parts is not None:
        variables["budget"] = (("process", "part", "step"), parts[0])
        variables["budget_error"] = (("process", "part", "step"), parts[1])
    dataset = xr.Dataset(
        variables,
        coords={
            "process": labels,
            "observable": list(functions),
            "step": record,
            "distance_step": record[chosen],
            "quantile": list(QUANTILES),
            "part": list(budgets.PARTS),
        },
        attrs={
            "title": f"{labels[0]} against {', '.join(labels[1:])}",
            "problem": repr(reference.problem),
            "preparation": str(getattr(reference.problem, "preparation", "")),
            "steps": steps,
            "paths": paths,
            "seed": seed,
            "solver": solver,
            "substeps": substeps,
            "schemes": scheme_notes(processes, labels, solver, substeps),
            "tolerance": tolerance,
            "confidence": confidence,
            "step_size": float(getattr(reference, "step_size", np.nan)),
            "batch_size": int(getattr(reference, "batch_size", 0)),
            "x0": _describe_start(x0),
            "version": sgdlimits.__version__,
            "mismatches": json.dumps(wrong),
            "overflowed": json.dumps(overflowed),
            "claims": claim_notes(processes, labels),
            "stability": stability_notes(processes, labels),
            "budget_absent": reasons,
        },
    )
    return Laws(dataset)


def _observables(observables: Sequence[str] | Mapping[str, Any], problem: Any) -> dict[str, Any]:
    """Names -> what `simulate` understands; "test_risk" becomes the problem's function."""
    if not isinstance(observables, (str, Sequence, Mapping)) or isinstance(observables, bytes):
        raise InvalidInput(f"observables must be names or a mapping from names to functions, got {kind(observables)}")
    for name in (observables,) if isinstance(observables, str) else observables:
        text("an observable's name", name)
    named = dict(observables) if isinstance(observables, Mapping) else {name: name for name in (
        [observables] if isinstance(observables, str) else observables
    )}  # fmt: skip
    if not named:
        raise InvalidInput("observables is empty; name at least one, 'risk' for example")
    for name, value in named.items():
        if isinstance(value, FirstPassage):
            raise InvalidInput(f"observable {name!r} is a first passage, one number a path: compare a function of x")
    if "state" in named.values():
        raise InvalidInput("'state' is not a number; compare a function of it, such as lambda x: x[:, 0]")
    if named.get("test_risk") == "test_risk":
        problem.test_risk(np.zeros((1, problem.dimension)))  # says so when nothing is held out
        named["test_risk"] = problem.test_risk
    return named


def _describe_start(x0: Any) -> str:
    if isinstance(x0, tuple) or hasattr(x0, "covariance"):
        return "Gaussian"
    array = np.asarray(x0)
    if array.ndim == 2:
        return f"{array.shape[0]} given positions"
    return "the origin" if not array.any() else f"one point, norm {np.linalg.norm(array):.4g}"

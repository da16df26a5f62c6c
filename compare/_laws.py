"""compare.laws: two or more processes side by side, in law, with the error budget."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments, recorded_steps
from sgdlimits.exact.errors import InvalidInput, MismatchedProcesses, positive, real_number, whole_number

from . import budget as budgets
from .distances import gelbrich, kolmogorov_smirnov, wasserstein
from .estimates import Controls, mean_and_error, normal_quantile
from .outcomes import Laws
from .predictions import leading_error
from .processes import (
    check_processes,
    check_solver,
    claim_notes,
    distinct_labels,
    has_moments,
    mismatches,
    scheme_notes,
    scheme_of,
    stability_notes,
)

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
EXACT = ("risk", "test_risk")  # expectations that follow from two moments


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
    overflowed = {
        label: [int((run["overflow_step"].values >= 0).sum()), int(run["overflow_step"].where(run["overflow_step"] >= 0).min())]
        for label, run in zip(labels, runs)
        if "overflow_step" in run
    }
    exact, scheme = _exact_moments(processes, x0, steps, record, solver, substeps)
    controls = [_controls(sample, moments) for sample, moments in zip(samples, scheme)]
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
                columns["estimate"][row] = _expectation(name, process.problem, exact[index])
                columns["standard_error"][row] = 0.0
                columns["difference"][row] = columns["estimate"][row] - columns["estimate"][0, place]
                continue
            columns["estimate"][row], columns["standard_error"][row] = _mean(sample[name], controls[index])
            with np.errstate(invalid="ignore"):
                gap = sample[name] - samples[0][name]
            together = controls[index] + -controls[0] if index else Controls()
            columns["difference"][row], error[row] = _mean(gap, together)
    predicted = _predictions(processes, x0, record)
    for place, name in enumerate(functions):
        if name == "risk":
            columns["predicted"][:, place] = predicted
    half = normal_quantile(confidence) * error
    lower, upper = columns["difference"] - half, columns["difference"] + half
    verdicts = _verdicts(lower, upper, tolerance * np.abs(columns["estimate"][:1]))
    chosen = _distance_steps(record)
    axes = ("process", "observable", "step")
    variables = {name: (axes, values) for name, values in columns.items()}
    variables |= {
        "difference_lower": (axes, lower),
        "difference_upper": (axes, upper),
        "exact": (axes[:2], known),
        "verdict": (axes, verdicts),
        "quantiles": ((*axes, "quantile"), _quantiles(samples, list(functions))),
    }
    variables |= _distances(samples, list(functions), record, chosen, confidence, seed)
    bound = _gelbrich(exact)
    if bound is not None:
        variables["gelbrich"] = (("process", "step"), bound)
    parts, reasons = _budgets(processes, labels, x0, record, samples, solver, substeps)
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
    named = dict(observables) if isinstance(observables, Mapping) else {name: name for name in (
        [observables] if isinstance(observables, str) else observables
    )}  # fmt: skip
    if not named:
        raise InvalidInput("observables is empty; name at least one, 'risk' for example")
    if "state" in named.values():
        raise InvalidInput("'state' is not a number; compare a function of it, such as lambda x: x[:, 0]")
    if named.get("test_risk") == "test_risk":
        problem.test_risk(np.zeros((1, problem.dimension)))  # says so when nothing is held out
        named["test_risk"] = problem.test_risk
    return named


def _exact_moments(
    processes: Sequence[Any], x0: Any, steps: int, record: np.ndarray, solver: str, substeps: int
) -> tuple[list[Any], list[Any]]:
    """Moments of each process and of what is simulated in its place; None where they do not close."""
    exact: list[Any] = []
    simulated: list[Any] = []
    for process in processes:
        closes = has_moments(process)
        moments = process.moments(x0, steps, record=record).sel(step=record) if closes else None
        exact.append(moments)
        scheme = scheme_of(process, solver, substeps)
        if closes and scheme:
            moments = process.moments(x0, steps, record=record, **scheme).sel(step=record)
        simulated.append(moments)
    return exact, simulated


def _expectation(name: str, problem: Any, moments: Any) -> np.ndarray:
    if name == "risk":
        return moments["risk"].values
    return problem.expected_test_risk(moments["mean"].values, moments["covariance"].values)


def _controls(sample: Mapping[str, np.ndarray], moments: Any) -> Controls:
    """Risk and squared norm with their exact expectations under the simulated scheme."""
    if moments is None or not np.isfinite(sample["risk"]).all():
        return Controls()
    mean, covariance = moments["mean"].values, moments["covariance"].values
    square = np.square(mean).sum(-1) + np.trace(covariance, axis1=1, axis2=2)
    return Controls((sample["risk"], np.square(sample["norm"])), (moments["risk"].values, square))


def _mean(values: np.ndarray, controls: Controls) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error at each step; infinite from the step on at which a path overflowed."""
    finite = np.isfinite(values).all(axis=0)
    mean, error = np.full(finite.size, np.inf), np.full(finite.size, np.inf)
    if finite.any():
        kept = Controls(
            tuple(s[:, finite] for s in controls.samples), tuple(e[finite] for e in controls.expectations)
        )
        mean[finite], error[finite] = mean_and_error(values[:, finite], kept)
    return mean, error


def _predictions(processes: Sequence[Any], x0: Any, record: np.ndarray) -> np.ndarray:
    """Leading-order difference of E risk (processes, steps); nan where theory gives none."""
    predicted = np.full((len(processes), len(record)), np.nan)
    reference = processes[0]
    for index, process in enumerate(processes[1:], start=1):
        if budgets.obstacle(reference, process) or not has_moments(reference):
            continue
        mean, covariance = initial_moments(x0, reference.problem.dimension)
        vectors = reference.problem.eigenvectors
        leading = leading_error(
            reference, process, reference.problem.to_modes(mean), vectors.T @ covariance @ vectors,
            record * reference.step_size,
        )  # fmt: skip
        predicted[index] = leading.risk() * reference.step_size**leading.order
    return predicted


def _verdicts(lower: np.ndarray, upper: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """agrees: the whole interval lies within the margin; differs: outside; undecided: it straddles."""
    with np.errstate(invalid="ignore"):
        inside = (lower >= -margin) & (upper <= margin)
        outside = (lower > margin) | (upper < -margin)
    verdicts = np.where(inside, "agrees", np.where(outside, "differs", "undecided"))
    verdicts[0] = "reference"
    return verdicts.astype(object)


def _quantiles(samples: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> np.ndarray:
    values = [[np.quantile(sample[name], QUANTILES, axis=0).T for name in names] for sample in samples]
    return np.array(values)


def _distance_steps(record: np.ndarray) -> np.ndarray:
    """Places in `record` of at most six steps, spread in the logarithm of the step, the last included."""
    places = np.arange(record.size)[record > 0]
    if places.size <= 6:
        return places if places.size else np.array([record.size - 1])
    targets = np.geomspace(record[places[0]], record[-1], 6)
    return np.unique([places[np.argmin(np.abs(record[places] - target))] for target in targets])


def _distances(
    samples: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], record: np.ndarray, chosen: np.ndarray,
    confidence: float, seed: int,
) -> dict[str, Any]:  # fmt: skip
    kinds: dict[str, Callable[..., Any]] = {
        "w1": lambda a, b: wasserstein(a, b, confidence, seed),
        "ks": lambda a, b: kolmogorov_smirnov(a, b, confidence),
    }
    shape = (len(samples), len(names), len(chosen))
    found = {f"{kind}{end}": np.zeros(shape) for kind in kinds for end in ("", "_lower", "_upper")}
    for index in range(1, len(samples)):
        for place, name in enumerate(names):
            for number, step in enumerate(chosen):
                first, second = samples[0][name][:, step], samples[index][name][:, step]
                for kind, measure in kinds.items():
                    finite = np.isfinite(first).all() and np.isfinite(second).all()
                    values = (np.inf,) * 3
                    if finite:
                        distance = measure(first, second)
                        values = distance.value, distance.lower, distance.upper
                    for end, value in zip(("", "_lower", "_upper"), values):
                        found[kind + end][index, place, number] = value
    return {name: (("process", "observable", "distance_step"), values) for name, values in found.items()}


def _gelbrich(exact: Sequence[Any]) -> np.ndarray | None:
    """Lower bound (processes, steps) on W2 to the reference; nan for a side whose moments do not close."""
    if exact[0] is None or all(moments is None for moments in exact[1:]):
        return None
    first = exact[0]["mean"].values, exact[0]["covariance"].values
    bound = np.full((len(exact), len(first[0])), np.nan)
    for index, moments in enumerate(exact):
        if moments is not None:
            bound[index] = gelbrich(*first, moments["mean"].values, moments["covariance"].values)
    return bound


def _budgets(
    processes: Sequence[Any], labels: Sequence[str], x0: Any, record: np.ndarray,
    samples: Sequence[Mapping[str, np.ndarray]], solver: str, substeps: int,
) -> tuple[tuple[np.ndarray, np.ndarray] | None, str]:  # fmt: skip
    shape = (len(processes), len(budgets.PARTS), len(record))
    parts, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    reasons = []
    means = [budgets.Sampled(*_mean(sample["risk"], Controls())) for sample in samples]
    for index, process in enumerate(processes[1:], start=1):
        reason = budgets.obstacle(processes[0], process)
        if reason:
            reasons.append(f"{labels[index]}: {reason}")
            continue
        scheme = scheme_of(process, solver, substeps)
        found = budgets.error_budget(processes[0], process, x0, record, means[0], means[index], scheme)
        parts[index], errors[index] = found.parts, found.errors
    return (None if np.isnan(parts).all() else (parts, errors)), " ".join(reasons)


def _describe_start(x0: Any) -> str:
    if isinstance(x0, tuple) or hasattr(x0, "covariance"):
        return "Gaussian"
    array = np.asarray(x0)
    if array.ndim == 2:
        return f"{array.shape[0]} given positions"
    return "the origin" if not array.any() else f"one point, norm {np.linalg.norm(array):.4g}"

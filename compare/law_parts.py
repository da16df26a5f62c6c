"""The parts of compare.laws: estimates, predictions, verdicts, distances and budgets as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments

from . import budget as budgets
from .distances import EmpiricalLaw, gelbrich, kolmogorov_smirnov, wasserstein
from .estimates import Controls, mean_and_error
from .predictions import leading_error
from .processes import has_moments, scheme_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def exact_moments(
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


def expectation(name: str, problem: Any, moments: Any) -> np.ndarray:
    if name == "risk":
        return moments["risk"].values
    return problem.expected_test_risk(moments["mean"].values, moments["covariance"].values)


def controls_of(sample: Mapping[str, np.ndarray], moments: Any) -> Controls:
    """Risk and squared norm with their exact expectations under the simulated scheme."""
    if moments is None or not np.isfinite(sample["risk"]).all():
        return Controls()
    mean, covariance = moments["mean"].values, moments["covariance"].values
    square = np.square(mean).sum(-1) + np.trace(covariance, axis1=1, axis2=2)
    return Controls((sample["risk"], np.square(sample["norm"])), (moments["risk"].values, square))


def mean_with_error(values: np.ndarray, controls: Controls) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error at each step; infinite from the step on at which a path overflowed."""
    finite = np.isfinite(values).all(axis=0)
    mean, error = np.full(finite.size, np.inf), np.full(finite.size, np.inf)
    if finite.any():
        kept = Controls(
            tuple(s[:, finite] for s in controls.samples), tuple(e[finite] for e in controls.expectations)
        )
        mean[finite], error[finite] = mean_and_error(values[:, finite], kept)
    return mean, error


def predicted_risk(processes: Sequence[Any], x0: Any, record: np.ndarray) -> np.ndarray:
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


def verdicts_of(lower: np.ndarray, upper: np.ndarray, margin: np.ndarray) -> np.ndarray:
    """agrees: the whole interval lies within the margin; differs: outside; undecided: it straddles."""
    with np.errstate(invalid="ignore"):
        inside = (lower >= -margin) & (upper <= margin)
        outside = (lower > margin) | (upper < -margin)
    verdicts = np.where(inside, "agrees", np.where(outside, "differs", "undecided"))
    verdicts[0] = "reference"
    return verdicts.astype(object)


def quantiles_of(samples: Sequence[Mapping[str, np.ndarray]], names: Sequence[str]) -> np.ndarray:
    columns = [sample[name] for sample in samples for name in names]
    values = [np.quantile(column, QUANTILES, axis=0, method="inverted_cdf").T for column in columns]
    return np.reshape(values, (len(samples), len(names), *values[0].shape))


def distance_steps(record: np.ndarray) -> np.ndarray:
    """Places in `record` of at most six steps, spread in the logarithm of the step, the last included."""
    places = np.arange(record.size)[record > 0]
    if places.size <= 6:
        return places if places.size else np.array([record.size - 1])
    targets = np.geomspace(record[places[0]], record[-1], 6)
    return np.unique([places[np.argmin(np.abs(record[places] - target))] for target in targets])


def distances_of(
    samples: Sequence[Mapping[str, np.ndarray]], names: Sequence[str], record: np.ndarray, chosen: np.ndarray,
    confidence: float, seed: int,
) -> dict[str, Any]:  # fmt: skip
    kinds: dict[str, Callable[..., Any]] = {"w1": wasserstein, "ks": kolmogorov_smirnov}
    shape = (len(samples), len(names), len(chosen))
    found = {f"{kind}{end}": np.zeros(shape) for kind in kinds for end in ("", "_lower", "_upper")}
    for place, name in enumerate(names):
        for number, step in enumerate(chosen):
            here = [sample[name][:, step] for sample in samples]
            laws_here = [EmpiricalLaw(values, seed) if np.isfinite(values).all() else None for values in here]
            for index, kind in product(range(1, len(samples)), kinds):
                values = (np.inf,) * 3  # a path overflowed: no distance is known
                if laws_here[0] and laws_here[index]:
                    distance = kinds[kind](laws_here[0], laws_here[index], confidence)
                    values = distance.value, distance.lower, distance.upper
                for end, value in zip(("", "_lower", "_upper"), values):
                    found[kind + end][index, place, number] = value
    return {name: (("process", "observable", "distance_step"), values) for name, values in found.items()}


def gelbrich_bounds(exact: Sequence[Any]) -> np.ndarray | None:
    """Lower bound (processes, steps) on W2 to the reference; nan for a side whose moments do not close."""
    if exact[0] is None or all(moments is None for moments in exact[1:]):
        return None
    first = exact[0]["mean"].values, exact[0]["covariance"].values
    bound = np.full((len(exact), len(first[0])), np.nan)
    for index, moments in enumerate(exact):
        if moments is not None:
            second = moments["mean"].values, moments["covariance"].values
            finite = np.all([np.isfinite(m).all(axis=tuple(range(1, m.ndim))) for m in (*first, *second)], axis=0)
            bound[index] = np.inf
            bound[index, finite] = gelbrich(*(m[finite] for m in (*first, *second)))
    return bound


def budgets_of(
    processes: Sequence[Any], labels: Sequence[str], x0: Any, record: np.ndarray,
    samples: Sequence[Mapping[str, np.ndarray]], solver: str, substeps: int,
) -> tuple[tuple[np.ndarray, np.ndarray] | None, str]:  # fmt: skip
    shape = (len(processes), len(budgets.PARTS), len(record))
    parts, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    reasons = []
    known: dict[Any, np.ndarray] = {}
    means = [budgets.Sampled(*mean_with_error(sample["risk"], Controls())) for sample in samples]
    for index, process in enumerate(processes[1:], start=1):
        reason = budgets.obstacle(processes[0], process)
        if reason:
            reasons.append(f"{labels[index]}: {reason}")
            continue
        scheme = scheme_of(process, solver, substeps)
        found = budgets.error_budget(processes[0], process, x0, record, means[0], means[index], scheme, known)
        parts[index], errors[index] = found.parts, found.errors
    return (None if np.isnan(parts).all() else (parts, errors)), " ".join(reasons)

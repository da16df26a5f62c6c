"""Distances between the laws of one observable, and their quantiles, from paths or a known law."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..distances import EmpiricalLaw, ExactLaw, gelbrich, kolmogorov_smirnov, wasserstein
from .gathered import Gathered
from .means import noiseless
from .observables import Observable
from .sides import Run, Sample, Side

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def quantiles_of(gathered: Gathered) -> np.ndarray:
    """Quantiles (processes, observables, steps, levels) of paths, or of a known law."""
    sides, samples, observables = gathered.sides, gathered.samples, gathered.observables
    record = gathered.run.record
    found = np.empty((len(sides), len(observables), len(record), len(QUANTILES)))
    for (i, side), (j, observable) in product(enumerate(sides), enumerate(observables)):
        sample = samples[i]
        if sample is None:
            laws = [side.process.at(observable.name, step) for step in record]
            found[i, j] = [np.asarray(law.ppf(np.array(QUANTILES)), dtype=float) for law in laws]
        else:
            values = sample.values[observable.name] - observable.floor
            found[i, j] = np.quantile(values, QUANTILES, axis=0, method="inverted_cdf").T
    return found


def distance_steps(record: np.ndarray) -> np.ndarray:
    """Places in `record` of at most six steps, spread in the logarithm of the step, the last included."""
    places = np.arange(record.size)[record > 0]
    if places.size <= 6:
        return places if places.size else np.array([record.size - 1])
    targets = np.geomspace(record[places[0]], record[-1], 6)
    return np.unique([places[np.argmin(np.abs(record[places] - target))] for target in targets])


def distances_of(gathered: Gathered, chosen: np.ndarray, meanless: np.ndarray) -> dict[str, Any]:
    """W1 and Kolmogorov-Smirnov distance to the first side, with intervals that hold the integrator's part.

    `meanless` (sides, observables): where a mean means nothing, and with it W1.
    """
    sides, samples, observables, run = gathered.sides, gathered.samples, gathered.observables, gathered.run
    kinds: dict[str, Callable[..., Any]] = {"w1": wasserstein, "ks": kolmogorov_smirnov}
    shape = (len(sides), len(observables), len(chosen))
    found = {f"{kind}{end}": np.zeros(shape) for kind in kinds for end in ("", "_lower", "_upper")}
    for (place, observable), (number, step) in product(enumerate(observables), enumerate(chosen)):
        here = [
            _law(side, sample, observable, step, run, number_of_side)
            for number_of_side, (side, sample) in enumerate(zip(sides, samples))
        ]
        for index, kind in product(range(1, len(sides)), kinds):
            values = (np.inf,) * 3  # a path overflowed: no distance is known
            first, second = here[0], here[index]
            lost = kind == "w1" and meanless[[0, index], place].any()
            if lost or isinstance(first, ExactLaw) and isinstance(second, ExactLaw):
                values = (np.nan,) * 3
            elif first is not None and second is not None:
                distance = kinds[kind](first, second, gathered.confidence)
                part = sum(_distance_part(kind, samples[side], observable.name, step) for side in (0, index))
                largest = 1.0 if kind == "ks" else np.inf
                values = distance.value, max(distance.lower - part, 0.0), min(distance.upper + part, largest)
            for end, value in zip(("", "_lower", "_upper"), values):
                found[kind + end][index, place, number] = value
    return {name: (("process", "observable", "distance_step"), values) for name, values in found.items()}


def _law(
    side: Side, sample: Sample | None, observable: Observable, step: int, run: Run, number: int
) -> EmpiricalLaw | ExactLaw | None:
    if sample is None:
        return ExactLaw(side.process.at(observable.name, run.record[step]))
    values = sample.values[observable.name][:, step] - observable.floor
    if not np.isfinite(values).all():
        return None
    return EmpiricalLaw(values, run.child("bootstrap", number), certain=bool(noiseless(sample)[step]))


def _distance_part(kind: str, sample: Sample | None, name: str, step: int) -> float:
    if sample is None or sample.increments is None:
        return 0.0
    parts = sample.increments.w1 if kind == "w1" else sample.increments.ks
    return float(parts[name][step]) if name in parts else 0.0


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

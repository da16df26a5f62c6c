"""Estimates, differences, intervals, bands and verdicts over (process, observable, step), and the worst of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np

from ..capabilities import risk_floor
from ..estimates import band_quantile, normal_quantile
from ..known_tails import KnownTail
from ..verdicts import verdicts_of
from .gathered import Gathered
from .means import difference, mean_of
from .observables import Observable
from .sides import Side
from .tails import LOST, without_meaning

ROUNDING = 1e-12
ALIKE = 1e-9  # of a difference on its scale


@dataclass(frozen=True, eq=False)
class LawStatistics:
    """Everything over (process, observable, step), the reference first; `exact` over the first two.

    Intervals `lower`, `upper` hold at one step at a time, `band_lower` and `band_upper` at all steps at once; both
    contain the integrator's part. `scale` is what the tolerance is a part of; `lost`, over the first two, what a tail
    index takes from the row.
    """

    estimate: np.ndarray
    standard_error: np.ndarray
    difference: np.ndarray
    difference_lower: np.ndarray
    difference_upper: np.ndarray
    band_lower: np.ndarray
    band_upper: np.ndarray
    integrator: np.ndarray
    scale: np.ndarray
    verdict: np.ndarray
    unsure: np.ndarray
    exact: np.ndarray
    lost: np.ndarray

    def variables(self) -> dict[str, Any]:
        """Name -> (axes, array)."""
        axes = ("process", "observable", "step")
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "lost"}
        return {name: (axes[: array.ndim], array) for name, array in named.items()}


def law_statistics(
    gathered: Gathered, tails: Sequence[KnownTail], powers: Sequence[Mapping[str, float | None]]
) -> LawStatistics:
    """Estimates, differences to the first side, intervals, bands and verdicts."""
    sides, observables, run, confidence = gathered.sides, gathered.observables, gathered.run, gathered.confidence
    shape = (len(sides), len(observables), len(run.record))
    names = [f.name for f in fields(LawStatistics) if f.name not in ("exact", "verdict", "unsure", "lost")]
    found: dict[str, np.ndarray] = {name: np.zeros(shape) for name in names}
    found |= {"unsure": np.zeros(shape, dtype=bool), "exact": np.zeros(shape[:2], dtype=bool)}
    found["verdict"] = np.full(shape, "reference", dtype=object)
    found["lost"] = np.full(shape[:2], "", dtype=object)
    z = normal_quantile(confidence)
    for place, observable in enumerate(observables):
        means = [
            mean_of(side, observable, sample, exact, scheme, run)
            for side, sample, exact, scheme in zip(sides, gathered.samples, gathered.moments, gathered.controls)
        ]
        scale = scale_of(observable, sides[0], means[0].value)
        kept = [
            without_meaning(mean, tail, power.get(observable.name), run.record)
            for mean, tail, power in zip(means, tails, powers)
        ]
        means = [mean for mean, _ in kept]
        for index, (mean, lost) in enumerate(kept):
            row = index, place
            found["lost"][row] = lost
            found["estimate"][row], found["standard_error"][row] = mean.value, mean.error
            found["exact"][row], found["scale"][row] = mean.exact, scale
            if not index:
                continue
            meanless = LOST[0] in (lost, kept[0][1])
            gap, influence = difference(mean, means[0])
            # All start from one law: what differs at step 0 is rounding.
            same = (run.record == 0) & (np.abs(gap) <= ROUNDING)
            gap = np.where(same, 0.0, gap)
            error = np.sqrt(np.square(influence).sum(axis=0)) if influence is not None else np.zeros(shape[2])
            wide = z if influence is None else band_quantile(influence, confidence)
            part = mean.part + means[0].part
            doubtful = np.isinf(gap) & (not (mean.resolved and means[0].resolved))  # by the scheme perhaps
            unsure = ((mean.unsure | means[0].unsure) & np.isfinite(gap)) | doubtful
            found["difference"][row], found["integrator"][row], found["unsure"][row] = gap, part, unsure
            for ends, width in (("difference", z), ("band", wide)):
                half = np.where(unsure | np.isnan(gap), np.inf, np.where(np.isinf(gap), 0.0, width * error + part))
                half = np.where(same, 0.0, half)
                centre = np.where(np.isnan(gap) | doubtful, 0.0, gap)
                found[f"{ends}_lower"][row], found[f"{ends}_upper"][row] = centre - half, centre + half
            verdicts = verdicts_of(
                found["difference_lower"][row], found["difference_upper"][row], gathered.tolerance * scale
            )
            found["verdict"][row] = np.where(np.isnan(gap) & meanless, "none", verdicts)
    return LawStatistics(**found)


def scale_of(observable: Observable, reference: Side, value: np.ndarray) -> np.ndarray:
    """What a tolerance is a part of, at each step: the reference's excess over the least risk, else its value."""
    return np.abs(value - (floor_of(observable, reference) or 0.0))


def floor_of(observable: Observable, reference: Side) -> float | None:
    """The least value that this observable's expectation can have, where it is a risk of least squares."""
    if observable.name == "excess":
        return None
    if observable.source == "risk":
        return risk_floor(reference.problem)
    if observable.name == "test_risk" and hasattr(reference.problem, "test_features"):
        features, targets = reference.problem.test_features, reference.problem.test_targets
        best = np.linalg.lstsq(features, targets, rcond=None)[0]
        return float(np.square(features @ best - targets).mean() / 2)
    return None


def worst_of(statistics: LawStatistics, record: np.ndarray, tolerance: float) -> dict[str, np.ndarray]:
    """Over (process, observable): the worst difference of all recorded steps on its scale, its band, the verdict.

    agrees: the whole band lies within the margins; differs: at some step it lies outside; none: at some step a side
    has no mean.
    """
    shape = statistics.exact.shape
    names = ("worst_difference", "worst_lower", "worst_upper", "worst_scale")
    found = {name: np.full(shape, np.nan) for name in names}
    found["worst_step"] = np.zeros(shape, dtype=np.int64)
    found["overall"] = np.full(shape, "reference", dtype=object)
    moved = np.flatnonzero(record > 0) if (record > 0).any() else np.arange(record.size)
    for row in product(range(1, shape[0]), range(shape[1])):
        gap, scale = statistics.difference[row][moved], statistics.scale[row][moved]
        with np.errstate(invalid="ignore", divide="ignore"):
            size = np.abs(gap) / np.where(np.isfinite(scale) & (scale > 0), scale, 1.0)
        size = np.where(np.isnan(size), -1.0, size)
        # Of steps alike on the scale that of the largest difference: where one side grows away all are 100 % of it.
        alike = size >= size.max() * (1 - ALIKE) if 0 <= size.max() < np.inf else size == size.max()
        place = moved[int(np.argmax(np.where(alike, np.abs(gap), -1.0)))]
        lower, upper = statistics.band_lower[row], statistics.band_upper[row]
        verdicts = verdicts_of(lower[moved], upper[moved], tolerance * scale)
        verdicts = np.where(statistics.verdict[row][moved] == "none", "none", verdicts)
        order = ("differs", "undecided", "none")
        found["overall"][row] = next((word for word in order if (verdicts == word).any()), "agrees")
        found["worst_step"][row] = record[place]
        values = statistics.difference[row], lower, upper, statistics.scale[row]
        for name, array in zip(names, values):
            found[name][row] = array[place]
    return found

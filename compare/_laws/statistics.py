"""The numbers of compare.laws, as arrays: means, differences, bands, verdicts, distances and budgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import product
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments

from ..capabilities import fourth_moments_settle, has_moments, risk_floor
from ..distances import EmpiricalLaw, ExactLaw, gelbrich, kolmogorov_smirnov, wasserstein
from ..estimates import Controls, band_quantile, heaviest_share, mean_and_influence, normal_quantile
from ..predictions import leading_error
from ..verdicts import verdicts_of
from . import budget as budgets
from .observables import Observable
from .sides import KnownSide, Run, Sample, Side

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
HEAVY = 0.25  # part of a mean's variance that one path carries: from here on its interval means nothing
ENOUGH = 100  # paths from which such a part says something


@dataclass(frozen=True, eq=False)
class Mean:
    """An expectation (steps,): exact, or from paths with what each adds to its error (paths, steps).

    `unsure`: steps at which the error of a sampled mean cannot be told, because one path carries it or none differs.
    `shift`: the integrator's part, which is taken off; `part`: what may remain of it.
    """

    value: np.ndarray
    influence: np.ndarray | None
    values: np.ndarray | None
    controls: Controls
    unsure: np.ndarray
    shift: np.ndarray
    part: np.ndarray

    @property
    def exact(self) -> bool:
        """Whether nothing was sampled."""
        return self.influence is None

    @property
    def error(self) -> np.ndarray:
        """Standard error (steps,); infinite where a path overflowed."""
        if self.influence is None:
            return np.zeros(self.value.size)
        return np.where(np.isfinite(self.value), np.sqrt(np.square(self.influence).sum(axis=0)), np.inf)


@dataclass(frozen=True, eq=False)
class LawStatistics:
    """Everything over (process, observable, step), the reference first; `exact` over the first two.

    Intervals `lower`, `upper` hold at one step at a time, `band_lower` and `band_upper` at all steps at once; both
    contain the integrator's part. `scale` is what the tolerance is a part of.
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

    def variables(self) -> dict[str, Any]:
        """Name -> (axes, array)."""
        axes = ("process", "observable", "step")
        return {f.name: (axes[: getattr(self, f.name).ndim], getattr(self, f.name)) for f in fields(self)}


def mean_of(side: Side, observable: Observable, sample: Sample | None, moments: Any, simulated: Any, run: Run) -> Mean:
    """The mean of an observable on one side: exact where that side has it."""
    steps = len(run.record)
    none, zeros = np.zeros(steps, dtype=bool), np.zeros(steps)
    if isinstance(side, KnownSide):
        known = np.array([float(side.process.at(observable.name, step).mean()) for step in run.record])
        return Mean(known, None, None, Controls(), none, zeros, zeros)
    expected = observable.expectation(side.problem, moments)
    if expected is not None:
        return Mean(expected, None, None, Controls(), none, zeros, zeros)
    assert sample is not None  # what has no exact expectation was sampled
    values = sample.values[observable.name] - observable.floor
    controls = controls_of(side, sample, simulated)
    value, influence = _mean(values, controls)
    unsure = none
    if len(values) >= ENOUGH:
        still = (influence == 0).all(axis=0) & ~_noiseless(sample) & np.isfinite(value)
        unsure = (heaviest_share(influence) > HEAVY) | still
    shift = part = zeros
    if sample.increments is not None:
        shift = sample.increments.shift.get(observable.name, zeros)
        part = np.where(_noiseless(sample) & (run.record == 0), 0.0, sample.increments.part.get(observable.name, zeros))
    return Mean(value - shift, influence, values, controls, unsure, shift, part)


def _noiseless(sample: Sample) -> np.ndarray:
    """Steps (steps,) at which all paths stand at one point."""
    norms = sample.values["norm"]
    with np.errstate(invalid="ignore"):
        return np.ptp(norms, axis=0) <= 1e-12 * np.abs(norms[0])


def _mean(values: np.ndarray, controls: Controls) -> tuple[np.ndarray, np.ndarray]:
    """Mean and influence; the mean is infinite from the step on at which a path overflowed."""
    finite = np.isfinite(values).all(axis=0)
    mean, influence = np.full(finite.size, np.inf), np.zeros(values.shape)
    if finite.any():
        mean[finite], influence[:, finite] = mean_and_influence(values[:, finite], controls.at(finite))
    return mean, influence


def controls_of(side: Side, sample: Sample, moments: Any) -> Controls:
    """Risk and squared norm with their exact expectations, where a stationary fourth moment is proved finite."""
    if moments is None or not fourth_moments_settle(side.process) or not np.isfinite(sample.values["risk"]).all():
        return Controls()
    mean, covariance = moments["mean"].values, moments["covariance"].values
    square = np.square(mean).sum(-1) + np.trace(covariance, axis1=1, axis2=2)
    expectations = moments["risk"].values, square
    return Controls((sample.values["risk"], np.square(sample.values["norm"])), expectations)


def law_statistics(
    sides: Sequence[Side], observables: Sequence[Observable], samples: Sequence[Sample | None],
    moments: Sequence[Any], simulated: Sequence[Any], run: Run, tolerance: float, confidence: float,
) -> LawStatistics:  # fmt: skip
    """Estimates, differences to the first side, intervals, bands and verdicts."""
    shape = (len(sides), len(observables), len(run.record))
    names = [f.name for f in fields(LawStatistics) if f.name not in ("exact", "verdict", "unsure")]
    found: dict[str, np.ndarray] = {name: np.zeros(shape) for name in names}
    found |= {"unsure": np.zeros(shape, dtype=bool), "exact": np.zeros(shape[:2], dtype=bool)}
    found["verdict"] = np.full(shape, "reference", dtype=object)
    z = normal_quantile(confidence)
    for place, observable in enumerate(observables):
        means = [
            mean_of(side, observable, sample, exact, scheme, run)
            for side, sample, exact, scheme in zip(sides, samples, moments, simulated)
        ]
        scale = scale_of(observable, sides[0], means[0].value)
        for index, mean in enumerate(means):
            row = index, place
            found["estimate"][row], found["standard_error"][row] = mean.value, mean.error
            found["exact"][row], found["scale"][row] = mean.exact, scale
            if not index:
                continue
            gap, influence = _difference(mean, means[0])
            error = np.sqrt(np.square(influence).sum(axis=0)) if influence is not None else np.zeros(shape[2])
            wide = z if influence is None else band_quantile(influence, confidence)
            part = mean.part + means[0].part
            unsure = (mean.unsure | means[0].unsure) & np.isfinite(gap)
            found["difference"][row], found["integrator"][row], found["unsure"][row] = gap, part, unsure
            for ends, width in (("difference", z), ("band", wide)):
                half = np.where(unsure | np.isnan(gap), np.inf, np.where(np.isinf(gap), 0.0, width * error + part))
                centre = np.where(np.isnan(gap), 0.0, gap)
                found[f"{ends}_lower"][row], found[f"{ends}_upper"][row] = centre - half, centre + half
            found["verdict"][row] = verdicts_of(
                found["difference_lower"][row], found["difference_upper"][row], tolerance * scale
            )
    return LawStatistics(**found)


def _difference(mean: Mean, reference: Mean) -> tuple[np.ndarray, np.ndarray | None]:
    """Other minus reference (steps,), and what each path adds to its error; sampled sides are taken path by path.

    They may share where they start. Infinite where one side is, nan where both are.
    """
    with np.errstate(invalid="ignore"):
        gap = mean.value - reference.value
        if mean.values is None or reference.values is None:
            return gap, mean.influence if reference.influence is None else reference.influence
        pairs = mean.values - reference.values
    together, influence = _mean(pairs, mean.controls + -reference.controls)
    return np.where(np.isfinite(gap), together - (mean.shift - reference.shift), gap), influence


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

    agrees: the whole band lies within the margins; differs: at some step it lies outside.
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
        place = moved[int(np.argmax(np.where(np.isnan(size), -1.0, size)))]
        lower, upper = statistics.band_lower[row], statistics.band_upper[row]
        verdicts = verdicts_of(lower[moved], upper[moved], tolerance * scale)
        found["overall"][row] = next((w for w in ("differs", "undecided") if (verdicts == w).any()), "agrees")
        found["worst_step"][row] = record[place]
        values = statistics.difference[row], lower, upper, statistics.scale[row]
        for name, array in zip(names, values):
            found[name][row] = array[place]
    return found


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


def quantiles_of(
    sides: Sequence[Side], samples: Sequence[Sample | None], observables: Sequence[Observable], record: np.ndarray
) -> np.ndarray:
    """Quantiles (processes, observables, steps, levels) of paths, or of a known law."""
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


def distances_of(
    sides: Sequence[Side], samples: Sequence[Sample | None], observables: Sequence[Observable], run: Run,
    chosen: np.ndarray, confidence: float,
) -> dict[str, Any]:  # fmt: skip
    """W1 and Kolmogorov-Smirnov distance to the first side, with intervals that hold the integrator's part."""
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
            if isinstance(first, ExactLaw) and isinstance(second, ExactLaw):
                values = (np.nan,) * 3
            elif first is not None and second is not None:
                distance = kinds[kind](first, second, confidence)
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
    return EmpiricalLaw(values, run.child("bootstrap", number), certain=bool(_noiseless(sample)[step]))


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


def budgets_of(
    sides: Sequence[Side], samples: Sequence[Sample | None], run: Run
) -> tuple[tuple[np.ndarray, np.ndarray] | None, str]:
    """Budgets of E risk over (process, part, step) with standard errors, and why some sides have none.

    A Monte Carlo part has no standard error (nan) unless a fourth moment is proved finite.
    """
    shape = (len(sides), len(budgets.PARTS), len(run.record))
    parts, errors = np.full(shape, np.nan), np.full(shape, np.nan)
    reasons = []
    known: dict[Any, np.ndarray] = {}
    means: list[budgets.Sampled | None] = []
    for side, sample in zip(sides, samples):
        if sample is None or "risk" not in sample.values:
            means.append(None)
            continue
        value, influence = _mean(sample.values["risk"], Controls())
        error = np.sqrt(np.square(influence).sum(axis=0))
        tame = fourth_moments_settle(side.process) or _noiseless(sample).all()
        means.append(budgets.Sampled(value, np.where(tame & np.isfinite(value), error, np.nan)))
    for index, side in enumerate(sides[1:], start=1):
        reason = budgets.obstacle(sides[0].process, side.process)
        if reason:
            reasons.append(f"{side.label}: {reason}")
            continue
        reference, other, sample = means[0], means[index], samples[index]
        if reference is None or other is None or sample is None or sample.increments is None:
            continue
        increments = sample.increments
        scheme = {"solver": increments.solver, "substeps": increments.substeps}
        if increments.solver not in side.process.solvers:
            reasons.append(f"{side.label}: No error budget by {increments.solver!r}, whose moments do not close.")
            continue
        found = budgets.error_budget(
            sides[0].process, side.process, run.x0, run.record, reference, other, scheme, known
        )
        parts[index], errors[index] = found.parts, found.errors
    return (None if np.isnan(parts).all() else (parts, errors)), " ".join(reasons)


def cautions_of(
    sides: Sequence[Side], samples: Sequence[Sample | None], statistics: LawStatistics, predicted: np.ndarray,
    cancelling: np.ndarray, unstable: Sequence[bool], other_noise: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Words (process, observable) on why not to trust a row, "; " between them; empty when there is nothing to say."""
    shape = statistics.exact.shape
    found = np.full(shape, "", dtype=object)
    for row in product(range(1, shape[0]), range(shape[1])):
        words, index = [], row[0]
        pair = [sides[0], sides[index]]
        if any(side.note for side in pair):
            words.append("scheme replaced")
        if any(unstable[i] for i in (0, index)):
            words.append("unstable")
        if not np.isfinite(statistics.estimate[row]).all() or not np.isfinite(statistics.estimate[0, row[1]]).all():
            words.append("overflow")
        if statistics.unsure[row].any():
            words.append("tails")
        exact = statistics.exact[row] and statistics.exact[0, row[1]]
        error = np.hypot(statistics.standard_error[row], statistics.standard_error[0, row[1]])
        if not exact and (statistics.integrator[row] > np.maximum(error, 1e-300) * 1.5).any():
            words.append("integrator")
        expected = predicted[row]
        with np.errstate(invalid="ignore"):
            off = np.abs(statistics.difference[row] - expected) > 0.5 * np.abs(statistics.difference[row])
        if (off & np.isfinite(expected) & (expected != 0)).any():
            words.append("higher orders")
        if cancelling[row]:
            words.append("errors cancel")
        if other_noise[row]:
            words.append("other noise")
        found[row] = "; ".join(words)
    return found

"""Expectations on one side, exact or from paths, and their differences with what each path adds to the error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..capabilities import fourth_moments_settle
from ..estimates import Controls, heaviest_share, mean_and_influence
from .observables import Observable
from .sides import KnownSide, Run, Sample, Side

HEAVY = 0.25  # part of a mean's variance that one path carries: from here on its interval means nothing
ENOUGH = 100  # paths from which such a part says something


@dataclass(frozen=True, eq=False)
class Mean:
    """An expectation (steps,): exact, or from paths with what each adds to its error (paths, steps).

    `unsure`: steps at which the error of a sampled mean cannot be told, because one path carries it or none differs.
    `shift`: the integrator's part, which is taken off; `part`: what may remain of it, known where `resolved`.
    `errorless`: where no standard error exists, because the variance is infinite.
    """

    value: np.ndarray
    influence: np.ndarray | None
    values: np.ndarray | None
    controls: Controls
    unsure: np.ndarray
    shift: np.ndarray
    part: np.ndarray
    resolved: bool = True
    errorless: np.ndarray | bool = False

    @property
    def exact(self) -> bool:
        """Whether nothing was sampled."""
        return self.influence is None

    @property
    def error(self) -> np.ndarray:
        """Standard error (steps,); infinite where a path overflowed."""
        if self.influence is None:
            return np.zeros(self.value.size)
        known = np.isfinite(self.value) & ~np.asarray(self.errorless)
        return np.where(known, np.sqrt(np.square(self.influence).sum(axis=0)), np.inf)


def mean_of(side: Side, observable: Observable, sample: Sample | None, moments: Any, simulated: Any, run: Run) -> Mean:
    """The mean of an observable on one side: exact where that side has it."""
    steps = len(run.record)
    none, zeros = np.zeros(steps, dtype=bool), np.zeros(steps)
    if isinstance(side, KnownSide):
        known = np.array([float(side.process.at(observable.name, step).mean()) for step in run.record])
        known[~np.isfinite(known)] = np.nan  # infinite or undefined: distributions do not tell the two apart
        return Mean(known, None, None, Controls(), none, zeros, zeros)
    expected = side.expectation(observable, moments)
    if expected is not None:
        return Mean(expected, None, None, Controls(), none, zeros, zeros)
    assert sample is not None  # what has no exact expectation was sampled
    values = sample.values[observable.name] - observable.floor
    controls = controls_of(side, sample, simulated)
    value, influence = plain_mean(values, controls)
    unsure = none
    if len(values) >= ENOUGH:
        still = (influence == 0).all(axis=0) & ~noiseless(sample) & np.isfinite(value)
        unsure = (heaviest_share(influence) > HEAVY) | still
    shift, part, resolved = zeros, zeros, sample.increments is None or sample.increments.resolved
    if sample.increments is not None:
        shift = sample.increments.shift.get(observable.name, zeros)
        part = np.where(noiseless(sample) & (run.record == 0), 0.0, sample.increments.part.get(observable.name, zeros))
    return Mean(value - shift, influence, values, controls, unsure, shift, part, resolved)


def controls_of(side: Side, sample: Sample, moments: Any) -> Controls:
    """Risk and squared norm with their exact expectations, where a stationary fourth moment is proved finite."""
    if moments is None or not fourth_moments_settle(side.process) or not np.isfinite(sample.values["risk"]).all():
        return Controls()
    mean, covariance = moments["mean"].values, moments["covariance"].values
    square = np.square(mean).sum(-1) + np.trace(covariance, axis1=1, axis2=2)
    expectations = moments["risk"].values, square
    return Controls((sample.values["risk"], np.square(sample.values["norm"])), expectations)


def difference(mean: Mean, reference: Mean) -> tuple[np.ndarray, np.ndarray | None]:
    """Other minus reference (steps,), and what each path adds to its error; sampled sides are taken path by path.

    They may share where they start. Infinite where one side is, nan where both are.
    """
    with np.errstate(invalid="ignore"):
        gap = mean.value - reference.value
        if mean.values is None or reference.values is None:
            return gap, mean.influence if reference.influence is None else reference.influence
        pairs = mean.values - reference.values
    together, influence = plain_mean(pairs, mean.controls + -reference.controls)
    return np.where(np.isfinite(gap), together - (mean.shift - reference.shift), gap), influence


def plain_mean(values: np.ndarray, controls: Controls) -> tuple[np.ndarray, np.ndarray]:
    """Mean and influence; the mean is infinite where a value is, and from the step on at which a path overflowed."""
    finite = np.isfinite(values).all(axis=0)
    falls = np.isneginf(values).any(axis=0) & (np.isfinite(values) | np.isneginf(values)).all(axis=0)
    mean, influence = np.where(falls, -np.inf, np.inf), np.zeros(values.shape)
    if finite.any():
        mean[finite], influence[:, finite] = mean_and_influence(values[:, finite], controls.at(finite))
    return mean, influence


def noiseless(sample: Sample) -> np.ndarray:
    """Steps (steps,) at which all paths stand at one point."""
    norms = sample.values["norm"]
    finite = np.isfinite(norms)
    with np.errstate(invalid="ignore"):
        return np.ptp(norms, axis=0) <= 1e-12 * np.abs(norms[0]) + 1e-15 * np.abs(norms).max(initial=0.0, where=finite)

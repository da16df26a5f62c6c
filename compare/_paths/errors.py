"""Errors of a row at every rung: of paths about a curve, of their mean, of laws, of exit times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..distances import EmpiricalLaw, kolmogorov_smirnov, wasserstein
from ..estimates import normal_quantile, student_quantile

CLEAR = 3.0  # standard errors that an error must be above zero to have an order
DIRECTIONS = 4  # fixed random combinations of all coordinates at all times


@dataclass(frozen=True, eq=False)
class Errors:
    """Of one row and one reference: values (R,) with intervals, and standard errors (nan where none is meant)."""

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    error: np.ndarray

    @classmethod
    def of(cls, values: Sequence[tuple[float, float]], confidence: float, paths: int) -> Errors:
        """From pairs of a value and its standard error, from so many paths."""
        value, error = np.array(values, dtype=float).T
        half = student_quantile(confidence, degrees_of(paths)) * error
        return cls(value, value - half, value + half, error)


def degrees_of(paths: int) -> int:
    """Degrees of freedom of a standard error: those of a mean over half of the paths, as in `of_means`."""
    return max(1, paths // 2 - 1)


def averages(samples: Sequence[np.ndarray], confidence: float) -> Errors:
    """Means of samples (P,), one a rung."""
    return Errors.of([(x.mean(), x.std(ddof=1) / math.sqrt(len(x))) for x in samples], confidence, len(samples[0]))


def of_means(gaps: Sequence[np.ndarray], confidence: float) -> Errors:
    """Error of the mean of gaps (P, T, m), one array a rung, without the bias of a norm of noisy means.

    The time and the direction in which the means, added over the rungs, are largest are found from one half of the
    paths and the mean is measured on the other half, both ways round: an unbiased estimate of a number that is at most
    the largest norm of the mean, and equal to it but for the second order of the error in time and direction. Derived.
    """
    halves = [[x[0::2] for x in gaps], [x[1::2] for x in gaps]]
    found: list[list[tuple[float, float]]] = []
    for chosen, other in (halves, halves[::-1]):
        pooled = np.sum([x.mean(axis=0) for x in chosen], axis=0)
        sizes = np.linalg.norm(pooled, axis=-1)
        place = int(np.argmax(sizes))
        unit = pooled[place] / (sizes[place] or 1.0)
        along = [x[:, place] @ unit for x in other]
        found.append([(x.mean(), x.std(ddof=1) / math.sqrt(len(x))) for x in along])
    pairs = []
    for (a, s), (b, t) in zip(*found):
        value, error = (a + b) / 2, math.hypot(s, t) / 2
        # Both ways hold the product of the two means: all that there is below three errors.
        pairs.append((value, error if abs(value) > CLEAR * error else (s + t) / 2))
    return Errors.of(pairs, confidence, len(gaps[0]))


def functionals(points: np.ndarray, values: np.ndarray, places: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Functionals (P, F) of the joint law at times: values, increments, average, and random combinations of points.

    points (P, T + 1, m) less the start, values (P, T + 1) of the coordinate, `places` (n,) of the times, scale (n, m).
    """
    at = values[:, places]
    joint = (points[:, places] / scale).reshape(len(points), -1)
    directions = np.random.Generator(np.random.Philox(0)).standard_normal((joint.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    return np.column_stack([at, np.diff(at, axis=1), values.mean(axis=1), joint @ directions])


@dataclass(frozen=True, eq=False)
class Reference:
    """Laws (F) of a sampled limit, with the spread (F,) of each."""

    laws: list[EmpiricalLaw]
    spread: np.ndarray
    confidence: float
    resamples: int

    @classmethod
    def of(cls, sample: np.ndarray, confidence: float) -> Reference:
        """From functionals (M, F); the confidence is shared out by Bonferroni."""
        each = 1 - (1 - confidence) / sample.shape[1]
        resamples = max(400, math.ceil(2 / (1 - each)))
        laws = [EmpiricalLaw(column, seed=2 * i, resamples=resamples) for i, column in enumerate(sample.T)]
        return cls(laws, np.maximum(sample.std(axis=0), np.finfo(float).tiny), each, resamples)

    def distances(self, samples: Sequence[np.ndarray]) -> tuple[Errors, Errors]:
        """Largest W1 over spread, and largest Kolmogorov-Smirnov distance, of samples (P, F), one a rung."""
        found: list[list[tuple[float, float, float]]] = [[], []]
        for sample in samples:
            laws = [EmpiricalLaw(c, seed=2 * i + 1, resamples=self.resamples) for i, c in enumerate(sample.T)]
            both = list(zip(laws, self.laws))
            near = [wasserstein(a, b, self.confidence) for a, b in both]
            apart = [kolmogorov_smirnov(a, b, self.confidence) for a, b in both]
            for rows, units, each in ((found[0], self.spread, near), (found[1], np.ones(len(both)), apart)):
                ends = [(d.value / u, d.lower / u, d.upper / u) for d, u in zip(each, units)]
                top, low, high = (max(column) for column in zip(*ends))
                rows.append((top, low, high))
        out = []
        for rows in found:
            value, lower, upper = np.array(rows).T
            out.append(Errors(value, lower, upper, np.full(len(value), np.nan)))
        return out[0], out[1]


def exit_times(beyond: np.ndarray, times: np.ndarray) -> np.ndarray:
    """First times (P,) at which `beyond` (P, T + 1) reaches 0, linear between looks; inf where it does not."""
    passed = beyond >= 0
    after = np.argmax(passed, axis=1)
    before, rows = np.maximum(after - 1, 0), np.arange(len(beyond))
    low, high = beyond[rows, before], beyond[rows, after]
    share = np.where(after > 0, -low / np.where(high > low, high - low, 1.0), 0.0)
    found = times[before] + share * (times[after] - times[before])
    return np.where(passed.any(axis=1), found, np.inf)


def probabilities(exited: Sequence[np.ndarray], reference: np.ndarray, confidence: float) -> Errors:
    """Difference of the part (P,) that left and the limit's, by Agresti and Caffo's interval."""
    z, rows = normal_quantile(confidence), []
    for x in exited:
        n, p = len(x) + 2, (x.sum() + 1) / (len(x) + 2)
        m, q = len(reference) + 2, (reference.sum() + 1) / (len(reference) + 2)
        gap, middle = x.mean() - reference.mean(), p - q
        half = z * math.sqrt(p * (1 - p) / n + q * (1 - q) / m)
        rows.append((gap, min(gap, middle - half), max(gap, middle + half)))
    value, lower, upper = np.array(rows).T
    return Errors(value, lower, upper, np.full(len(value), np.nan))

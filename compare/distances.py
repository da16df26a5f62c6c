"""Distances between laws: Gelbrich's bound from moments, Wasserstein-1 and Kolmogorov-Smirnov from samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


def gelbrich(
    mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray
) -> np.ndarray:
    """Lower bound (...) on the Wasserstein-2 distance of any two laws with these moments (Gelbrich 1990).

    Means (..., d), covariances (..., d, d). It is attained by Gaussians. The trace term is evaluated as the
    squared distance of two matrix roots after their best rotation, which does not cancel for nearby laws.
    """
    first, second = _root(covariance), _root(other_covariance)
    left, _, right = np.linalg.svd(np.swapaxes(second, -1, -2) @ first)
    spread = first - second @ (left @ right)
    return np.sqrt(np.square(mean - other_mean).sum(-1) + np.square(spread).sum((-2, -1)))


def _root(covariance: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


@dataclass(frozen=True)
class Distance:
    """A distance between two sampled laws, with an interval that covers the distance of the laws."""

    value: float
    lower: float
    upper: float


class EmpiricalLaw:
    """A sample of a one-dimensional law, sorted once; its own sampling error is bootstrapped once."""

    def __init__(self, sample: np.ndarray, seed: int = 0, resamples: int = 200) -> None:
        self.ordered = np.sort(sample)
        self.seed, self.resamples = seed, resamples
        self._margins: dict[float, float] = {}

    def margin(self, level: float) -> float:
        """Bootstrap quantile of the Wasserstein-1 distance between the law and the sample."""
        if level not in self._margins:
            size, gaps = self.ordered.size, np.diff(self.ordered)
            uniform = np.arange(1, size) / size
            generator = np.random.Generator(np.random.Philox(self.seed))
            distances = np.empty(self.resamples)
            for index in range(self.resamples):
                counts = np.bincount(generator.integers(0, size, size), minlength=size)
                distances[index] = np.abs(np.cumsum(counts)[:-1] / size - uniform) @ gaps
            self._margins[level] = float(np.quantile(distances, level)) if gaps.any() else 0.0
        return self._margins[level]


def wasserstein(first: EmpiricalLaw, second: EmpiricalLaw, confidence: float = 0.95) -> Distance:
    """Wasserstein-1 distance of two one-dimensional laws from samples.

    The interval is the triangle inequality: the sampled distance plus or minus the distances of the two
    samples from their own laws, whose quantiles are bootstrapped. It is conservative, and needs a finite
    second moment.
    """
    from scipy.stats import wasserstein_distance

    value = float(wasserstein_distance(first.ordered, second.ordered))
    level = (1 + confidence) / 2  # half of the error probability to each sample
    margin = first.margin(level) + second.margin(level)
    return Distance(value, max(value - margin, 0.0), value + margin)


def kolmogorov_smirnov(first: EmpiricalLaw, second: EmpiricalLaw, confidence: float = 0.95) -> Distance:
    """Kolmogorov-Smirnov distance of two one-dimensional laws from samples.

    The interval adds the two Dvoretzky-Kiefer-Wolfowitz bands with Massart's constant: it holds for any law
    and any size of sample.
    """
    laws = first.ordered, second.ordered
    grid = np.concatenate(laws)
    below = [np.searchsorted(ordered, grid, side="right") / ordered.size for ordered in laws]
    value = float(np.abs(below[0] - below[1]).max())
    share = (1 - confidence) / 2
    margin = sum(math.sqrt(math.log(2 / share) / (2 * ordered.size)) for ordered in laws)
    return Distance(value, max(value - margin, 0.0), min(value + margin, 1.0))

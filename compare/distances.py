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


def wasserstein(
    first: np.ndarray, second: np.ndarray, confidence: float = 0.95, seed: int = 0, resamples: int = 200
) -> Distance:
    """Wasserstein-1 distance of two one-dimensional laws from samples.

    The interval is the triangle inequality: the sampled distance plus or minus the distances of the two
    samples from their own laws, whose quantiles are bootstrapped. It is conservative, and needs a finite
    second moment.
    """
    from scipy.stats import wasserstein_distance

    value = float(wasserstein_distance(first, second))
    level = (1 + confidence) / 2  # half of the error probability to each sample
    generator = np.random.Generator(np.random.Philox(seed))
    margin = sum(_own_distance(np.sort(sample), level, generator, resamples) for sample in (first, second))
    return Distance(value, max(value - margin, 0.0), value + margin)


def _own_distance(ordered: np.ndarray, level: float, generator: np.random.Generator, resamples: int) -> float:
    """Bootstrap quantile of the Wasserstein-1 distance between a sample's law and the sample."""
    size = ordered.size
    gaps = np.diff(ordered)
    if not gaps.any():
        return 0.0
    uniform = np.arange(1, size) / size
    distances = np.empty(resamples)
    for index in range(resamples):
        counts = np.bincount(generator.integers(0, size, size), minlength=size)
        distances[index] = np.abs(np.cumsum(counts)[:-1] / size - uniform) @ gaps
    return float(np.quantile(distances, level))


def kolmogorov_smirnov(first: np.ndarray, second: np.ndarray, confidence: float = 0.95) -> Distance:
    """Kolmogorov-Smirnov distance of two one-dimensional laws from samples.

    The interval adds the two Dvoretzky-Kiefer-Wolfowitz bands with Massart's constant: it holds for any law
    and any size of sample.
    """
    grid = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(np.sort(sample), grid, side="right") / sample.size for sample in (first, second)]
    value = float(np.abs(below[0] - below[1]).max())
    share = (1 - confidence) / 2
    margin = sum(math.sqrt(math.log(2 / share) / (2 * sample.size)) for sample in (first, second))
    return Distance(value, max(value - margin, 0.0), min(value + margin, 1.0))

"""Distances between laws: Gelbrich's bound from moments; Wasserstein-1 and Kolmogorov-Smirnov of laws on the line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

FINENESS = 16  # points of the quantile function of a known law in each cell of a sample


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
    """A distance between two laws, of which one or both are sampled, with an interval that covers it."""

    value: float
    lower: float
    upper: float


class EmpiricalLaw:
    """A sample of a one-dimensional law, sorted once; its own sampling error is bootstrapped once.

    `certain`: that the paths are all alike is known (there is no noise), not only what was drawn.
    """

    def __init__(self, sample: np.ndarray, seed: int = 0, resamples: int = 400, certain: bool = False) -> None:
        self.ordered, self.certain = np.sort(sample), certain
        self.seed, self.resamples = seed, resamples
        self._margins: dict[float, float] = {}

    @property
    def size(self) -> int:
        """Number of paths."""
        return self.ordered.size

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Part of the sample at or below x."""
        return np.searchsorted(self.ordered, x, side="right") / self.size

    def margin(self, level: float) -> float:
        """Bootstrap quantile of the Wasserstein-1 distance between the law and the sample.

        Among R resamples the order statistic of place level (R + 1), upwards; a resample of n paths spreads by (n - 1)
        / n of the law's variance.
        """
        if level not in self._margins:
            size, gaps = self.ordered.size, np.diff(self.ordered)
            uniform = np.arange(1, size) / size
            generator = np.random.Generator(np.random.Philox(self.seed))
            distances = np.empty(self.resamples)
            for index in range(self.resamples):
                counts = np.bincount(generator.integers(0, size, size), minlength=size)
                distances[index] = np.abs(np.cumsum(counts)[:-1] / size - uniform) @ gaps
            place = min(math.ceil(level * (self.resamples + 1)), self.resamples) - 1
            spread = math.sqrt(size / (size - 1)) if size > 1 else 1.0
            self._margins[level] = spread * float(np.sort(distances)[place]) if gaps.any() else 0.0
        return self._margins[level]

    def few_values(self) -> bool:
        """Whether so few paths differ from the commonest value that a bootstrap of them says little."""
        _, counts = np.unique(self.ordered, return_counts=True)
        return not self.certain and self.size - counts.max() < FEWEST


FEWEST = 20  # paths off the commonest value from which the bootstrap of a sample is trusted


@dataclass(frozen=True, eq=False)
class ExactLaw:
    """A law in closed form: `cdf` and `ppf` of a distribution. It has no sampling error."""

    distribution: Any

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """P(X <= x)."""
        return np.asarray(self.distribution.cdf(x), dtype=float)

    def margin(self, level: float) -> float:
        """Zero."""
        return 0.0

    def few_values(self) -> bool:
        """Never."""
        return False


Law = EmpiricalLaw | ExactLaw


def wasserstein(first: Law, second: Law, confidence: float = 0.95) -> Distance:
    """Wasserstein-1 distance of two one-dimensional laws, at least one of them sampled.

    The interval is the triangle inequality: the sampled distance plus or minus the distances of the two
    samples from their own laws, whose quantiles are bootstrapped. It is conservative, and needs a finite
    second moment. Where fewer than 20 paths differ from the commonest value the bootstrap is blind to what was not
    drawn: the upper end is then infinite, the lower end zero.
    """
    value = _wasserstein(first, second)
    both = isinstance(first, EmpiricalLaw) and isinstance(second, EmpiricalLaw)
    level = (1 + confidence) / 2 if both else confidence  # half of the error probability to each sample
    if first.few_values() or second.few_values():
        return Distance(value, 0.0, math.inf)
    margin = first.margin(level) + second.margin(level)
    return Distance(value, max(value - margin, 0.0), value + margin)


def _wasserstein(first: Law, second: Law) -> float:
    if isinstance(first, EmpiricalLaw) and isinstance(second, EmpiricalLaw):
        from scipy.stats import wasserstein_distance

        return float(wasserstein_distance(first.ordered, second.ordered))
    if isinstance(first, ExactLaw):
        first, second = second, first
    if not (isinstance(first, EmpiricalLaw) and isinstance(second, ExactLaw)):
        raise TypeError("a distance of two known laws is not measured here")
    # The integral of |Q_n(u) - Q(u)|: midpoints inside each cell of the sample's quantile function.
    points = (np.arange(first.size * FINENESS) + 0.5) / (first.size * FINENESS)
    quantiles = np.asarray(second.distribution.ppf(points), dtype=float)
    return float(np.abs(np.repeat(first.ordered, FINENESS) - quantiles).mean())


def kolmogorov_smirnov(first: Law, second: Law, confidence: float = 0.95) -> Distance:
    """Kolmogorov-Smirnov distance of two one-dimensional laws, at least one of them sampled.

    The interval adds the Dvoretzky-Kiefer-Wolfowitz bands with Massart's constant of the samples: it holds for any
    law and any size of sample.
    """
    samples = [law for law in (first, second) if isinstance(law, EmpiricalLaw)]
    grid = np.concatenate([law.ordered for law in samples])
    value = float(np.abs(first.cdf(grid) - second.cdf(grid)).max())
    if len(samples) == 1:  # just before a jump the sample still stands lower
        below = np.searchsorted(samples[0].ordered, grid, side="left") / samples[0].size
        other = second if samples[0] is first else first
        value = max(value, float(np.abs(below - other.cdf(np.nextafter(grid, -np.inf))).max()))
    share = (1 - confidence) / len(samples)
    margin = sum(math.sqrt(math.log(2 / share) / (2 * law.size)) for law in samples)
    return Distance(value, max(value - margin, 0.0), min(value + margin, 1.0))

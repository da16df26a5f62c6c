"""Monte Carlo means with standard errors, sharpened by control variates whose expectation is known exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Controls:
    """Samples (paths, steps) of observables of one process with their exact expectations (steps,)."""

    samples: tuple[np.ndarray, ...] = ()
    expectations: tuple[np.ndarray, ...] = ()

    def __neg__(self) -> Controls:
        return Controls(tuple(-s for s in self.samples), tuple(-e for e in self.expectations))

    def __add__(self, other: Controls) -> Controls:
        return Controls(self.samples + other.samples, self.expectations + other.expectations)

    def centred(self, index: int) -> np.ndarray:
        """Samples minus expectations (paths, controls) at one recorded step, those of no variance left out."""
        columns = [s[:, index] - e[index] for s, e in zip(self.samples, self.expectations)]
        return np.column_stack([c for c in columns if np.ptp(c) > 0] or [np.empty((len(columns[0]), 0))])


def mean_and_error(values: np.ndarray, controls: Controls = Controls()) -> tuple[np.ndarray, np.ndarray]:
    """Mean (steps,) and standard error (steps,) of samples (paths, steps), by regression on the controls.

    The regression leaves a bias of order 1/paths. The error is the jackknife-like HC3 one, because what the
    controls leave over spreads unevenly. Derived.
    """
    paths, steps = values.shape
    means, errors = np.empty(steps), np.empty(steps)
    for index in range(steps):
        sample = values[:, index]
        columns = controls.centred(index) if controls.samples else np.empty((paths, 0))
        if not columns.shape[1] or paths <= 10 * columns.shape[1]:
            means[index] = sample.mean()
            errors[index] = sample.std(ddof=1) / np.sqrt(paths) if paths > 1 else np.inf
            continue
        columns = columns / np.abs(columns).max(axis=0)
        left, singular, right = np.linalg.svd(np.column_stack([np.ones(paths), columns]), full_matrices=False)
        keep = singular > 1e-10 * singular[0]
        left, singular, right = left[:, keep], singular[keep], right[keep]
        weights = left @ (right[:, 0] / singular)  # the intercept is weights @ sample
        residual = sample - left @ (left.T @ sample)
        leverage = np.minimum(np.square(left).sum(axis=1), 1 - 1e-12)
        means[index] = weights @ sample
        errors[index] = np.sqrt(np.square(weights * residual / (1 - leverage)).sum())
    return means, errors


def normal_quantile(confidence: float) -> float:
    """z with P(|N(0, 1)| <= z) = confidence."""
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + confidence) / 2)

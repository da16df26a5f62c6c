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

    The regression leaves a bias of order 1/paths; its degrees of freedom are taken off. Where the controls
    explain nothing the plain mean comes back. Derived.
    """
    paths, steps = values.shape
    means, errors = np.empty(steps), np.empty(steps)
    for index in range(steps):
        sample = values[:, index]
        columns = controls.centred(index) if controls.samples else np.empty((paths, 0))
        centre = sample.mean()
        rest = sample - centre
        if columns.shape[1] and paths > 10 * columns.shape[1]:
            offset = columns.mean(axis=0)
            slope, *_ = np.linalg.lstsq(columns - offset, rest, rcond=1e-10)
            rest = rest - (columns - offset) @ slope
            centre = centre - offset @ slope
        freedom = max(paths - 1 - columns.shape[1], 1)
        means[index] = centre
        errors[index] = np.sqrt(rest @ rest / freedom / paths) if paths > 1 else np.inf
    return means, errors


def normal_quantile(confidence: float) -> float:
    """z with P(|N(0, 1)| <= z) = confidence."""
    from statistics import NormalDist

    return NormalDist().inv_cdf((1 + confidence) / 2)

"""Schemes for linear drift, mode by mode: one step's factors, from which kernels and exact moments both follow.

A step takes z to f * (g * z) + noise, whose covariance given z is w_ij * N_ij at g * z. Sizes of a step are in SGD
steps, and N is the covariance of the batch gradient, so w carries step_size^2. Derived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.moment_maps import MomentMap, NoiseMap


@dataclass(frozen=True, eq=False)
class ModalStep:
    """Factors of one integrator step: before g (d,), after f (d,), weights w (d, d)."""

    before: np.ndarray
    after: np.ndarray
    weights: np.ndarray

    def moment_map(self, noise: NoiseMap) -> MomentMap:
        """Exact moments of the scheme."""
        return MomentMap(self.after[:, None, None], np.ones(1), noise, self.weights, self.before)

    @property
    def mean_stable(self) -> bool:
        """Whether the scheme's mean does not grow."""
        return bool((np.abs(self.before * self.after) <= 1).all())

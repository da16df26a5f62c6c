"""Schemes for linear drift, mode by mode: one step's factors, from which kernels and exact moments both follow.

A step takes z to f * (g * z) + noise, whose covariance given z is w_ij * N_ij at g * z. Sizes of a step are in SGD
steps, and N is the covariance of the batch gradient, so w carries step_size^2. Derived.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_maps import NoiseMap


@dataclass(frozen=True, eq=False)
class ModalStep:
    """Factors of one integrator step: decay before its noise g (d,) and after it f (d,), weights w (d, d)."""

    decay_before_noise: np.ndarray
    decay_after_noise: np.ndarray
    weights: np.ndarray

    def moment_map(self, noise: NoiseMap) -> MomentMap:
        """Exact moments of the scheme."""
        after = self.decay_after_noise[:, None, None]
        return MomentMap(after, np.ones(1), noise, self.weights, self.decay_before_noise)

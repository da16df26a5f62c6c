"""What a constant noise leaves in pairs of modes under momentum, in closed form and without cancellation. Derived.

A mode of curvature k moves by a recurrence of second order with the polynomial z^2 - (1 + q - e) z + q, e = step_size
k, of which e is the value at 1 and t the one at -1. With u = 1 - q,

    4 Pi = (u_j e_i + u_i e_j) (u_i t_j + u_j t_i) + (1 + mu)^2 (e_i - e_j)^2,

is what all covariances are divided by: of heavy ball the published equation, as a sum of positive terms, so that no
digits can be lost but those of t next to the threshold. Differences of curvatures are taken before they are multiplied.
All pairs: formula heavy-ball-stationary; a mode with itself: formula stationary-variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class MomentumPairs:
    """Modes (d,) that settle, each with its position x and buffer m; m' = mu m + g, and x moves as torch moves it.

    Every covariance is per unit of the noise's covariance of the two modes, and accurate to some 1e-15 (1 + 1 / t).

    Attributes
    ----------
    curvatures : (d,) array
    step_size : float
    momentum : float
        mu.
    nesterov : bool
    """

    curvatures: np.ndarray
    step_size: float
    momentum: float
    nesterov: bool

    def covariances(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Of states (2, 2, ...) of the modes i and j that these numbers name, of shapes that broadcast."""
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # past the range of numbers, or unsettled
            return self._covariances(left, right)

    def _covariances(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        size, mu, one = self.step_size, self.momentum, 1 - self.momentum
        k = self.curvatures
        e = size * k
        u, t = one + np.zeros_like(e), 2 * (1 + mu) - e
        if self.nesterov:
            u, t = one + mu * e, t - 2 * mu * e
        i, j = np.broadcast_arrays(left, right)
        decay, apart = u[j] * k[i] + u[i] * k[j], k[i] - k[j]  # curvatures, since tiny step sizes times them are none
        scale = 4 / (u[i] * t[j] + u[j] * t[i] + size * (1 + mu) ** 2 * apart * (apart / decay))
        position: Any = one * (1 + mu)
        ahead, behind = one * k[i] + mu * apart, one * k[j] - mu * apart
        if self.nesterov:
            position = (u[i] * (t[j] + e[j]) + u[j] * (t[i] + e[i])) / 4 + mu * (1 + mu) * size * decay
            ahead, behind = (
                one * (1 + 2 * mu) * k[a] + mu * mu * (k[a] - k[b]) + mu * (1 + 2 * mu) * k[a] * e[b]
                for a, b in ((i, j), (j, i))
            )
        found = np.empty((2, 2, *decay.shape))
        found[0, 0] = size * position / decay * scale
        found[0, 1], found[1, 0] = -size * ahead / decay * scale, -size * behind / decay * scale
        found[1, 1] = scale
        return found

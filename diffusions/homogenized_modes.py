"""Homogenized SGD in its modes, as a diffusion for any scheme: O(d) a step, with exact flows for splitting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from sgdlimits.exact.compiling import compiled

from .array_form import FormDiffusion
from .linear_forms import level


@compiled
def _flows(z, levels, spread, slope, coupling, w, forward):
    # With y = z_i + slope_i / (2 coupling_i), R = sqrt(level), a = sqrt(coupling_i): along the noise of coordinate i,
    # dy = spread R ds and dR = a^2 spread y ds, a hyperbolic rotation.
    d = z.shape[1]
    for p in range(z.shape[0]):
        root = math.sqrt(levels[p])
        for place in range(d):
            i = place if forward[p] else d - 1 - place
            if coupling[i] == 0.0:
                z[p, i] += spread[i] * root * w[p, i]
                continue
            a, centre = math.sqrt(coupling[i]), 0.5 * slope[i] / coupling[i]
            grown = math.exp(a * spread[i] * w[p, i])
            half_sum, half_difference = 0.5 * (grown + 1.0 / grown), 0.5 * (grown - 1.0 / grown)
            y = z[p, i] + centre
            z[p, i] = y * half_sum + root / a * half_difference - centre
            root = abs(a * y * half_difference + root * half_sum)


@dataclass(frozen=True, eq=False)
class HomogenizedModes(FormDiffusion):
    """dz_i = -rates_i z_i dt + sqrt(level(z)) spread_i dW_i, level = floor + slope . z + coupling . z^2, in steps."""

    @cached_property
    def _constants(self) -> SimpleNamespace:
        return SimpleNamespace(**self.form.constants)

    @property
    def noise_growth(self) -> float:
        """Rate at which noise alone lets the mean level grow."""
        return float((np.square(self._constants.spread) * self._constants.coupling).sum())

    def level(self, z: np.ndarray) -> np.ndarray:
        """Square of the noise's amplitude (P,) at modes (P, d)."""
        return level(np, self._constants, z)

    def derivative(self, t: Any, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Derivative of the diffusion along v (P, d); zero where the level is."""
        c, root = self._constants, np.sqrt(self.level(z))
        change = (v * (c.slope + 2 * c.coupling * z)).sum(axis=1)
        return (change / np.where(root > 0, 2 * root, np.inf))[:, None] * c.spread

    def ito_correction(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Half the sum of the columns' derivatives along themselves, (P, d)."""
        c = self._constants
        return 0.25 * np.square(c.spread) * (c.slope + 2 * c.coupling * z)

    def drift_flow(self, t: Any, z: np.ndarray, span: Any) -> np.ndarray:
        """Exact flow of the Stratonovich drift over a time span."""
        c = self._constants
        rate = c.rates + 0.5 * np.square(c.spread) * c.coupling
        target = -0.25 * np.square(c.spread) * c.slope
        decay = np.exp(-rate * span)
        filled = np.where(rate == 0, span, -np.expm1(-rate * span) / np.where(rate == 0, 1.0, rate))
        return decay * z + filled * target

    def noise_flows(self, t: Any, z: np.ndarray, w: np.ndarray, forward: np.ndarray) -> np.ndarray:
        """Exact flows of the noises one by one over w (P, d), in order 1..d where `forward` (P,), else d..1."""
        c, z = self._constants, np.array(z, order="C")
        _flows(z, self.level(z), c.spread, c.slope, c.coupling, w, forward)
        return z

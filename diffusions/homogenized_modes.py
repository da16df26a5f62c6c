"""Homogenized SGD in its modes, as a diffusion for any scheme: O(d) a step, with exact flows for splitting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.ensembles.compiling import compiled


@compiled
def _levels(z, floor, slope, square):
    # In the order of the coordinates: a library's product may round by the number of paths.
    out = np.full(z.shape[0], floor)
    for p in range(z.shape[0]):
        for i in range(z.shape[1]):
            out[p] += z[p, i] * (slope[i] + square[i] * z[p, i])
        out[p] = max(out[p], 0.0)
    return out


@compiled
def _flows(z, levels, amplitude, slope, square, w, forward):
    # With y = z_i + slope_i / (2 square_i), R = sqrt(level), a = sqrt(square_i): along the noise of coordinate i,
    # dy = amplitude R ds and dR = a^2 amplitude y ds, a hyperbolic rotation.
    d = z.shape[1]
    for p in range(z.shape[0]):
        root = math.sqrt(levels[p])
        for place in range(d):
            i = place if forward[p] else d - 1 - place
            if square[i] == 0.0:
                z[p, i] += amplitude[i] * root * w[p, i]
                continue
            a, centre = math.sqrt(square[i]), 0.5 * slope[i] / square[i]
            grown = math.exp(a * amplitude[i] * w[p, i])
            half_sum, half_difference = 0.5 * (grown + 1.0 / grown), 0.5 * (grown - 1.0 / grown)
            y = z[p, i] + centre
            z[p, i] = y * half_sum + root / a * half_difference - centre
            root = abs(a * y * half_difference + root * half_sum)


@dataclass(frozen=True, eq=False)
class HomogenizedModes:
    """dz_i = -rates_i z_i dt + sqrt(level(z)) amplitude_i dW_i, level = floor + slope . z + square . z^2, in steps.

    Attributes
    ----------
    rates, amplitude, slope, square : (d,) arrays
    floor : float
    """

    rates: np.ndarray
    amplitude: np.ndarray
    floor: float
    slope: np.ndarray
    square: np.ndarray
    label: str

    noise_type: ClassVar[str] = "general"

    @property
    def dimension(self) -> int:
        """Number of modes d."""
        return self.rates.size

    @property
    def noise_dimension(self) -> int:
        """One Brownian motion a mode."""
        return self.rates.size

    @property
    def linear(self) -> np.ndarray:
        """The drift is -linear z, and nothing else."""
        return self.rates

    @property
    def noise_growth(self) -> float:
        """Rate at which noise alone lets the mean level grow."""
        return float((np.square(self.amplitude) * self.square).sum())

    def array_form(self) -> Any:
        """Its functions for torch and JAX."""
        from ._array_forms import form_of

        return form_of(self)

    def level(self, z: np.ndarray) -> np.ndarray:
        """Square of the noise's amplitude (P,) at modes (P, d)."""
        return _levels(np.ascontiguousarray(z), self.floor, self.slope, self.square)

    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift (P, d)."""
        return -self.rates * z

    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diagonals (P, d) of the diffusion."""
        return np.sqrt(self.level(z))[:, None] * self.amplitude

    def derivative(self, t: Any, z: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Derivative of the diffusion along v (P, d); zero where the level is."""
        change = (v * (self.slope + 2 * self.square * z)).sum(axis=1)
        root = np.sqrt(self.level(z))
        return (change / np.where(root > 0, 2 * root, np.inf))[:, None] * self.amplitude

    def ito_correction(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Half the sum of the columns' derivatives along themselves, (P, d)."""
        return 0.25 * np.square(self.amplitude) * (self.slope + 2 * self.square * z)

    def drift_flow(self, t: Any, z: np.ndarray, span: Any) -> np.ndarray:
        """Exact flow of the Stratonovich drift over a time span."""
        rate = self.rates + 0.5 * np.square(self.amplitude) * self.square
        target = -0.25 * np.square(self.amplitude) * self.slope
        decay = np.exp(-rate * span)
        filled = np.where(rate == 0, span, -np.expm1(-rate * span) / np.where(rate == 0, 1.0, rate))
        return decay * z + filled * target

    def noise_flows(self, t: Any, z: np.ndarray, w: np.ndarray, forward: np.ndarray) -> np.ndarray:
        """Exact flows of the noises one by one over w (P, d), in order 1..d where `forward` (P,), else d..1."""
        z = np.array(z, order="C")
        _flows(z, self.level(z), self.amplitude, self.slope, self.square, w, forward)
        return z

"""Schemes for linear drift, mode by mode: one step's factors, from which kernels and exact moments both follow.

A step takes z to f * (g * z) + noise, whose covariance given z is w_ij * N_ij at g * z. Sizes of a step are in SGD
steps, and N is the covariance of the batch gradient, so w carries step_size^2. Derived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, nearest
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


def euler(rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
    """Euler-Maruyama: 1 - r h, and the noise of a step of length h."""
    return ModalStep(np.ones_like(rates), 1 - rates * size, np.full((rates.size,) * 2, scale * size))


def exponential_euler(rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
    """The drift exactly, the noise covariance frozen at the start of the step and then carried exactly."""
    decay = rates[:, None] + rates
    safe = np.where(decay == 0, 1.0, decay)
    spread = np.where(decay == 0, size, -np.expm1(-safe * size) / safe)
    return ModalStep(np.ones_like(rates), np.exp(-rates * size), scale * spread)


def strang(rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
    """Half the drift, the noise with the exact mean growth of its level, half the drift.

    `growth` is the rate at which noise alone lets the level 2 L of homogenized SGD grow.
    """
    half = np.exp(-rates * size / 2)
    spread = np.expm1(growth * size) / growth if growth else size
    return ModalStep(half, half, scale * spread * half[:, None] * half)


MODAL: dict[str, Callable[[np.ndarray, float, float, float], ModalStep]] = {
    "euler": euler,
    "exponential_euler": exponential_euler,
    "strang": strang,
}


def refuse(solver: str, label: str, allowed: tuple[str, ...]) -> InvalidInput:
    """The error for a scheme that this process cannot use."""
    if solver in MODAL:
        return InvalidInput(f"solver {solver!r} does not treat the noise of {label}; it takes {', '.join(allowed)}")
    return InvalidInput(f"solver is {solver!r}, which is not known for {label}; {nearest(solver, allowed)}")

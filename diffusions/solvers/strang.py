"""Strang splitting: half the drift, the noise, half the drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .exponential_euler import drift_change, linear_part
from ..modal import ModalStep
from .scheme import ModalScheme, StepNoise

GAUSSIAN = {"additive": (1.0, 1.0)} | {
    name: (0.5, 1.0) for name in ("scalar", "diagonal", "commutative", "general")
}
TWO_POINT = {name: (0.0, 1.0) for name in GAUSSIAN}


def _half(coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, linear: np.ndarray) -> np.ndarray:
    # Exponential Euler without noise: exact where the drift is -K x.
    return x + drift_change(coefficients, linear, coefficients.drift(t, x), 0.5 * dt)


def _step(
    name: str, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
) -> np.ndarray:
    linear = linear_part(coefficients, name)
    growth = getattr(coefficients.source, "noise_growth", 0.0) * dt
    spread = np.sqrt(np.expm1(growth) / growth) if np.any(growth) else 1.0
    x = _half(coefficients, t, x, dt, linear)
    x = x + spread * coefficients.apply(coefficients.diffusion(t, x), noise.increments)
    return _half(coefficients, t + 0.5 * dt, x, dt, linear)


def _factors(rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
    half = np.exp(-rates * size / 2)
    spread = np.expm1(growth * size) / growth if growth else size
    return ModalStep(half, half, scale * spread * half[:, None] * half)


@dataclass(frozen=True)
class Strang(ModalScheme):
    """Noise by Euler between two halves of the drift, whose linear part is solved exactly.

    Where a diffusion states its `noise_growth`, the rate at which noise alone lets the mean square of its amplitude
    grow, the noise carries that growth: then expectations of quadratics, the risk of homogenized SGD among them, are
    of weak order 2. On homogenized SGD: formula step-strang.
    """

    name: ClassVar[str] = "strang"
    orders: ClassVar[dict[str, tuple[float, float]]] = GAUSSIAN
    weak_order_quadratic: ClassVar[float] = 2.0
    source: ClassVar[str] = "derived"

    def step(self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise) -> np.ndarray:
        return _step(self.name, coefficients, t, x, dt, noise)

    def modal_step(self, rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
        return _factors(rates, scale, size, growth)


@dataclass(frozen=True)
class WeakStrang(ModalScheme):
    """Strang with two-point increments: the same first and second moments on least squares, without a normal."""

    name: ClassVar[str] = "weak_strang"
    orders: ClassVar[dict[str, tuple[float, float]]] = TWO_POINT
    weak_order_quadratic: ClassVar[float] = 2.0
    increments: ClassVar[str] = "two_point"
    source: ClassVar[str] = "derived"

    def step(self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise) -> np.ndarray:
        return _step(self.name, coefficients, t, x, dt, noise)

    def modal_step(self, rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
        return _factors(rates, scale, size, growth)

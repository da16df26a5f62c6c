"""Euler-Maruyama: the diffusion frozen at the start of the step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from ..modal import ModalStep
from .scheme import EULER_ORDERS, ModalScheme, StepNoise


def euler_step(coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise) -> np.ndarray:
    """x + drift dt + diffusion dW."""
    _, out = coefficients.moved(t, x, noise.increments)
    out += coefficients.drift(t, x) * dt
    out += x
    return out


def euler_factors(rates: np.ndarray, scale: float, size: float) -> ModalStep:
    """1 - r h, and the noise of a step of length h."""
    return ModalStep(np.ones_like(rates), 1 - rates * size, np.full((rates.size,) * 2, scale * size))


@dataclass(frozen=True)
class EulerMaruyama(ModalScheme):
    """x + drift dt + diffusion dW."""

    name: ClassVar[str] = "euler"
    orders: ClassVar[dict[str, tuple[float, float]]] = EULER_ORDERS
    source: ClassVar[str] = "Kloeden and Platen, Numerical Solution of Stochastic Differential Equations"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        return euler_step(coefficients, t, x, dt, noise)

    def modal_step(self, rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
        return euler_factors(rates, scale, size)

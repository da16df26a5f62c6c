"""Euler with two-point increments: the same weak order for a tenth of the cost of a normal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .euler_maruyama import euler_factors, euler_step
from ..modal import ModalStep
from .scheme import ModalScheme, StepNoise


@dataclass(frozen=True)
class WeakEuler(ModalScheme):
    """x + drift dt + diffusion dW, where every dW is +sqrt(dt) or -sqrt(dt)."""

    name: ClassVar[str] = "weak_euler"
    orders: ClassVar[dict[str, tuple[float, float]]] = {
        "additive": (0.0, 1.0),
        "scalar": (0.0, 1.0),
        "diagonal": (0.0, 1.0),
        "commutative": (0.0, 1.0),
        "general": (0.0, 1.0),
    }
    increments: ClassVar[str] = "two_point"
    source: ClassVar[str] = "Kloeden and Platen, Numerical Solution of Stochastic Differential Equations"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        return euler_step(coefficients, t, x, dt, noise)

    def modal_step(self, rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
        return euler_factors(rates, scale, size)

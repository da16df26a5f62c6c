"""Tamed Euler: bounds the drift's step, so that a superlinear drift does not explode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .scheme import EULER_ORDERS, Scheme, StepNoise


@dataclass(frozen=True)
class TamedEuler(Scheme):
    """x + drift dt / (1 + |drift| dt) + diffusion dW."""

    name: ClassVar[str] = "tamed_euler"
    orders: ClassVar[dict[str, tuple[float, float]]] = EULER_ORDERS
    source: ClassVar[str] = "Hutzenthaler, Jentzen and Kloeden, Annals of Applied Probability 22 (2012)"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        drift = coefficients.drift(t, x) * dt
        out = coefficients.apply(coefficients.diffusion(t, x), noise.increments)
        out += drift / (1.0 + np.sqrt((drift * drift).sum(axis=1, keepdims=True)))
        out += x
        return out

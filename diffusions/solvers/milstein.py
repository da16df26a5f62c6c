"""Milstein: strong order 1 where the noise commutes, so that products of increments are all it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .scheme import Scheme, StepNoise


@dataclass(frozen=True)
class Milstein(Scheme):
    """Euler-Maruyama plus half the diffusion's derivative along diffusion dW, less its Ito part.

    Derivatives are the diffusion's own `derivative`, or central differences.
    """

    name: ClassVar[str] = "milstein"
    orders: ClassVar[dict[str, tuple[float, float]]] = {
        "additive": (1.0, 1.0),
        "scalar": (1.0, 1.0),
        "diagonal": (1.0, 1.0),
        "commutative": (1.0, 1.0),
    }
    source: ClassVar[str] = "Kloeden and Platen, Numerical Solution of Stochastic Differential Equations"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        g, w = coefficients.diffusion(t, x), noise.increments
        moved = coefficients.apply(g, w)
        out = x + coefficients.drift(t, x) * dt
        if coefficients.additive:
            out += moved
        elif coefficients.elementwise:
            out += moved + 0.5 * coefficients.along(t, x, g) * (w * w - dt)
        else:
            out += moved + 0.5 * coefficients.apply(coefficients.along(t, x, moved), w)
            out -= 0.5 * dt * coefficients.self_derivative(t, x, g)
        return out

"""Strong order 1 without derivatives: Roessler's SRI2 with the double integrals of commutative noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .scheme import Scheme, StepNoise


@dataclass(frozen=True)
class StochasticRungeKuttaI2(Scheme):
    """SRI2: two drifts, and two diffusions for each Brownian motion (two in all for diagonal or scalar noise)."""

    name: ClassVar[str] = "sri2"
    orders: ClassVar[dict[str, tuple[float, float]]] = {
        "additive": (1.0, 1.0),
        "scalar": (1.0, 1.0),
        "diagonal": (1.0, 1.0),
        "commutative": (1.0, 1.0),
    }
    source: ClassVar[str] = "Roessler, SIAM J. Numer. Anal. 48 (2010)"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        root, w = np.sqrt(dt), noise.increments
        drift, g = coefficients.drift(t, x), coefficients.diffusion(t, x)
        moved = coefficients.apply(g, w)
        start = x + drift * dt
        result = x + 0.5 * dt * (drift + coefficients.drift(t + dt, start + moved)) + moved
        if coefficients.additive:
            # Time alone changes the diffusion, and its stages cancel: they stand at the same time.
            return result
        if coefficients.elementwise:
            shift = g * (0.5 * (w * w - dt) / root)
            gap = coefficients.diffusion(t + dt, start + shift) - coefficients.diffusion(
                t + dt, start - shift
            )
            return result + 0.5 * root * gap
        for k in range(coefficients.noise_dimension):
            # Sum over l of column l times I_(l,k), where I_(l,k) = (w_l w_k - [l = k] dt) / 2.
            shift = (0.5 * w[:, k : k + 1] * moved - 0.5 * dt * coefficients.column(g, k)) / root
            gap = coefficients.diffusion(t + dt, start + shift) - coefficients.diffusion(
                t + dt, start - shift
            )
            result = result + 0.5 * root * coefficients.column(gap, k)
        return result

"""Stochastic Heun: the trapezoid rule in the sense of Stratonovich, with the drift converted from Ito."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .scheme import Scheme, StepNoise


@dataclass(frozen=True)
class StochasticHeun(Scheme):
    """Predictor by Euler, corrector by the mean of both ends; the Ito correction leaves the drift at both."""

    name: ClassVar[str] = "heun"
    orders: ClassVar[dict[str, tuple[float, float]]] = {
        "additive": (1.0, 1.0),
        "scalar": (1.0, 1.0),
        "diagonal": (1.0, 1.0),
        "commutative": (1.0, 1.0),
        "general": (0.5, 1.0),
    }
    source: ClassVar[str] = "Rumelin, SIAM J. Numer. Anal. 19 (1982)"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        w = noise.increments
        drift, moved = self._both(coefficients, t, x, w)
        end = x + drift * dt + moved
        drift_end, moved_end = self._both(coefficients, t + dt, end, w)
        return x + 0.5 * ((drift + drift_end) * dt + moved + moved_end)

    def _both(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, w: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        g, moved = coefficients.moved(t, x, w)
        return coefficients.drift(t, x) - 0.5 * coefficients.self_derivative(t, x, g), moved

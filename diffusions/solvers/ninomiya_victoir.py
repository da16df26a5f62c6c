"""Ninomiya-Victoir splitting: weak order 2 by flows along one vector field at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .scheme import Scheme, StepNoise


@dataclass(frozen=True)
class NinomiyaVictoir(Scheme):
    """Half a step along the Stratonovich drift, the noises one by one, half a step along the drift.

    A fair sign chooses whether the noises come in order 1..m or m..1. A diffusion with `flow(k, t, x, s)` gives the
    exact flow of column k over s (P, 1); otherwise one Runge-Kutta step of order 4 stands for it (its error is odd in
    the increment, so the weak order stays 2), and one step of Heun for half a step of the drift. Time stands still
    at the middle of the step, so coefficients may depend on it.
    """

    name: ClassVar[str] = "ninomiya_victoir"
    orders: ClassVar[dict[str, tuple[float, float]]] = {
        name: (0.0, 2.0) for name in ("additive", "scalar", "diagonal", "commutative", "general")
    }
    signs: ClassVar[bool] = True
    source: ClassVar[str] = "Ninomiya and Victoir, Applied Mathematical Finance 15 (2008)"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        middle = t + 0.5 * dt
        x = self._along_drift(coefficients, middle, x, 0.5 * dt)
        if coefficients.additive:
            x = x + coefficients.apply(coefficients.diffusion(middle, x), noise.increments)
        elif coefficients.elementwise:
            x = self._flow(coefficients, middle, x, noise.increments, None)
        else:
            m, rows = coefficients.noise_dimension, np.arange(len(x))
            forward = noise.signs[:, 0] > 0
            for place in range(m):
                k = np.where(forward, place, m - 1 - place)
                x = self._flow(coefficients, middle, x, noise.increments[rows, k][:, None], k)
        return self._along_drift(coefficients, middle, x, 0.5 * dt)

    def _along_drift(self, coefficients: Coefficients, t: Any, x: np.ndarray, span: Any) -> np.ndarray:
        first = self._drift(coefficients, t, x)
        second = self._drift(coefficients, t, x + span * first)
        return x + 0.5 * span * (first + second)

    def _drift(self, coefficients: Coefficients, t: Any, x: np.ndarray) -> np.ndarray:
        correction = coefficients.self_derivative(t, x, coefficients.diffusion(t, x))
        return coefficients.drift(t, x) - 0.5 * correction

    def _flow(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, span: np.ndarray, k: np.ndarray | None
    ) -> np.ndarray:
        flow = getattr(coefficients.source, "flow", None)
        if flow is not None:
            return flow(k, t, x, span)
        first = self._field(coefficients, t, x, k) * span
        second = self._field(coefficients, t, x + 0.5 * first, k) * span
        third = self._field(coefficients, t, x + 0.5 * second, k) * span
        fourth = self._field(coefficients, t, x + third, k) * span
        return x + (first + 2 * second + 2 * third + fourth) / 6

    def _field(self, coefficients: Coefficients, t: Any, x: np.ndarray, k: np.ndarray | None) -> np.ndarray:
        g = coefficients.diffusion(t, x)
        if k is None:
            return g
        rows = np.arange(len(x))
        if coefficients.form == "matrix":
            return g[rows, :, k]
        out = np.zeros_like(g)
        out[rows, k] = g[rows, k]
        return out

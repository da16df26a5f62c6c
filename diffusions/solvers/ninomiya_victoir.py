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

    A fair sign chooses whether the noises come in order 1..m or m..1. A diffusion with `drift_flow(t, x, span)` and
    `noise_flows(t, x, increments, forward)` gives exact flows; otherwise one Runge-Kutta step of order 4 stands for
    a noise's flow (its error is odd in the increment, so the weak order stays 2), and one step of Heun for half a
    step of the drift. Coefficients are taken at the middle of the step.
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
        x = self._along_noises(coefficients, middle, x, noise)
        return self._along_drift(coefficients, middle, x, 0.5 * dt)

    def _along_noises(self, coefficients: Coefficients, t: Any, x: np.ndarray, noise: StepNoise) -> np.ndarray:
        flows = getattr(coefficients.source, "noise_flows", None)
        if flows is not None:
            assert noise.signs is not None  # `signs` asks for them
            return flows(t, x, noise.increments, noise.signs[:, 0] > 0)
        if coefficients.additive:
            return x + coefficients.apply(coefficients.diffusion(t, x), noise.increments)
        if coefficients.elementwise:
            return self._flow(coefficients, t, x, noise.increments, None)
        m, rows = coefficients.noise_dimension, np.arange(len(x))
        assert noise.signs is not None
        forward = noise.signs[:, 0] > 0
        for place in range(m):
            k = np.where(forward, place, m - 1 - place)
            x = self._flow(coefficients, t, x, noise.increments[rows, k][:, None], k)
        return x

    def _along_drift(self, coefficients: Coefficients, t: Any, x: np.ndarray, span: Any) -> np.ndarray:
        flow = getattr(coefficients.source, "drift_flow", None)
        if flow is not None:
            return flow(t, x, span)
        first = self._drift(coefficients, t, x)
        second = self._drift(coefficients, t, x + span * first)
        return x + 0.5 * span * (first + second)

    def _drift(self, coefficients: Coefficients, t: Any, x: np.ndarray) -> np.ndarray:
        correction = coefficients.self_derivative(t, x, coefficients.diffusion(t, x))
        return coefficients.drift(t, x) - 0.5 * correction

    def _flow(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, span: np.ndarray, k: np.ndarray | None
    ) -> np.ndarray:
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
        if coefficients.layout == "matrix":
            return g[rows, :, k]
        out = np.zeros_like(g)
        out[rows, k] = g[rows, k]
        return out

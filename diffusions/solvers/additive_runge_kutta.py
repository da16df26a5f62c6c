"""Strong order 1.5 for additive noise: Roessler's SRA1 and SRA3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .scheme import AdaptiveScheme, StepNoise
from .tableaus import SRA1, SRA3, AdditiveTableau


def _step(
    tableau: AdditiveTableau, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
) -> tuple[np.ndarray, np.ndarray]:
    w = noise.increments
    assert noise.areas is not None  # `areas` asks for them
    mean = 0.5 * w + noise.areas  # time average of the Brownian motion, I_(1,0) / dt
    matrices = [coefficients.diffusion(t + c * dt, x) for c in tableau.c1]
    moved = [coefficients.apply(g, mean) for g in matrices]
    drifts: list[np.ndarray] = []
    for i, c in enumerate(tableau.c0):
        stage = x
        for j in range(i):
            if tableau.a0[i, j]:
                stage = stage + tableau.a0[i, j] * dt * drifts[j]
            if tableau.b0[i, j]:
                stage = stage + tableau.b0[i, j] * moved[j]
        drifts.append(coefficients.drift(t + c * dt, stage))
    change = sum(weight * drift for weight, drift in zip(tableau.alpha, drifts, strict=True))
    noise_part = np.zeros_like(x)
    for first, second, g, part in zip(tableau.beta1, tableau.beta2, matrices, moved, strict=True):
        if first:
            noise_part += coefficients.apply(g, first * w)
        if second:
            noise_part += second * part
    # What Euler's drift, with the same noise, would have missed.
    return x + change * dt + noise_part, (change - drifts[0]) * dt


class AdditiveRungeKutta(AdaptiveScheme):
    """A method for additive noise, by its tableau."""

    orders: ClassVar[dict[str, tuple[float, float]]] = {"additive": (1.5, 2.0)}
    areas: ClassVar[bool] = True
    source: ClassVar[str] = "Roessler, SIAM J. Numer. Anal. 48 (2010)"
    tableau: ClassVar[AdditiveTableau]

    def step(self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise) -> np.ndarray:
        return _step(self.tableau, coefficients, t, x, dt, noise)[0]

    def step_with_error(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> tuple[np.ndarray, np.ndarray]:
        return _step(self.tableau, coefficients, t, x, dt, noise)


@dataclass(frozen=True)
class StochasticRungeKuttaA1(AdditiveRungeKutta):
    """SRA1: two drifts a step."""

    name: ClassVar[str] = "sra1"
    tableau: ClassVar[AdditiveTableau] = SRA1


@dataclass(frozen=True)
class StochasticRungeKuttaA3(AdditiveRungeKutta):
    """SRA3: three drifts a step, of third order where there is no noise."""

    name: ClassVar[str] = "sra3"
    tableau: ClassVar[AdditiveTableau] = SRA3

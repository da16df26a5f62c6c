"""Strong order 1.5 for diagonal and scalar noise: Roessler's SRIW1 and SRIW2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import Coefficients
from .scheme import AdaptiveScheme, StepNoise
from .tableaus import SRIW1, SRIW2, ElementwiseTableau


def _weighted(weights: Any, values: list[np.ndarray], out: np.ndarray) -> np.ndarray:
    for weight, value in zip(weights, values, strict=False):
        if weight:
            out = out + weight * value
    return out


def _step(
    tableau: ElementwiseTableau, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
) -> tuple[np.ndarray, np.ndarray]:
    root, w = np.sqrt(dt), noise.increments
    assert noise.areas is not None  # `areas` asks for them
    mean = 0.5 * w + noise.areas  # I_(1,0) / dt
    twice = 0.5 * (w * w - dt) / root  # I_(1,1) / sqrt(dt)
    thrice = (w * w - 3.0 * dt) * w / (6.0 * dt)  # I_(1,1,1) / dt
    drifts: list[np.ndarray] = []
    matrices: list[np.ndarray] = []
    for i in range(len(tableau.alpha)):
        if tableau.alpha[i] or tableau.a1[:, i].any():
            stage = x + dt * _weighted(tableau.a0[i], drifts, np.zeros_like(x))
            stage = stage + mean * _weighted(tableau.b0[i], matrices, np.zeros_like(x))
            drifts.append(coefficients.drift(t + tableau.c0[i] * dt, stage))
        else:
            drifts.append(drifts[0])  # no weight is ever given to it
        stage = x + dt * _weighted(tableau.a1[i], drifts, np.zeros_like(x))
        stage = stage + root * _weighted(tableau.b1[i], matrices, np.zeros_like(x))
        matrices.append(coefficients.diffusion(t + tableau.c1[i] * dt, stage))
    first = sum(weight * drift for weight, drift in zip(tableau.alpha, drifts, strict=True)) * dt
    result, small = x + first, np.zeros_like(x)
    for g, *beta in zip(matrices, tableau.beta1, tableau.beta2, tableau.beta3, tableau.beta4, strict=True):
        result = result + g * (beta[0] * w + beta[1] * twice)
        small = small + g * (beta[2] * mean + beta[3] * thrice)
    # The parts of order 1.5: Rackauckas and Nie, DCDS-B 22 (2017), section 2.
    return result + small, first - drifts[0] * dt + small


class ElementwiseRungeKutta(AdaptiveScheme):
    """A method for diagonal and scalar noise, by its tableau."""

    orders: ClassVar[dict[str, tuple[float, float]]] = {"scalar": (1.5, 1.5), "diagonal": (1.5, 1.5)}
    areas: ClassVar[bool] = True
    source: ClassVar[str] = "Roessler, SIAM J. Numer. Anal. 48 (2010)"
    tableau: ClassVar[ElementwiseTableau]

    def step(self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise) -> np.ndarray:
        return _step(self.tableau, coefficients, t, x, dt, noise)[0]

    def step_with_error(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> tuple[np.ndarray, np.ndarray]:
        return _step(self.tableau, coefficients, t, x, dt, noise)


@dataclass(frozen=True)
class StochasticRungeKuttaW1(ElementwiseRungeKutta):
    """SRIW1: two drifts and four diffusions a step."""

    name: ClassVar[str] = "sriw1"
    tableau: ClassVar[ElementwiseTableau] = SRIW1


@dataclass(frozen=True)
class StochasticRungeKuttaW2(ElementwiseRungeKutta):
    """SRIW2: three drifts and four diffusions a step, of third order where there is no noise."""

    name: ClassVar[str] = "sriw2"
    tableau: ClassVar[ElementwiseTableau] = SRIW2

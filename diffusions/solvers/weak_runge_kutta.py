"""Weak order 2 for any noise: Roessler's RI6 and Debrabant and Roessler's DRI1, on three-point increments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .coefficients import NOISE_TYPES, Coefficients
from .scheme import Scheme, StepNoise
from .tableaus import DRI1, RI6, WeakTableau


def _step(
    tableau: WeakTableau, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
) -> np.ndarray:
    # matrices[i] holds in column k the diffusion's column k at stage i of noise k.
    root, w = np.sqrt(dt), noise.increments
    twice = 0.5 * (w * w - dt) / root
    stages = range(len(tableau.alpha))
    drifts: list[np.ndarray] = []
    matrices: list[np.ndarray] = []
    for i in stages:
        if tableau.alpha[i]:
            stage = x
            for j in range(i):
                if tableau.a0[i, j]:
                    stage = stage + tableau.a0[i, j] * dt * drifts[j]
                if tableau.b0[i, j]:
                    stage = stage + tableau.b0[i, j] * coefficients.apply(matrices[j], w)
            drifts.append(coefficients.drift(t + tableau.c0[i] * dt, stage))
        else:
            drifts.append(drifts[0])  # no weight is ever given to it
        matrices.append(_diffusion_stage(tableau, i, coefficients, t, x, dt, drifts, matrices))
    result = x + dt * sum(tableau.alpha[i] * drifts[i] for i in stages if tableau.alpha[i])
    for i in stages:
        result = result + coefficients.apply(matrices[i], tableau.beta1[i] * w + tableau.beta2[i] * twice)
    if coefficients.elementwise:
        return result  # no noise meets another, and the weights of the mixed stages add up to zero
    return result + _mixed(tableau, coefficients, t, x, dt, noise, matrices)


def _diffusion_stage(
    tableau: WeakTableau,
    i: int,
    coefficients: Coefficients,
    t: Any,
    x: np.ndarray,
    dt: Any,
    drifts: list[np.ndarray],
    matrices: list[np.ndarray],
) -> np.ndarray:
    when, root, start = t + tableau.c1[i] * dt, np.sqrt(dt), x
    for j in range(i):
        if tableau.a1[i, j]:
            start = start + tableau.a1[i, j] * dt * drifts[j]
    used = [j for j in range(i) if tableau.b1[i, j]]
    if coefficients.additive or not used:
        return coefficients.diffusion(when, start)
    if coefficients.elementwise:
        return coefficients.diffusion(when, start + root * sum(tableau.b1[i, j] * matrices[j] for j in used))
    out = np.empty_like(matrices[0])
    for k in range(coefficients.noise_dimension):
        shift = sum(tableau.b1[i, j] * coefficients.column(matrices[j], k) for j in used)
        out[..., k] = coefficients.diffusion(when, start + root * shift)[..., k]
    return out


def _mixed(
    tableau: WeakTableau,
    coefficients: Coefficients,
    t: Any,
    x: np.ndarray,
    dt: Any,
    noise: StepNoise,
    matrices: list[np.ndarray],
) -> np.ndarray:
    root, w, m = np.sqrt(dt), noise.increments, coefficients.noise_dimension
    assert noise.signs is not None  # `signs` asks for them
    out = np.zeros_like(x)
    # The first stage is x itself: with weights that add up to zero, only differences to it count.
    start = matrices[0]
    for k in range(m):
        pairs = w * w[:, k : k + 1]  # becomes 2 I_(k,l) in column l
        for other in range(m):
            pairs[:, other : other + 1] += (
                root * root * (noise.signs[:, other : other + 1] if other < k else -noise.signs[:, k : k + 1])
            )
        pairs[:, k] = 0.0
        pairs *= 0.5 / root
        for i in range(1, len(tableau.alpha)):
            shift = sum(
                tableau.b2[i, j] * coefficients.apply(matrices[j], pairs)
                for j in range(len(matrices))
                if tableau.b2[i, j]
            )
            gap = coefficients.column(coefficients.diffusion(t, x + shift) - start, k)
            out += gap * (tableau.beta3[i] * w[:, k : k + 1] + tableau.beta4[i] * root)
    return out


class WeakRungeKutta(Scheme):
    """A method of weak order 2 for any noise, by its tableau."""

    orders: ClassVar[dict[str, tuple[float, float]]] = {name: (0.0, 2.0) for name in NOISE_TYPES}
    increments: ClassVar[str] = "three_point"
    signs: ClassVar[bool] = True
    tableau: ClassVar[WeakTableau]

    def step(self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise) -> np.ndarray:
        return _step(self.tableau, coefficients, t, x, dt, noise)


@dataclass(frozen=True)
class WeakRungeKuttaRI6(WeakRungeKutta):
    """RI6: two drifts; 1 + 4 m diffusions for m Brownian motions, three where each moves its own coordinate."""

    name: ClassVar[str] = "ri6"
    source: ClassVar[str] = "Roessler, SIAM J. Numer. Anal. 47 (2009)"
    tableau: ClassVar[WeakTableau] = RI6


@dataclass(frozen=True)
class WeakRungeKuttaDRI1(WeakRungeKutta):
    """DRI1: three drifts, of third order where there is no noise, and small error constants."""

    name: ClassVar[str] = "dri1"
    source: ClassVar[str] = "Debrabant and Roessler, Applied Numerical Mathematics 59 (2009)"
    tableau: ClassVar[WeakTableau] = DRI1

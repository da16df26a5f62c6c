"""Exponential Euler: the linear part of the drift solved exactly, the rest frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .coefficients import Coefficients
from ..modal import ModalStep
from .scheme import ModalScheme, StepNoise


@dataclass(frozen=True)
class ExponentialEuler(ModalScheme):
    """For a drift -K x + rest: exp(-K dt) x + (integral of exp(-K s) ds) rest + noise.

    With diagonal K the noise of coordinate i has the variance that dz = -k_i z dt + dW gives it; with a matrix K it is
    damped by exp(-K dt / 2).
    """

    name: ClassVar[str] = "exponential_euler"
    orders: ClassVar[dict[str, tuple[float, float]]] = {
        "additive": (1.0, 1.0),
        "scalar": (0.5, 1.0),
        "diagonal": (0.5, 1.0),
        "commutative": (0.5, 1.0),
        "general": (0.5, 1.0),
    }
    source: ClassVar[str] = "Lord and Rougemont, IMA J. Numer. Anal. 24 (2004)"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        linear = getattr(coefficients.source, "linear", None)
        if linear is None:
            raise InvalidInput(
                f"solver {self.name!r} needs the linear part of the drift: pass linear=K, where the drift is -K x + rest"
            )
        moved = coefficients.apply(coefficients.diffusion(t, x), noise.increments)
        drift = coefficients.drift(t, x)
        if linear.ndim == 1:
            # x + phi (drift) is exp(-k dt) x + phi rest, without forming the rest
            rate = -linear * dt
            safe = np.where(rate == 0, 1.0, rate)
            phi = np.where(rate == 0, 1.0, np.expm1(safe) / safe)
            spread = np.where(rate == 0, 1.0, np.sqrt(np.expm1(2 * safe) / (2 * safe)))
            return x + dt * phi * drift + spread * moved
        if ("exponential", float(dt)) not in coefficients.cache:
            from scipy.linalg import expm

            d = coefficients.dimension
            block = np.zeros((2 * d, 2 * d))
            block[:d, :d], block[:d, d:] = -linear * dt, np.eye(d) * dt
            coefficients.cache["exponential", float(dt)] = (
                np.ascontiguousarray(expm(block)[:d, d:]),
                np.ascontiguousarray(expm(-0.5 * linear * dt)),
            )
        phi, damped = coefficients.cache["exponential", float(dt)]
        return x + np.einsum("ij,pj->pi", phi, drift) + np.einsum("ij,pj->pi", damped, moved)

    def modal_step(self, rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
        # The noise covariance is frozen at the start of the step and then carried exactly.
        decay = rates[:, None] + rates
        safe = np.where(decay == 0, 1.0, decay)
        spread = np.where(decay == 0, size, -np.expm1(-safe * size) / safe)
        return ModalStep(np.ones_like(rates), np.exp(-rates * size), scale * spread)

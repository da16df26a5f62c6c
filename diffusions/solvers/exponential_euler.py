"""Exponential Euler: the linear part of the drift solved exactly, the rest frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .coefficients import Coefficients
from ..modal import ModalStep
from .scheme import EULER_ORDERS, ModalScheme, StepNoise


def linear_part(coefficients: Coefficients, name: str) -> np.ndarray:
    """K (d,) or (d, d), where the drift is -K x + rest."""
    linear = getattr(coefficients.source, "linear", None)
    if linear is None:
        owner = getattr(coefficients.source, "label", type(coefficients.source).__name__)
        raise InvalidInput(
            f"solver {name!r} needs the linear part of the drift, which {owner} does not state: a UserDiffusion takes "
            "linear=K, where the drift is -K x + rest; without it take 'euler' or 'heun'"
        )
    return linear


def drift_change(coefficients: Coefficients, linear: np.ndarray, drift: np.ndarray, dt: Any) -> np.ndarray:
    """Integral of exp(-K s) over 0..dt, times the drift: what the drift with its rest frozen adds to x."""
    if linear.ndim == 1:
        rate = -linear * dt
        safe = np.where(rate == 0, 1.0, rate)
        return dt * np.where(rate == 0, 1.0, np.expm1(safe) / safe) * drift
    if ("integral", float(dt)) not in coefficients.cache:
        from scipy.linalg import expm

        d = coefficients.dimension
        block = np.zeros((2 * d, 2 * d))
        block[:d, :d], block[:d, d:] = -linear * dt, np.eye(d) * dt
        coefficients.cache["integral", float(dt)] = np.ascontiguousarray(expm(block)[:d, d:])
    return np.einsum("ij,pj->pi", coefficients.cache["integral", float(dt)], drift)


def noise_carried(coefficients: Coefficients, linear: np.ndarray, moved: np.ndarray, dt: Any) -> np.ndarray:
    """Noise (P, d) of a step as the linear drift leaves it at the step's end."""
    if linear.ndim == 1:
        rate = -2 * linear * dt
        safe = np.where(rate == 0, 1.0, rate)
        return np.where(rate == 0, 1.0, np.sqrt(np.expm1(safe) / safe)) * moved
    if ("half", float(dt)) not in coefficients.cache:
        from scipy.linalg import expm

        coefficients.cache["half", float(dt)] = np.ascontiguousarray(expm(-0.5 * linear * dt))
    return np.einsum("ij,pj->pi", coefficients.cache["half", float(dt)], moved)


@dataclass(frozen=True)
class ExponentialEuler(ModalScheme):
    """For a drift -K x + rest: exp(-K dt) x + (integral of exp(-K s) ds) rest + noise.

    With diagonal K the noise of coordinate i has the variance that dz = -k_i z dt + dW gives it; with a matrix K it is
    damped by exp(-K dt / 2). On homogenized SGD: formula step-exponential-euler.
    """

    name: ClassVar[str] = "exponential_euler"
    orders: ClassVar[dict[str, tuple[float, float]]] = EULER_ORDERS
    source: ClassVar[str] = "Lord and Rougemont, IMA J. Numer. Anal. 24 (2004)"

    def step(
        self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise
    ) -> np.ndarray:
        linear = linear_part(coefficients, self.name)
        moved = coefficients.apply(coefficients.diffusion(t, x), noise.increments)
        change = drift_change(coefficients, linear, coefficients.drift(t, x), dt)
        return x + change + noise_carried(coefficients, linear, moved, dt)

    def modal_step(self, rates: np.ndarray, scale: float, size: float, growth: float) -> ModalStep:
        # The noise covariance is frozen at the start of the step and then carried exactly.
        decay = rates[:, None] + rates
        safe = np.where(decay == 0, 1.0, decay)
        spread = np.where(decay == 0, size, -np.expm1(-safe * size) / safe)
        return ModalStep(np.ones_like(rates), np.exp(-rates * size), scale * spread)

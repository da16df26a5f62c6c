"""Drift-implicit Euler: stable steps for stiff drifts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .coefficients import Coefficients
from .scheme import EULER_ORDERS, Scheme, StepNoise


@dataclass(frozen=True)
class DriftImplicitEuler(Scheme):
    """y = x + drift(t + dt, y) dt + diffusion(t, x) dW, solved by Newton's method path by path.

    A path keeps its Jacobian while each correction is a tenth of the one before.

    Parameters
    ----------
    tolerance : float
        A path has settled when a correction is below tolerance times the largest coordinate of what the equation adds.
    iterations : int
        Corrections after which a path that has not settled is an error.
    """

    tolerance: float = 1e-12
    iterations: int = 50
    name: ClassVar[str] = "drift_implicit_euler"
    orders: ClassVar[dict[str, tuple[float, float]]] = EULER_ORDERS
    source: ClassVar[str] = "Kloeden and Platen, Numerical Solution of Stochastic Differential Equations"

    def step(self, coefficients: Coefficients, t: Any, x: np.ndarray, dt: Any, noise: StepNoise) -> np.ndarray:
        known = x + coefficients.apply(coefficients.diffusion(t, x), noise.increments)
        y = known + coefficients.drift(t, x) * dt
        end, dt = np.broadcast_to(t + dt, (len(x), 1)), np.broadcast_to(dt, (len(x), 1))
        open_paths = np.flatnonzero(np.isfinite(y).all(axis=1))
        systems = np.empty((len(x), *(coefficients.dimension,) * 2))
        slow, last = np.ones(len(x), dtype=bool), np.full(len(x), np.inf)
        for _ in range(self.iterations):
            fresh = open_paths[slow[open_paths]]
            if fresh.size:
                jacobian = coefficients.drift_jacobian(end[fresh] if np.ndim(t) else float(end[0, 0]), y[fresh])
                systems[fresh] = np.eye(coefficients.dimension) - dt[fresh, :, None] * jacobian
            rows = y[open_paths]
            drift = coefficients.drift(end[open_paths] if np.ndim(t) else float(end[0, 0]), rows)
            residual = rows - dt[open_paths] * drift - known[open_paths]
            correction = self._solve(systems[open_paths], residual, float(end[open_paths[0], 0]))
            y[open_paths] = rows - correction
            scale = np.maximum(np.abs(rows), np.abs(known[open_paths])).max(axis=1)
            size = np.abs(correction).max(axis=1)
            slow[open_paths] = size > 0.1 * last[open_paths]
            last[open_paths] = size
            open_paths = open_paths[size > self.tolerance * scale]
            if not open_paths.size:
                return y
        raise InvalidInput(
            f"solver {self.name!r}: Newton's method did not settle in {self.iterations} corrections near "
            f"t = {float(end[open_paths[0], 0]):g} on {open_paths.size} paths: lower dt, or pass drift_jacobian"
        )

    def _solve(self, system: np.ndarray, residual: np.ndarray, t: float) -> np.ndarray:
        try:
            return np.linalg.solve(system, residual[..., None])[..., 0]
        except np.linalg.LinAlgError:
            raise InvalidInput(
                f"solver {self.name!r}: 1 - dt J is singular near t = {t:g}, where J is the drift's Jacobian: the "
                "implicit step has no unique solution; take another dt"
            ) from None

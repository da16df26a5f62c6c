"""Schemes for a stochastic limit on the zero-loss set; a step takes increments (P, q) of variance dt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.problems import geometry

from .checks import check_move
from .fields import Fields
from .flows import TABLEAUS, extended, runge_kutta_step
from .leaving import back_to_set, frame_of_rank

# Weak orders; the tests measure them without sampling error.
NOISE_SOLVERS = {"limit_map": 1.0, "newton": 1.0, "ito": 1.0, "normal": 1.0, "ninomiya_victoir": 2.0}
DIFFERENCE = 5e-3  # of the fourth-order difference along the set: its error is about 1e-10


@dataclass(frozen=True, eq=False)
class Stepper:
    """One step of a limit from points of the zero-loss set to points of the zero-loss set.

    With b the Ito drift (its normal part is the set's curvature), G the noise and xi the increments, the
    solvers are

    - "limit_map": w <- Phi(w + P b' dt + G xi), b' without the noise's own part, which the mean of Phi holds
    - "newton": w <- R(w + P b dt + P G xi), R Newton's retraction
    - "ito": w <- R(w + b dt + P G xi)
    - "normal": w <- the point of the set over w + P b dt + P G xi along the normal space at w
    - "ninomiya_victoir": flows along P G's columns, their order by a fair coin, and the Stratonovich drift

    The first four have weak order 1 (derived). The last has weak order 2 by Ninomiya and Victoir's theorem,
    because a Runge-Kutta step of order 4 along a column errs by an odd fifth power of its increment, which
    has mean 0 up to dt^3 (derived).

    Parameters
    ----------
    fields : Fields
    solver : str
        A key of NOISE_SOLVERS, or of `flows.TABLEAUS` for a limit without noise.
    rank : int
        Of the Hessian on the set.
    """

    fields: Fields
    solver: str
    rank: int

    def checked_step(
        self, w: np.ndarray, dt: float, increments: np.ndarray, signs: np.ndarray
    ) -> tuple[np.ndarray, Any, Any]:
        """`step`, held against `check_move`; with the frames before and after it."""
        frame = frame_of_rank(self.fields.model, w, self.rank)
        moved = self.step(w, dt, increments, signs, frame)
        return moved, frame, check_move(self.fields, w, moved, frame)

    def step(
        self, w: np.ndarray, dt: float, increments: np.ndarray, signs: np.ndarray, frame: Any
    ) -> np.ndarray:
        """Positions (P, m) a time dt after w (P, m), whose frame is known; `signs` (P,) are the fair coins.

        Raises
        ------
        InvalidInput
            If a path leaves the set, explodes, or meets a Hessian of another rank; which, single steps tell.
        """
        fields, model = self.fields, self.fields.model
        if self.solver in TABLEAUS:
            return self._flow(fields.tangent_drift, w, dt, self.solver)
        if self.solver == "ninomiya_victoir":
            return self._compose(w, dt, increments, signs)
        noise = fields.noise_times(w, increments)
        if self.solver == "limit_map":
            own = tuple(mechanism for mechanism, _ in fields.diffusing())
            drift = fields.tangent_drift(w, frame, skip=own)
            return geometry.limit_map(model, w + dt * drift + noise)
        drift = fields.drift(w, frame) if self.solver == "ito" else fields.tangent_drift(w, frame)
        moved = w + dt * drift + frame.tangent_part(noise)
        return back_to_set(model, moved, base=w if self.solver == "normal" else None)

    def _flow(self, field: Any, w: np.ndarray, dt: Any, solver: str) -> np.ndarray:
        """A projected Runge-Kutta step along `field`(w, frame)."""
        model = self.fields.model
        return back_to_set(model, runge_kutta_step(extended(model, field, self.rank), w, dt, solver))

    def _compose(self, w: np.ndarray, dt: float, increments: np.ndarray, signs: np.ndarray) -> np.ndarray:
        w = self._flow(self._stratonovich_drift, w, dt / 2, "heun")
        paths, count = np.arange(len(w)), increments.shape[1]
        for i in range(count):
            column = np.where(signs > 0, i, count - 1 - i)
            unit = np.zeros(increments.shape)
            unit[paths, column] = 1.0

            def field(point: np.ndarray, frame: Any, unit: np.ndarray = unit) -> np.ndarray:
                return frame.tangent_part(self.fields.noise_times(point, unit))

            w = self._flow(field, w, increments[paths, column, None], "rk4")
        return self._flow(self._stratonovich_drift, w, dt / 2, "heun")

    def _stratonovich_drift(self, w: np.ndarray, frame: Any) -> np.ndarray:
        """P b - P sum_i (D V_i) V_i / 2 with V = P G, by differences along the set (derived)."""
        fields = self.fields
        drift, count = fields.tangent_drift(w, frame), sum(root.root_size for root in fields.noise_roots(w))
        for i in range(count):
            one = np.zeros((*np.shape(w)[:-1], count))
            one[..., i] = 1.0
            along = frame.tangent_part(fields.noise_times(w, one))
            length = np.linalg.norm(along, axis=-1, keepdims=True)
            unit = along / np.where(length > 0, length, 1.0)
            h = DIFFERENCE * np.maximum(1.0, np.linalg.norm(w, axis=-1, keepdims=True))
            for k, weight in ((-2, 1 / 12), (-1, -2 / 3), (1, 2 / 3), (2, -1 / 12)):
                point = back_to_set(fields.model, w + k * h * unit)
                there = frame_of_rank(fields.model, point, self.rank)
                drift = drift - 0.5 * length * weight / h * there.tangent_part(fields.noise_times(point, one))
        return frame.tangent_part(drift)

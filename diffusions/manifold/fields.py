"""Drift and noise of the limit at points of the zero-loss set, summed over its terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry
from sgdlimits.problems.frames import tangential
from sgdlimits.problems.noise import LossNoise

from .batches import stationary_covariance
from .next_order import next_order_drift
from .terms import DEGENERATE, NEXT_ORDER, NON_DEGENERATE, Term


@dataclass(frozen=True, eq=False)
class Fields:
    """The limit's vector fields in the leading term's time; every method takes w (..., m) on the set.

    Parameters
    ----------
    model, batch, step_size
        Of the limit; `batch` is its minibatch mechanism or None.
    terms : tuple of Term
    rate : float
        Time of the limit per step.
    finite_step : bool
        See `ManifoldLimit`.
    """

    model: Any
    batch: Any
    step_size: float
    terms: tuple[Term, ...]
    rate: float
    finite_step: bool

    def moving(self, regime: str) -> list[tuple[Any, float]]:
        """Mechanisms of one regime, each with its time over the limit's time."""
        return [(term.mechanism, term.rate / self.rate) for term in self.terms if term.regime == regime]

    def diffusing(self) -> list[tuple[Any, float]]:
        """Degenerate mechanisms whose noise has a part along the set."""
        return [
            (term.mechanism, term.rate / self.rate)
            for term in self.terms
            if term.regime == DEGENERATE and term.tangential
        ]

    def drift(self, w: np.ndarray, frame: Any, skip: tuple[Any, ...] = ()) -> np.ndarray:
        """Ito drift (..., m), its normal part (the curvature) included; the mechanisms in `skip` left out."""
        total = np.zeros(np.shape(w))
        for mechanism, weight in self.moving(NON_DEGENERATE):
            total -= weight * tangential(frame, mechanism.regulariser_gradient(self.model, w))
        for term in self.terms:
            if term.regime == NEXT_ORDER:
                total += self.step_size / self.rate * next_order_drift(self.model, term.mechanism.components, w, frame)
        if self.finite_step:
            return total + self.finite_step_drift(w, frame)
        pushed = [
            part for part in self.moving(DEGENERATE) if not any(part[0] is mechanism for mechanism in skip)
        ]
        if pushed:
            covariance = self.covariance(w, pushed)
            total += 0.5 * geometry.second_derivative(self.model, w, covariance, frame=frame).total
        return total

    def covariance(self, w: np.ndarray, parts: list[tuple[Any, float]]) -> np.ndarray:
        """Weighted sum of the mechanisms' gradient-noise covariances (..., m, m)."""
        return sum(weight * mechanism.covariance(self.model, w, self.batch) for mechanism, weight in parts)

    def finite_step_drift(self, w: np.ndarray, frame: Any) -> np.ndarray:
        """-P grad <C, Hessian> / 2, C the stationary covariance of the normal part (derived).

        The second-order part of every mechanism, the non-degenerate ones included, where it is smaller by a
        factor of the step size. Minibatches spread it further: they multiply the distance from the set.
        """
        parts = [
            (term.mechanism, self.step_size**2 * term.mechanism.sigma**2 / self.rate)
            for term in self.terms
            if term.regime in (NON_DEGENERATE, DEGENERATE)
        ]
        noise = self.covariance(w, parts)
        if self.batch is None:
            spread = geometry.normal_covariance(self.model, w, noise, step_size=self.step_size, frame=frame)
        else:
            spread = stationary_covariance(self.model, self.batch, w, frame, noise, self.step_size)
        return -0.5 * tangential(frame, self.model.third_contraction(w, spread))

    def noise_matrix(self, w: np.ndarray) -> np.ndarray:
        """G (..., m, q) of the diffusing mechanisms, not projected."""
        blocks = [
            np.sqrt(weight) * mechanism.noise_matrix(self.model, w) for mechanism, weight in self.diffusing()
        ]
        return np.concatenate(blocks, axis=-1) if blocks else np.zeros((*np.shape(w), 0))

    def potential(self, w: np.ndarray) -> np.ndarray:
        """R (...) with tangential drift -P grad R, neither the next order nor a finite step included.

        Reg of a non-degenerate mechanism; (c/4) tr H where the noise covariance is c H (label noise), (c/4)
        log of the pseudo-determinant of H where it is c times the identity (derived).
        """
        total = np.zeros(np.shape(w)[:-1])
        for mechanism, weight in self.moving(NON_DEGENERATE):
            total = total + weight * mechanism.regulariser(self.model, w)
        for mechanism, weight in self.moving(DEGENERATE):
            covariance = mechanism.covariance(self.model, w, self.batch)
            hessian, identity = (
                self.model.hessian(w),
                np.broadcast_to(np.eye(self.model.dimension), covariance.shape),
            )
            by_hessian, by_identity = multiple(covariance, hessian), multiple(covariance, identity)
            # A user's noise may have such a covariance with a factor that varies along the set.
            if isinstance(mechanism, LossNoise) or (by_hessian is None and by_identity is None):
                raise InvalidInput(
                    f"the drift of {type(mechanism).__name__} on {self.model.label} is not known to be a "
                    "gradient: use drift(t, w) instead of regulariser(w)"
                )
            if by_hessian is not None:
                total = total + weight * by_hessian / 4 * geometry.trace_hessian(self.model, w)
            else:
                assert by_identity is not None  # else refused above
                total = total + weight * by_identity / 4 * geometry.log_determinant(self.model, w)
        return total


def multiple(matrix: np.ndarray, other: np.ndarray) -> np.ndarray | None:
    """c (...) with matrix = c * other to rounding; None where there is none."""
    factor = (matrix * other).sum((-2, -1)) / (other * other).sum((-2, -1))
    off = np.abs(matrix - factor[..., None, None] * other).max()
    return factor if off <= 1e-9 * np.abs(matrix).max() else None


def tangential_matrix(frame: Any, matrix: np.ndarray) -> np.ndarray:
    """P G for `matrix` (..., m, q)."""
    return matrix - frame.normals @ (frame.normals.swapaxes(-1, -2) @ matrix)

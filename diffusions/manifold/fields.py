"""Drift and noise of the limit at points of the zero-loss set, summed over its terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry
from sgdlimits.problems.covariances import Covariance
from sgdlimits.problems.noise import LossNoise

from .batches import stationary_core
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

    def drift(self, w: np.ndarray, frame: Any) -> np.ndarray:
        """Ito drift (..., m), its normal part (the curvature) included."""
        return self.tangent_drift(w, frame) + self.curvature_drift(w, frame)

    def curvature_drift(self, w: np.ndarray, frame: Any) -> np.ndarray:
        """What keeps noise along the set on it, a normal vector (..., m)."""
        pushed = self.diffusing()
        if self.finite_step or not pushed:
            return np.zeros(np.shape(w))
        return 0.5 * geometry.curvature_part(self.model, w, self.covariance(w, pushed), frame)

    def tangent_drift(self, w: np.ndarray, frame: Any, skip: tuple[Any, ...] = ()) -> np.ndarray:
        """The drift's part along the set; the second-order part of the mechanisms in `skip` left out."""
        total = np.zeros(np.shape(w))
        for mechanism, weight in self.moving(NON_DEGENERATE):
            total -= weight * frame.tangent_part(mechanism.regulariser_slope(self.model, w, frame))
        for term in self.terms:
            if term.regime == NEXT_ORDER:
                total += self.step_size / self.rate * next_order_drift(self.model, term.mechanism.components, w, frame)
        if self.finite_step:
            return total + self.finite_step_drift(w, frame)
        pushed = [
            part for part in self.moving(DEGENERATE) if not any(part[0] is mechanism for mechanism in skip)
        ]
        if pushed:
            total += 0.5 * sum(geometry.tangent_parts(self.model, w, self.covariance(w, pushed), frame))
        return total

    def covariance(self, w: np.ndarray, parts: list[tuple[Any, float]]) -> Covariance:
        """Weighted sum of the mechanisms' gradient-noise covariances."""
        return Covariance.total(
            [(weight, mechanism.factored_covariance(self.model, w, self.batch)) for mechanism, weight in parts]
        )

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
            spread = geometry.normal_core(frame, noise, self.step_size)
        else:
            spread = stationary_core(self.model, self.batch, w, frame, noise, self.step_size)
        return -0.5 * frame.tangent_part(geometry.push(self.model, w, frame, spread))

    def noise_matrix(self, w: np.ndarray) -> np.ndarray:
        """G (..., m, q) of the diffusing mechanisms, not projected."""
        blocks = [
            np.sqrt(weight) * mechanism.noise_matrix(self.model, w) for mechanism, weight in self.diffusing()
        ]
        return np.concatenate(blocks, axis=-1) if blocks else np.zeros((*np.shape(w), 0))

    def noise_roots(self, w: np.ndarray) -> list[Covariance]:
        """Covariances of the diffusing mechanisms, of the full batch, each with the identity as its core."""
        return [
            Covariance.scaled_root(weight, mechanism.factored_covariance(self.model, w))
            for mechanism, weight in self.diffusing()
        ]

    def noise_times(self, w: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        """G of the diffusing mechanisms, not projected, times `numbers` (..., q): vectors (..., m)."""
        total, start = np.zeros(np.shape(w)), 0
        for root in self.noise_roots(w):
            total = total + root.root_times(numbers[..., start : start + root.root_size])
            start += root.root_size
        return total

    def potential(self, w: np.ndarray) -> np.ndarray:
        """R (...) with tangential drift -P grad R, neither the next order nor a finite step included.

        Reg of a non-degenerate mechanism; (c/4) tr H where the noise covariance is c H (label noise), (c/4)
        log of the pseudo-determinant of H where it is c times the identity (derived).
        """
        total, frame = np.zeros(np.shape(w)[:-1]), geometry.frame(self.model, w)
        for mechanism, weight in self.moving(NON_DEGENERATE):
            total = total + weight * mechanism.regulariser_on_set(self.model, w, frame)
        for mechanism, weight in self.moving(DEGENERATE):
            covariance = mechanism.factored_covariance(self.model, w, self.batch)
            by_hessian, by_identity = multiple_of_hessian(covariance, frame), multiple_of_identity(covariance)
            # A user's noise may have such a covariance with a factor that varies along the set.
            if isinstance(mechanism, LossNoise) or (by_hessian is None and by_identity is None):
                raise InvalidInput(
                    f"the drift of {type(mechanism).__name__} on {self.model.label} is not known to be a "
                    "gradient: use drift(t, w) instead of regulariser(w)"
                )
            if by_hessian is not None:
                total = total + weight * by_hessian / 4 * frame.eigenvalues.sum(-1)
            elif by_identity is not None:
                total = total + weight * by_identity / 4 * np.log(frame.eigenvalues).sum(-1)
        return total


def multiple_of_hessian(covariance: Covariance, frame: Any) -> np.ndarray | None:
    """c (...) with covariance = c * Hessian to rounding; None where there is none."""
    inside = covariance.inside(frame.normals)
    factor = np.einsum("...ii->...", inside) / frame.eigenvalues.sum(-1)
    hessian = frame.eigenvalues[..., None] * np.eye(frame.rank)
    off = np.abs(inside - factor[..., None, None] * hessian).max()
    small = 1e-9 * covariance.largest().max()
    alone = geometry.tangential_variance(covariance, frame).max()
    return factor if off <= 1e-9 * np.abs(inside).max() and alone <= small else None


def multiple_of_identity(covariance: Covariance) -> float | None:
    """c with covariance = c * 1; None where there is none."""
    if not covariance.rows.shape[-2]:
        return covariance.isotropic or None
    if covariance.rows.shape[-2] < covariance.rows.shape[-1]:
        return None
    matrix = covariance.dense()
    factor = float(matrix.ravel()[0])
    off = np.abs(matrix - factor * np.eye(matrix.shape[-1])).max()
    return factor if off <= 1e-9 * np.abs(matrix).max() else None


def tangential_matrix(frame: Any, matrix: np.ndarray) -> np.ndarray:
    """P G for `matrix` (..., m, q)."""
    return matrix - frame.normals @ (frame.normals.swapaxes(-1, -2) @ matrix)

"""Covariances of gradient noise in many weights: a multiple of the identity plus a form of few rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Covariance:
    """isotropic * 1 + rows' core rows.

    Parameters
    ----------
    rows : (..., q, m) array
    core : (..., q, q) array, symmetric, or None
        None is the identity.
    isotropic : float
    """

    rows: np.ndarray
    core: np.ndarray | None = None
    isotropic: float = 0.0

    @classmethod
    def of_matrix(cls, matrix: np.ndarray) -> Covariance:
        """Of a symmetric array (..., m, m)."""
        values, vectors = np.linalg.eigh(matrix)
        return cls(vectors.swapaxes(-1, -2), values[..., :, None] * np.eye(values.shape[-1]))

    @classmethod
    def multiple_of_identity(cls, factor: float, w: np.ndarray) -> Covariance:
        """factor * 1 at points w (..., m)."""
        return cls(np.zeros((*np.shape(w)[:-1], 0, np.shape(w)[-1])), None, factor)

    @classmethod
    def total(cls, parts: Sequence[tuple[float, Covariance]]) -> Covariance:
        """Sum of at least one covariance, each times its weight."""
        weights, found = zip(*parts)
        sizes = [part.rows.shape[-2] for part in found]
        lead = np.broadcast_shapes(*(part.rows.shape[:-2] for part in found))
        core = np.zeros((*lead, sum(sizes), sum(sizes)))
        for end, size, weight, part in zip(np.cumsum(sizes), sizes, weights, found):
            own = slice(end - size, end)
            core[..., own, own] = weight * (np.eye(size) if part.core is None else part.core)
        rows = [np.broadcast_to(part.rows, (*lead, *part.rows.shape[-2:])) for part in found]
        isotropic = sum(weight * part.isotropic for weight, part in zip(weights, found))
        return cls(np.concatenate(rows, axis=-2), core, isotropic)

    @classmethod
    def scaled_root(cls, weight: float, part: Covariance) -> Covariance:
        """weight * part with the identity as its core, as `part` has it."""
        assert part.core is None
        return cls(np.sqrt(weight) * part.rows, None, weight * part.isotropic)

    def dense(self) -> np.ndarray:
        """The matrix (..., m, m)."""
        found = self.rows.swapaxes(-1, -2) @ self.weighted_rows()
        return found + self.isotropic * np.eye(found.shape[-1]) if self.isotropic else found

    def weighted_rows(self) -> np.ndarray:
        """core rows, (..., q, m)."""
        return self.rows if self.core is None else self.core @ self.rows

    def largest(self) -> np.ndarray:
        """Largest variance of a weight, (...): the largest entry of the matrix."""
        return (self.rows * self.weighted_rows()).sum(-2).max(-1) + self.isotropic

    def inside(self, directions: np.ndarray) -> np.ndarray:
        """Within orthonormal `directions` (..., m, r): (..., r, r)."""
        seen = self.rows @ directions
        found = seen.swapaxes(-1, -2) @ (seen if self.core is None else self.core @ seen)
        return found + self.isotropic * np.eye(found.shape[-1])

    def variance_along(self, vectors: np.ndarray) -> np.ndarray:
        """v' covariance v (...) for `vectors` (..., m)."""
        seen = self.rows @ vectors[..., None]
        found = (seen * (seen if self.core is None else self.core @ seen)).sum((-2, -1))
        return found + self.isotropic * (vectors**2).sum(-1)

    @property
    def root_size(self) -> int:
        """Numbers q that `root_times` takes of a point; the core must be the identity."""
        return self.rows.shape[-2] + (self.rows.shape[-1] if self.isotropic else 0)

    def root_times(self, numbers: np.ndarray) -> np.ndarray:
        """A root (..., m, q) times `numbers` (..., q): vectors (..., m)."""
        assert self.core is None
        count = self.rows.shape[-2]
        found = (numbers[..., None, :count] @ self.rows)[..., 0, :]
        return found + np.sqrt(self.isotropic) * numbers[..., count:] if self.isotropic else found

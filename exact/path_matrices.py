"""Symmetric matrices, one a path, that a step divides by: dense, of low rank, or diagonal plus rank one in a basis."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


class PathMatrices(ABC):
    """Symmetric matrices (P, d, d), or one (1, d, d) for all paths."""

    @abstractmethod
    def solve(self, vectors: np.ndarray, damping: float = 0.0) -> np.ndarray:
        """(matrix + damping I)^-1 v (P, d) for vectors v (P, d)."""

    @abstractmethod
    def dense(self) -> np.ndarray:
        """The matrices (P, d, d) or (1, d, d)."""


@dataclass(frozen=True, eq=False)
class Dense(PathMatrices):
    """matrices + shift I.

    Attributes
    ----------
    matrices : (P, d, d) or (1, d, d) array
    shift : float
    """

    matrices: np.ndarray
    shift: float = 0.0

    def solve(self, vectors: np.ndarray, damping: float = 0.0) -> np.ndarray:
        d = vectors.shape[1]
        shifted = self.matrices + (self.shift + damping) * np.eye(d)
        if len(shifted) == 1:
            return vectors @ np.linalg.inv(shifted[0]).T
        return _solved(shifted, vectors)

    def dense(self) -> np.ndarray:
        return self.matrices + self.shift * np.eye(self.matrices.shape[-1])


@dataclass(frozen=True, eq=False)
class LowRank(PathMatrices):
    """sum over rows f of factors of f f^T, + shift I.

    Where there are fewer rows than columns a system of as many unknowns as rows is solved (Woodbury; of one row Sherman
    and Morrison), which needs shift + damping > 0.

    Attributes
    ----------
    factors : (P, m, d) array
    shift : float
    """

    factors: np.ndarray
    shift: float = 0.0

    def solve(self, vectors: np.ndarray, damping: float = 0.0) -> np.ndarray:
        f, s = self.factors, self.shift + damping
        m, d = f.shape[1:]
        if m >= d:
            return Dense(f.swapaxes(1, 2) @ f, self.shift).solve(vectors, damping)
        seen = np.einsum("pmj,pj->pm", f, vectors)
        if m == 1:
            inner = seen / (s + np.square(f).sum(axis=2))
        else:
            inner = _solved(f @ f.swapaxes(1, 2) + s * np.eye(m), seen)
        return (vectors - np.einsum("pmj,pm->pj", f, inner)) / s

    def dense(self) -> np.ndarray:
        return self.factors.swapaxes(1, 2) @ self.factors + self.shift * np.eye(self.factors.shape[2])


@dataclass(frozen=True, eq=False)
class DiagonalPlusRankOne(PathMatrices):
    """basis (diag(diagonals) + u u^T) basis^T.

    Attributes
    ----------
    basis : (d, d) array
        Orthonormal columns.
    diagonals, vectors : (P, d) arrays
        The second is u.
    """

    basis: np.ndarray
    diagonals: np.ndarray
    vectors: np.ndarray

    def solve(self, vectors: np.ndarray, damping: float = 0.0) -> np.ndarray:
        inverse = 1 / (self.diagonals + damping)
        modes, u = vectors @ self.basis, self.vectors
        divided, turned = inverse * modes, inverse * u
        share = (u * divided).sum(axis=1) / (1 + (u * turned).sum(axis=1))
        return (divided - share[:, None] * turned) @ self.basis.T

    def dense(self) -> np.ndarray:
        inner = self.diagonals[:, :, None] * np.eye(len(self.basis)) + self.vectors[:, :, None] * self.vectors[:, None]
        return self.basis @ inner @ self.basis.T


def _solved(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """matrices^-1 v; nan for paths that have left the range of numbers, which the engine reports."""
    whole = np.isfinite(matrices).all(axis=(1, 2))
    if not whole.all():
        matrices = np.where(whole[:, None, None], matrices, np.eye(matrices.shape[-1]))
        vectors = np.where(whole[:, None], vectors, np.nan)
    try:
        return np.linalg.solve(matrices, vectors[..., None])[..., 0]
    except np.linalg.LinAlgError:  # so far out that a damping is lost in rounding
        if len(vectors) == 1:
            return np.full_like(vectors, np.nan)
        half = len(vectors) // 2
        return np.concatenate([_solved(matrices[part], vectors[part]) for part in (slice(half), slice(half, None))])

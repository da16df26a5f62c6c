"""Cheap proofs that second moments settle, for the check before a simulation: nothing is assembled. All derived.

|z|^2 falls on average in every direction of the range; a False says only that this was not shown. Features (n, r) are
in the eigenbasis of the Hessian, restricted to its range, with equal weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .linear_maps import pack_symmetric, unpack_symmetric

DENSE = 400  # up to here the matrix is formed; beyond, its largest eigenvalue is found by products with vectors
MARGIN = 1e-9
TOO_DEAR = 1e9  # multiplications of one noise map: beyond, a warning is not worth the seconds that it takes


def map_is_stable(features: np.ndarray, kept: np.ndarray, weight: float) -> bool:
    """For z <- move z + noise of the covariance weight * C(z): kept + weight E |a|^2 a a^T < 1.

    Parameters
    ----------
    features : (n, r) array
    kept : (r,) array
        Squares of what a step leaves of a mode, less weight * eigenvalue^2 (C is a covariance, not a second moment).
    """
    return _largest(features, kept, weight) < 1 - MARGIN


def flow_is_stable(features: np.ndarray, lost: np.ndarray, weight: float) -> bool:
    """For dz = -rates z dt + noise of the covariance weight * C(z): -lost + weight E |a|^2 a a^T < 0.

    Parameters
    ----------
    lost : (r,) array
        2 rates + weight * eigenvalue^2.
    """
    return _largest(features, -lost, weight) < -MARGIN * float(np.abs(lost).max(initial=0.0))


def _largest(features: np.ndarray, diagonal: np.ndarray, weight: float) -> float:
    """Largest eigenvalue of diag(diagonal) + weight E |a|^2 a a^T."""
    n, r = features.shape
    if not r:
        return -np.inf
    squares = np.square(features).sum(axis=1) * (weight / n)
    if r <= DENSE:
        matrix = (features * squares[:, None]).T @ features
        matrix[np.diag_indices(r)] += diagonal
        return float(np.linalg.eigvalsh(matrix)[-1])
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    def apply(vector: np.ndarray) -> np.ndarray:
        vector = vector.ravel()
        return diagonal * vector + features.T @ (squares * (features @ vector))

    operator: Callable = LinearOperator((r, r), matvec=apply, dtype=float)
    try:
        found = eigsh(operator, k=1, which="LA", v0=np.ones(r), tol=1e-6, maxiter=40, return_eigenvectors=False)
    except ArpackNoConvergence:
        return np.inf
    return float(found[0]) + 1e-5 * abs(float(found[0] - diagonal.min()))


def threshold(features: np.ndarray, curvatures: np.ndarray, factor: float) -> float:
    """Step size at which plain descent's second moments cease to settle: one symmetric eigenproblem. Derived.

    G = s (K S + S K) - s^2 (K S K + factor C(S)), with C the covariance of one sample's gradient, so that G is positive
    iff s times the largest eigenvalue of D^-1/2 (K.K + factor C) D^-1/2 is below 1, D the sums of two curvatures.

    Parameters
    ----------
    features : (n, r) array
    curvatures : (r,) array
        Above 0, of these modes.
    factor : float
        Of the covariance of a batch's gradient.
    """
    from scipy.sparse.linalg import LinearOperator, eigsh

    (n, r), k = features.shape, curvatures
    root = pack_symmetric(np.full((r, r), np.sqrt(2)) - (np.sqrt(2) - 1) * np.eye(r))
    fading = pack_symmetric(k[:, None] + k) ** -0.5
    rows, pairs = np.ascontiguousarray(features), pack_symmetric(k[:, None] * k)
    h = np.square(rows).mean(axis=0)
    pairs = pairs - factor * pack_symmetric(h[:, None] * h)

    def apply(vector: np.ndarray) -> np.ndarray:
        vector = vector.ravel() * fading
        squares = np.einsum("ij,ij->i", rows @ unpack_symmetric(vector / root, r), rows)
        coupled = pack_symmetric((rows * squares[:, None]).T @ rows) * root * (factor / n)
        return fading * (pairs * vector + coupled)

    operator: Callable = LinearOperator((root.size, root.size), matvec=apply, dtype=float)
    start = pack_symmetric(np.diag(k)) * root / fading  # a fixed start keeps the result reproducible
    return 1 / float(eigsh(operator, k=1, which="LA", v0=start, return_eigenvectors=False, tol=1e-13)[0])

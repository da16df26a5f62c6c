"""The ends of a symmetric matrix's spectrum, and the eigenvalue nearest to a number, from products alone.

The Lanczos process with full reorthogonalisation, for many matrices side by side. A Ritz value has an eigenvalue within
its residual (Parlett, The Symmetric Eigenvalue Problem, 4.5.1), at either end and inside the spectrum; that none lies
nearer to the number is seen from all Ritz values together, those that are still on the move counted with all their
residual. It holds unless the start is orthogonal to an eigenvector, which a random one almost surely is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Product = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of matrices (A,) with a vector each (A, d)

ROOM = 64  # vectors of a basis to begin with
LOOK_EVERY = 8  # products between looks at the residuals
ROUNDING = 64 * np.finfo(float).eps  # of a residual, relative to the largest Ritz value


@dataclass(frozen=True, eq=False)
class SpectralEnds:
    """Eigenvalues of P symmetric matrices.

    Attributes
    ----------
    lowest, highest, nearest : (P,) arrays
        The ends of each spectrum, and the eigenvalue nearest to the target.
    end_error, nearest_error : (P,) arrays
        Of the ends (the larger of the two), and of the distance between target and nearest eigenvalue.
    products : int
        With one vector, all matrices together.
    """

    lowest: np.ndarray
    highest: np.ndarray
    nearest: np.ndarray
    end_error: np.ndarray
    nearest_error: np.ndarray
    products: int


def spectral_ends(
    product: Product, starts: np.ndarray, target: float, tolerance: float, most: int
) -> SpectralEnds:
    """Ends of the spectra of P symmetric matrices, and the eigenvalues nearest to `target`.

    Parameters
    ----------
    product : function of (places (A,), vectors (A, d)) -> (A, d)
        Matrices `places` times a vector each.
    starts : (P, d) array
        Random, not zero.
    target : float
    tolerance : float
        Absolute, of the errors; where `most` products do not reach it, the errors say so.
    most : int
        Products with each matrix; d are enough for any.
    """
    P, d = starts.shape
    most = min(most, d)
    found = np.empty((5, P))
    active, taken = np.arange(P), 0
    basis = np.empty((P, min(most, ROOM), d))
    basis[:, 0] = starts / np.linalg.norm(starts, axis=1, keepdims=True)
    alpha, beta = np.zeros((P, most)), np.zeros((P, most))
    for j in range(most):
        w = product(active, basis[:, j])
        taken += len(active)
        known = basis[:, : j + 1]
        alpha[:, j] = (w * basis[:, j]).sum(axis=1)
        for _ in range(2):  # once leaves what rounding made of it
            w = w - ((known @ w[..., None]).swapaxes(1, 2) @ known)[:, 0]
        beta[:, j] = np.linalg.norm(w, axis=1)
        last = j + 1 == most
        exhausted = beta[:, j] <= tolerance
        if last or exhausted.any() or (j + 1) % LOOK_EVERY == 0:
            seen = _ritz(alpha[:, : j + 1], beta[:, : j + 1], target)
            done = (seen[3:] <= tolerance).all(axis=0) | exhausted | last
            found[:, active[done]] = seen[:, done]
            kept = ~done
            if not kept.any():
                break
            if done.any():
                active, basis, alpha, beta, w = active[kept], basis[kept], alpha[kept], beta[kept], w[kept]
        if j + 1 == basis.shape[1]:
            basis = np.concatenate([basis, np.empty((len(active), min(most - j - 1, j + 1), d))], axis=1)
        basis[:, j + 1] = w / beta[:, j, None]
    return SpectralEnds(found[0], found[1], found[2], found[3], found[4], taken)


def _ritz(alpha: np.ndarray, beta: np.ndarray, target: float) -> np.ndarray:
    """Lowest, highest, nearest, error of the ends, error of the nearest's distance: (5, A)."""
    A, size = alpha.shape
    matrices = np.zeros((A, size, size))
    places = np.arange(size)
    matrices[:, places, places] = alpha
    matrices[:, places[1:], places[:-1]] = beta[:, :-1]
    values, vectors = np.linalg.eigh(matrices)  # reads the lower triangle
    scale = np.abs(values).max(axis=1, keepdims=True)
    residuals = beta[:, -1:] * np.abs(vectors[:, -1]) + ROUNDING * scale
    away = np.abs(values - target)
    best = away.argmin(axis=1)[:, None]
    nearest, reach = (np.take_along_axis(each, best, 1)[:, 0] for each in (values, residuals))
    closest = np.maximum(away - residuals, 0.0).min(axis=1)
    error = np.maximum(reach, away.min(axis=1) - closest)
    ends = np.maximum(residuals[:, 0], residuals[:, -1])
    return np.array([values[:, 0], values[:, -1], nearest, ends, error])

"""Families of matrices whose random products are simple: multiples of isometries, common eigenvectors, no expansion.

A family with A^T P A = c^2 P for one positive P multiplies the norm sqrt(x.P x) by c whatever x is. One that is
triangular, or has common eigenvectors, moves a coordinate by its own factors, up to lighter parts: k(s) is the largest
E |factor|^s. One that expands nothing in some norm, and contracts now and then, has products that die out. Derived.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

ROUNDING = 1e-12  # of a matrix, relative
SKEW = 1e6  # condition number of common eigenvectors that are still used
WORDS = 4096  # products that are gone through
NEARLY = 1e-6  # how near to 1 eigenvalues of an isometry are, not all simple, by rounding
SMALL = 8  # rows up to which ellipsoids are looked for
FEW = 500  # matrices up to which they are
ROUNDS, SHORTEST = 40, 1e-6  # steps of that search, and their size, for each of these powers
POWERS = (2, 4, 8, 16, 32, 64, 128)
BELOW = 1e-9  # by which a norm is surely below 1
TRIES, DOUBLINGS = 32, 20  # random products that may contract, of 2^20 matrices


def isometry_factors(matrices: np.ndarray) -> np.ndarray | None:
    """c (n,) of matrices (n, d, d) that are c times an isometry of one quadratic norm; None where they are not."""
    d = matrices.shape[1]
    squares = np.einsum("nji,njk->nik", matrices, matrices)
    means = np.trace(squares, axis1=1, axis2=2) / d
    if (np.abs(squares - means[:, None, None] * np.eye(d)).max(axis=(1, 2)) <= ROUNDING * means).all():
        return np.sqrt(means)
    sizes = np.abs(np.linalg.det(matrices)) ** (1 / d)
    if d > SMALL or not sizes.all():
        return None
    scaled = matrices / sizes[:, None, None]
    if np.abs(np.abs(np.linalg.eigvals(scaled)) - 1).max() > NEARLY:
        return None
    gram = np.zeros((d * d, d * d))
    for one in scaled:
        change = np.kron(one.T, one.T) - np.eye(d * d)
        gram += change.T @ change
    ellipsoid = np.linalg.eigh(gram)[1][:, 0].reshape(d, d)
    ellipsoid = ellipsoid + ellipsoid.T
    if abs(np.trace(ellipsoid)) <= ROUNDING * np.abs(ellipsoid).max():
        return None
    ellipsoid /= np.trace(ellipsoid)
    values = np.linalg.eigvalsh(ellipsoid)
    if not values[0] > values[-1] / SKEW:
        return None
    kept = np.einsum("nji,jk,nkl->nil", scaled, ellipsoid, scaled)
    return sizes if np.abs(kept - ellipsoid).max() <= ROUNDING * values[-1] ** 2 / values[0] else None


def separate_factors(matrices: np.ndarray) -> np.ndarray | None:
    """Sizes (n, d) of the factors of d coordinates that move by themselves, or on lighter ones; None without such."""
    for other in (np.tril, np.triu):
        if not (matrices - other(matrices)).any():
            return np.abs(np.diagonal(matrices, axis1=1, axis2=2))
    weights = np.random.Generator(np.random.Philox(0)).uniform(0.5, 1.5, len(matrices))
    vectors = np.linalg.eig(np.tensordot(weights, matrices, 1))[1]
    skew = np.linalg.cond(vectors)
    if not skew < SKEW:
        return None
    turned = np.linalg.solve(vectors, matrices @ vectors)
    diagonals = np.diagonal(turned, axis1=1, axis2=2)
    away = np.abs(turned - diagonals[:, :, None] * np.eye(matrices.shape[1])).max(axis=(1, 2))
    return np.abs(diagonals) if (away <= ROUNDING * skew * np.abs(matrices).max(axis=(1, 2))).all() else None


def calm_norm(matrices: np.ndarray) -> tuple[str, int]:
    """A norm, in words, that no product of so many matrices (n, d, d) expands, and some contract; or no words.

    Where none was found there may be one all the same.
    """
    if max(_radius(words) for words in _words(matrices)) > 1 + BELOW:
        return "", 0
    for name, order in (("Euclidean norm", 2), ("largest coordinate", np.inf), ("sum of coordinates", 1)):
        if np.linalg.norm(matrices, order, axis=(1, 2)).max() <= 1 + ROUNDING and _contracts(matrices):
            return name, 1
    for name, turned in (*_ellipsoids(matrices), ("Euclidean norm", matrices)):
        for length, words in enumerate(_words(turned), 1):
            largest = np.linalg.norm(words, 2, axis=(1, 2)).max()
            if largest < 1 - BELOW or (largest <= 1 + ROUNDING and _contracts(turned)):
                return name, length
    return "", 0


def _radius(matrices: np.ndarray) -> float:
    return float(np.abs(np.linalg.eigvals(matrices)).max())


def _words(matrices: np.ndarray) -> Iterator[np.ndarray]:
    """All products of one matrix, of two, of three, as long as they are few."""
    words, d = matrices, matrices.shape[1]
    for _ in range(d + 6):
        yield words
        if len(words) * len(matrices) > WORDS:
            return
        words = np.einsum("nij,mjk->nmik", words, matrices).reshape(-1, d, d)


def _contracts(matrices: np.ndarray) -> bool:
    """Whether some product is seen to have a norm below 1: in a norm that never grows products then die out."""
    generator = np.random.Generator(np.random.Philox(1))
    words = matrices[generator.integers(len(matrices), size=TRIES)]
    for _ in range(DOUBLINGS):
        words = words[generator.permutation(TRIES)] @ words
    return bool(np.linalg.norm(words, 2, axis=(1, 2)).min() < 1 / (2 * matrices.shape[1]))


def _ellipsoids(matrices: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """The matrices in coordinates in which some norm sqrt(x.P x) is Euclidean, that of a search for the least largest.

    Descent of (sum of all singular values^p)^(1 / p) under symmetric changes of coordinates, p rising.
    """
    n, d = matrices.shape[:2]
    if d > SMALL or n > FEW:
        return
    turned, length = matrices, 0.5
    for power in POWERS:
        value, gradient = _schatten(turned, power)
        for _ in range(ROUNDS):
            values, vectors = np.linalg.eigh(-length * gradient)
            bent = (vectors * np.exp(values)) @ vectors.T @ turned @ (vectors * np.exp(-values)) @ vectors.T
            lower, steeper = _schatten(bent, power)
            if lower < value:
                turned, value, gradient, length = bent, lower, steeper, min(1.6 * length, 1.0)
            else:
                length /= 2
            if length < SHORTEST or np.linalg.norm(turned, 2, axis=(1, 2)).max() < 1 - BELOW:
                break
        length = max(length, 1e3 * SHORTEST)
    yield "norm of an ellipsoid", turned


def _schatten(matrices: np.ndarray, power: int) -> tuple[float, np.ndarray]:
    """log (sum of all singular values^power) / power, and its gradient for X in exp(X) A exp(-X), X symmetric."""
    left, sizes, right = np.linalg.svd(matrices)
    largest = max(float(sizes.max()), 1e-300)
    shares = (sizes / largest) ** power
    pull = (left * (shares / np.maximum(sizes, 1e-300) / shares.sum())[:, None]) @ right
    change = np.einsum("nij,nkj->ik", pull, matrices) - np.einsum("nji,njk->ik", matrices, pull)
    return float(np.log(largest) + np.log(shares.sum()) / power), (change + change.T) / 2

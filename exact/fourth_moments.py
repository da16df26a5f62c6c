"""Whether a stationary fourth moment is finite: proofs that are cheap, for variances of squares to mean something.

A False says only that no proof was found. All functions take arrays in the eigenbasis of the Hessian, restricted to
its range, where features (n, r) with weights (n,) stand for the law of a sample.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

LARGEST_TENSORS = 6  # r up to which the map of fourth moments is formed: C(r + 3, 4) = 126 unknowns
NODES = 5  # of Gauss and Hermite's rule: exact for the eighth moments of a normal
MARGIN = 1e-9  # a radius this close to one proves nothing


def homogenized_settles(eigenvalues: np.ndarray, rates: np.ndarray, step_size: float, batch_size: int) -> bool:
    """For homogenized SGD: the lower bound of the tail index exceeds 4. Derived (homogenized SGD's index bounds).

    With kappa_i = step_size lambda_i^2 / rate_i, (z^T P z)^{p/2} of P_i = lambda_i / rate_i decays at infinity when
    (step_size / B) (sum kappa + (p - 2) max kappa) < 2; here p = 4.

    Parameters
    ----------
    eigenvalues, rates : (d,) arrays
        Of the Hessian, and decay of the modes' mean per step.
    """
    moving = eigenvalues > 0
    if (rates[moving] <= 0).any() or (rates < 0).any():
        return False
    kappa = step_size * eigenvalues[moving] ** 2 / rates[moving]
    return bool(step_size / batch_size * (kappa.sum() + 2 * kappa.max(initial=0.0)) < 2 - MARGIN)


def diffusion_settles(rates: np.ndarray, spread: np.ndarray, push: np.ndarray, scale: float) -> bool:
    """For dz = -rates z dt + noise of covariance scale * C(z): |z|^4 decays at infinity. Derived.

    Parameters
    ----------
    rates : (r,) array
    spread, push : (r, r) arrays
        tr C(z) <= z^T spread z and z^T C(z) z <= |z|^2 z^T push z, up to lower powers of z.
    """
    drift = np.diag(-4 * rates) + scale * (2 * spread + 4 * push)
    return bool(not rates.size or np.linalg.eigvalsh(drift)[-1] < -MARGIN * np.abs(drift).max())


def norm_settles(
    features: np.ndarray, weights: np.ndarray, step_size: float, ridge: float
) -> bool:
    """For SGD: E |A z|^4 < |z|^4 by E |A|^2 A^T A < 1, A = 1 - step_size (a a^T + ridge) of one sample.

    Holds for every batch: the mean of several matrices is no larger in any convex function, and a batch drawn
    without replacement is below one drawn with it in convex order (Hoeffding 1963). Derived.
    """
    keep, squares = 1 - step_size * ridge, np.square(features).sum(axis=1)
    norms = np.square(np.maximum(abs(keep), np.abs(keep - step_size * squares))) * weights
    # A^T A = keep^2 + (step_size^2 |a|^2 - 2 keep step_size) a a^T
    bend = norms * (step_size**2 * squares - 2 * keep * step_size)
    whole = keep**2 * norms.sum() * np.eye(features.shape[1]) + (features * bend[:, None]).T @ features
    return bool(not features.shape[1] or np.linalg.eigvalsh(whole)[-1] < 1 - MARGIN)


def gaussian_norm_settles(eigenvalues: np.ndarray, step_size: float, ridge: float) -> bool:
    """The same for Gaussian features, by Isserlis' formula; terms that help are left out. Derived.

    With s = z^T H z, |z| = 1, E |A z|^4 <= keep^4 + s times the bracket below, as z^T H^(j+1) z <= lambda_1^j s.
    """
    keep = 1 - step_size * ridge
    if not 0 < keep <= 1 or not eigenvalues.size:
        return False
    largest, trace, squares = eigenvalues.max(), eigenvalues.sum(), np.square(eigenvalues).sum()
    eighth = 3 * largest * (trace**2 + 2 * squares) + 24 * largest**2 * trace + 72 * largest**3
    bracket = -4 * keep**3 + step_size * keep**2 * (12 * largest + 2 * (trace + 2 * largest)) + step_size**3 * eighth
    return bool(bracket < -MARGIN)


def radius(
    features: np.ndarray, weights: np.ndarray, step_size: float, ridge: float, batch_size: int
) -> float:
    """Spectral radius of z (x) z (x) z (x) z -> E of its image, for SGD with independent samples in a batch.

    By values: quartic forms are known by their values at as many points as they have coefficients. Derived.

    Parameters
    ----------
    features : (n, r) array, r at most LARGEST_TENSORS
    weights : (n,) array of probabilities
    """
    r = features.shape[1]
    monomials, points = _quartic_basis(r)
    tensors = np.array([_fourth(features, weights, step_size, ridge, batch_size, z) for z in points])
    places: list[tuple[Any, ...]] = [(slice(None), *index) for index in monomials]
    moved = np.stack([tensors[place] for place in places], axis=1)
    still = np.stack([np.prod(points[:, list(index)], axis=1) for index in monomials], axis=1)
    return float(np.abs(np.linalg.eigvals(np.linalg.solve(still, moved))).max(initial=0.0))


def gaussian_samples(eigenvalues: np.ndarray, count: int = NODES) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, r) and weights (n,) with the moments of N(0, diag(eigenvalues)).

    Of `count` nodes in a coordinate, whose moments are right up to 2 count - 1.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(count)
    grid = np.stack(np.meshgrid(*[nodes] * eigenvalues.size, indexing="ij"), axis=-1).reshape(-1, eigenvalues.size)
    mass = np.stack(np.meshgrid(*[weights / weights.sum()] * eigenvalues.size, indexing="ij"), axis=-1)
    return grid * np.sqrt(eigenvalues), mass.reshape(-1, eigenvalues.size).prod(axis=1)


@lru_cache(maxsize=8)
def _quartic_basis(r: int) -> tuple[list[tuple[int, ...]], np.ndarray]:
    """Index tuples of the monomials of degree 4, and as many points (k, r) that tell quartic forms apart."""
    monomials: list[tuple[int, ...]] = list(combinations_with_replacement(range(r), 4))
    draws = np.random.Generator(np.random.Philox(4)).standard_normal((8 * len(monomials), r))
    draws /= np.linalg.norm(draws, axis=1, keepdims=True)
    values = np.stack([np.prod(draws[:, list(index)], axis=1) for index in monomials], axis=1)
    from scipy.linalg import qr

    chosen = qr(values.T, mode="r", pivoting=True)[1][: len(monomials)]  # well conditioned among the draws
    return monomials, draws[chosen]


def _fourth(
    features: np.ndarray, weights: np.ndarray, step_size: float, ridge: float, batch_size: int, z: np.ndarray
) -> np.ndarray:
    """E (m + noise)^(x)4 (r, r, r, r), m the mean of the image of z, from a sample's central moments."""
    images = -step_size * features * (features @ z)[:, None]
    centre = weights @ images
    mean, own, size = (1 - step_size * ridge) * z + centre, images - centre, float(batch_size)
    heavy = own * weights[:, None]
    second = heavy.T @ own
    third = np.einsum("ni,nj,nk->ijk", heavy, own, own, optimize=True)
    pairs = np.einsum("ni,nj->nij", own, own).reshape(len(own), -1)
    fourth = ((pairs * weights[:, None]).T @ pairs).reshape((z.size,) * 4)
    squares = np.multiply.outer(second, second)
    total = np.multiply.outer(np.multiply.outer(mean, mean), np.multiply.outer(mean, mean))
    total = total + 6 / size * np.multiply.outer(np.multiply.outer(mean, mean), second)
    total = total + 4 / size**2 * np.multiply.outer(mean, third)
    total = total + fourth / size**3 + 3 * (size - 1) / size**3 * squares
    return _symmetric(total)


def _symmetric(tensor: np.ndarray) -> np.ndarray:
    from itertools import permutations

    return np.asarray(sum(tensor.transpose(order) for order in permutations(range(4)))) / 24

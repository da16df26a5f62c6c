"""`ProductMoments` of modes and all their products: any noise that is quadratic in the modes, at small d. Derived.

phi is then the upper triangle of (1, z) (1, z)^T, and second moments of phi are those of fourth degree. A batch of
finitely many samples enters by the central moments of one sample's gradient, times `BatchMoments`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

import numpy as np

from .cost import CALLS, HOURS, check_memory, check_time
from .linear_maps import pack_symmetric, unpack_symmetric
from .moment_spectra import MomentSpectra, Spectral
from .product_moments import ProductMoments, Transition

TABLES = 5.0  # times as fast as other multiplications: products of matrices


@dataclass(frozen=True)
class BatchMoments:
    """Central moments of a batch's mean, in those of one sample.

    second M2, third M3, fourth M4 + pairs (M2 M2 + M2 M2 + M2 M2), the sum over the ways to pair four indices.
    """

    second: float
    third: float
    fourth: float
    pairs: float


def pairs_of_batches(
    features: np.ndarray, residuals: np.ndarray, weights: np.ndarray, kept: np.ndarray, step_size: float,
    batch: BatchMoments, hours: float = HOURS,
) -> ProductMoments:  # fmt: skip
    """SGD on weighted samples: z' = kept z - step_size (batch mean of the centred a (a.z + residual)).

    Parameters
    ----------
    features : (n, d) array
    residuals, weights : (n,) arrays
        At z = 0; probabilities.
    kept : (d,) array
    hours : float
        That the table of fourth moments may take.

    Raises
    ------
    OutOfReach
        If it takes longer.
    """
    n, d = features.shape
    size = comb(d + 2, 2)
    monomials = comb(d + 4, 4)
    what = f"the table of fourth moments of {n} samples in dimension {d}"
    check_time(
        what, 2.0 * n * size**4 / TABLES, "take homogenized SGD or a stream, where none is needed, fewer columns, "
        "or simulate", hours, True,
    )  # fmt: skip
    room = 8.0 * (2 * n * size**2 * 2 + size**2 * (monomials / 2 + size))
    check_memory(what, room, "use fewer columns")
    left, right = np.triu_indices(d)
    # Linear forms in (1, z) of each sample, centred; then what a sample adds to phi, linear and quadratic in it.
    forms = -step_size * features[:, :, None] * np.column_stack([residuals, features])[:, None, :]
    forms -= np.tensordot(weights, forms, 1)
    mean = np.column_stack([np.zeros(d), np.diag(kept)])
    linear = np.zeros((n, size - 1, size))
    linear[:, :d, : d + 1] = forms
    linear[:, d:] = _product(mean[left], forms[:, right]) + _product(mean[right], forms[:, left])
    squares = np.zeros_like(linear)
    squares[:, d:] = _product(forms[:, left], forms[:, right])
    noise = np.tensordot(weights, squares[:, d:], 1)  # covariance of a sample's step, (p, D)
    transition = _transition(kept, batch.second * noise, True)
    table = _table(linear, squares, weights, noise, batch, d)
    corner, drawn_from = _representatives(d)

    def drawn(second: np.ndarray) -> np.ndarray:
        found = np.zeros((size, size))
        found[1:, 1:] = unpack_symmetric(table @ second[corner, drawn_from], size - 1)
        return found

    cost = CALLS + float(table.size) + 4.0 * size**3
    return ProductMoments(left, right, transition, drawn, True, cost)


def pairs_of_a_flow(flow: Spectral, d: int) -> ProductMoments:
    """A diffusion with these moment equations, on its first d modes."""
    rates, (left, right) = flow.mean_decays[:d], np.triu_indices(d)
    still, tilt, response = MomentSpectra(flow).answers(d)
    forms = np.column_stack([still, tilt, response])
    place = unpack_symmetric(np.arange(left.size), d)  # of a pair among the products
    single, pair = slice(1, d + 1), slice(d + 1, None)

    def drawn(second: np.ndarray) -> np.ndarray:
        given = second @ forms.T  # E phi N_ij
        found = np.zeros_like(second)
        found[single, single] = given[0][place]
        for i, j in ((left, right), (right, left)):
            found[single, pair] += given[1 + i, place[:, j]]
            for k, m in ((left, right), (right, left)):
                rows = 1 + d + place[i[:, None], k]
                found[pair, pair] += given[rows, place[j[:, None], m]]
        found[pair, single] = found[single, pair].T
        return found

    cost = CALLS + 4.0 * forms.shape[1] ** 3
    rate = 4 * (float(np.abs(rates).max(initial=0.0)) + float(np.linalg.norm(forms[:, 1 + d :], 2)))
    return ProductMoments(left, right, _transition(rates, forms, False), drawn, False, cost, rate)


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Products of linear forms (..., d + 1) in (1, z), in phi."""
    outer = left[..., :, None] * right[..., None, :]
    whole = outer + np.swapaxes(outer, -1, -2)
    np.einsum("...ii->...i", whole)[...] /= 2
    return pack_symmetric(whole)


def _transition(own: np.ndarray, noise: np.ndarray, discrete: bool) -> Transition:
    """Modes by factors or rates `own`, their products besides by the noise (p, D)."""
    d, size = own.size, noise.shape[1]
    left, right = np.triu_indices(d)
    products = own[left] * own[right] if discrete else -(own[left] + own[right])
    matrix = np.diag(np.concatenate([[float(discrete)], own if discrete else -own, products]))
    matrix[1 + d :] += noise
    return Transition(matrix, np.zeros(size), np.zeros(size))


def _table(
    linear: np.ndarray, squares: np.ndarray, weights: np.ndarray, noise: np.ndarray, batch: BatchMoments, d: int
) -> np.ndarray:
    """Matrix from moments of degree 4 to the packed covariance that a batch draws.

    Parameters
    ----------
    linear, squares : (n, D - 1, D) arrays
        What a sample's centred step adds to phi: linear in it, and quadratic.
    noise : (p, D) array
        Covariance of a sample's step.
    """
    from scipy.sparse import csr_array

    size, left = linear.shape[2], np.concatenate([linear, squares]) * np.tile(weights, 2)[:, None, None]
    right = np.concatenate([
        batch.second * linear + batch.third * squares, batch.third * linear + batch.fourth * squares,
    ])  # fmt: skip
    numbers = _monomial_numbers(d)
    gather = csr_array((np.ones(size**2), (numbers.ravel(), np.arange(size**2))))
    pair_left, pair_right = np.triu_indices(d)
    place = unpack_symmetric(np.arange(pair_left.size), d)
    found = []
    for a in range(size - 1):
        rows = np.moveaxis(np.tensordot(left[:, a], right[:, a:], (0, 0)), 1, 0)
        if a >= d:
            i, j = pair_left[a - d], pair_right[a - d]
            k, m = pair_left[a - d :], pair_right[a - d :]
            rows += (batch.pairs - batch.second**2) * noise[a - d][:, None] * noise[a - d :, None, :]
            for one, other in ((k, m), (m, k)):
                rows += batch.pairs * noise[place[i, one]][:, :, None] * noise[place[j, other]][:, None, :]
        found.append((gather @ rows.reshape(len(rows), -1).T).T)
    return np.concatenate(found)


def _monomial_numbers(d: int) -> np.ndarray:
    """Number (D, D) of the monomial of degree 4 in (1, z) that each product of two entries of phi is."""
    factors = np.column_stack(np.triu_indices(d + 1))
    size = len(factors)
    four = np.sort(np.concatenate([
        np.repeat(factors, size, axis=0), np.tile(factors, (size, 1)),
    ], axis=1), axis=1)  # fmt: skip
    codes = four @ (d + 1) ** np.arange(3, -1, -1)
    return np.unique(codes, return_inverse=True)[1].reshape(size, size)


def _representatives(d: int) -> tuple[np.ndarray, np.ndarray]:
    """For each monomial of degree 4 in (1, z), a place in the second moments of phi that holds it."""
    place = unpack_symmetric(np.arange((d + 1) * (d + 2) // 2), d + 1)
    four = np.array(list(combinations_with_replacement(range(d + 1), 4)))
    return place[four[:, 0], four[:, 1]], place[four[:, 2], four[:, 3]]

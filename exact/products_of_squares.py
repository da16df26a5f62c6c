"""`ProductMoments` of modes and their squares, which close among themselves: O(d^2) numbers. Derived.

Modes e are counted from the least point of the risk, so that twice the risk is v = sum_i lambda_i e_i^2 + floor.
Gaussian features a ~ N(0, diag(lambda)) with error u = a.e - xi have Var u = v and Cov(a, u) = w = lambda e. Of one
sample's gradient g = a u, by Isserlis' formula and for modes i, j, the central moments are

    Cov(g_i, g_j)    = lambda_i v [i = j] + w_i w_j
    of g_i g_j^2     : 2 lambda_j v w_i + 2 w_i w_j^2 + [i = j] 4 lambda_i v w_i
    of g_i^2 g_j^2   : 3 lambda_i lambda_j v^2 + 7 v (lambda_i w_j^2 + lambda_j w_i^2) + 9 w_i^2 w_j^2
                       + [i = j] (6 lambda_i^2 v^2 + 28 lambda_i v w_i^2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .cost import CALLS
from .product_moments import ProductMoments, Transition


def squares_of_gaussian_batches(
    eigenvalues: np.ndarray, variance: float, kept: np.ndarray, push: np.ndarray, step_size: float, batch_size: int
) -> ProductMoments:
    """SGD on a stream of Gaussian features.

    Parameters
    ----------
    eigenvalues : (d,) array
        lambda.
    variance : float
        Of the label errors xi, which are normal.
    kept, push : (d,) arrays
        Mean of a mode after a step: kept * e + push.
    """
    lam, r, c, q = eigenvalues, kept, push, step_size**2 / batch_size
    moved = _moved(1.0, r, c, c**2 + q * lam * variance, r**2 + q * lam**2, 2 * r * c)
    transition = Transition(moved, *_level(q * lam, lam))
    batch = float(batch_size)
    size, diagonal = step_size, np.diag_indices(lam.size)
    pair = np.outer(lam, lam)

    def drawn(second: np.ndarray) -> np.ndarray:
        first, squares, ee, es, ss = _parts(second)
        floor = variance * second[0, 0]  # linear also where vectors are no moments
        level = lam @ squares + floor  # E v, then with e, e^2 and v
        level_e, level_ee = es @ lam + variance * first, ss @ lam + variance * squares
        level_level = lam @ level_ee + variance * level
        with_mean, with_square = r * level_e + c * level, r**2 * level_ee + 2 * r * c * level_e + c**2 * level
        noise = pair * ee
        noise[diagonal] += lam * level
        # With the squares: 2 (mean of j) noise_ij, and the third moment.
        mixed = pair * (r * es + c * ee)
        mixed[diagonal] += lam * with_mean
        third = 2 * np.outer(lam * level_e, lam) + 2 * pair * lam * es
        third[diagonal] += 4 * lam**2 * level_e
        cross = 2 * q * mixed - size * q / batch * third
        # Squares with squares: 4 (mean of i) (mean of j) noise_ij, means with third moments, the fourth.
        both = pair * (np.outer(r, r) * ss + r[:, None] * es.T * c + c[:, None] * es * r + np.outer(c, c) * ee)
        both[diagonal] += lam * with_square
        own = r * level_ee + c * level_e
        skewed = 2 * np.outer(lam * own, lam) + 2 * pair * lam * (r[:, None] * ss + c[:, None] * es)
        skewed[diagonal] += 4 * lam**2 * own
        whole, sided, inner = pair * level_level, pair * (lam * level_ee), pair**2 * ss
        sided = sided + sided.T
        fourth = 3 * whole + 7 * sided + 9 * inner
        fourth[diagonal] += 6 * lam**2 * level_level + 28 * lam**3 * level_ee
        twice = whole + sided + inner  # products of variances
        paired = inner.copy()  # squares of covariances
        paired[diagonal] += lam**2 * level_level + 2 * lam**3 * level_ee
        last = 4 * q * both - 2 * size * q / batch * (skewed + skewed.T)
        last += q**2 / batch * (fourth - twice + 2 * (batch - 1) * paired)
        return _whole(q * noise, cross, last)

    indices = np.arange(lam.size)
    return ProductMoments(indices, indices, transition, drawn, True, CALLS + 80.0 * lam.size**2)


def squares_of_a_flow(
    rates: np.ndarray, push: np.ndarray, still: np.ndarray, own: np.ndarray, spread: np.ndarray,
    coupling: np.ndarray, floor: float,
) -> ProductMoments:  # fmt: skip
    """de = (-rates e + push) dt + noise of covariance (still + (own e) (own e)^T + diag(spread) level) dt.

    The level is coupling.e^2 + floor.

    Parameters
    ----------
    rates, push, own, spread, coupling : (d,) arrays
    still : (d, d) array
    floor : float
    """
    constant = np.diagonal(still) + spread * floor
    moved = _moved(0.0, -rates, push, constant, own**2 - 2 * rates, 2 * push)
    transition = Transition(moved, *_level(spread, coupling))
    diagonal, pair = np.diag_indices(rates.size), np.outer(own, own)

    def drawn(second: np.ndarray) -> np.ndarray:
        first, squares, ee, es, ss = _parts(second)
        one = second[0, 0]
        noise, cross, last = still * one + pair * ee, 2 * (still * first + pair * es), 4 * (still * ee + pair * ss)
        noise[diagonal] += spread * (coupling @ squares + floor * one)
        cross[diagonal] += 2 * spread * (es @ coupling + floor * first)
        last[diagonal] += 4 * spread * (ss @ coupling + floor * squares)
        return _whole(noise, cross, last)

    indices = np.arange(rates.size)
    rate = 4 * (float(np.abs(rates).max(initial=0.0)) + float(spread @ coupling) + 2 * float((own**2).max(initial=0.0)))
    return ProductMoments(indices, indices, transition, drawn, False, CALLS + 60.0 * rates.size**2, rate)


def _moved(
    one: float, own: np.ndarray, push: np.ndarray, constant: np.ndarray, of_square: np.ndarray, of_mode: np.ndarray
) -> Any:
    """Local part (D, D), sparse: modes from themselves, squares from themselves, their mode and 1."""
    from scipy.sparse import csr_array

    d = own.size
    modes, squares = np.arange(1, d + 1), np.arange(d + 1, 2 * d + 1)
    nothing = np.zeros(d, dtype=int)
    rows = np.concatenate([[0], modes, modes, squares, squares, squares])
    columns = np.concatenate([[0], modes, nothing, squares, modes, nothing])
    values = np.concatenate([[one], own, push, of_square, of_mode, constant])
    return csr_array((values, (rows, columns)), shape=(2 * d + 1,) * 2)


def _level(entry: np.ndarray, coupling: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    nothing = np.zeros(1 + entry.size)
    return np.concatenate([nothing, entry]), np.concatenate([nothing, coupling])


def _parts(second: np.ndarray) -> tuple[np.ndarray, ...]:
    """E e, E e^2, E e_i e_j, E e_i e_j^2 and E e_i^2 e_j^2."""
    d = len(second) // 2
    modes, squares = slice(1, d + 1), slice(d + 1, None)
    return second[0, modes], second[0, squares], second[modes, modes], second[modes, squares], second[squares, squares]


def _whole(noise: np.ndarray, cross: np.ndarray, last: np.ndarray) -> np.ndarray:
    d = len(noise)
    found = np.zeros((2 * d + 1,) * 2)
    found[1 : d + 1, 1 : d + 1], found[d + 1 :, d + 1 :] = noise, last
    found[1 : d + 1, d + 1 :], found[d + 1 :, 1 : d + 1] = cross, cross.T
    return found

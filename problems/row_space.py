"""Singular values and row space of wide matrices by products of their rows: of N rows of length m in O(N^2 m)."""

from __future__ import annotations

import numpy as np

WIDE = 4  # columns over rows from which on products of the rows are the shorter way
LOST = 1e-13  # eigenvalue of J J', over the largest, that is rounding of its entries
TINY = np.finfo(float).tiny


def gram_modes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values (..., k) of `matrix` (..., N, m), largest first, and directions (..., k, m) of its rows.

    k is N, or m where that is less. Directions are orthonormal up to rounding over value / largest value; those whose
    values are rounding alone are zero.
    """
    count, size = matrix.shape[-2:]
    if size < count:
        values, vectors = np.linalg.eigh(matrix.swapaxes(-1, -2) @ matrix)
        return np.maximum(values[..., ::-1], 0.0), vectors[..., ::-1].swapaxes(-1, -2)
    values, left = np.linalg.eigh(matrix @ matrix.swapaxes(-1, -2))
    values, left = np.maximum(values[..., ::-1], 0.0), left[..., ::-1]
    kept = values > LOST * values[..., :1]
    scaled = left * np.where(kept, 1 / np.sqrt(np.maximum(values, TINY)), 0.0)[..., None, :]
    return values, scaled.swapaxes(-1, -2) @ matrix


def row_space(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Singular values (..., k) of `matrix` (..., N, m), largest first, and their right vectors (..., k, m).

    Of a wide matrix: the directions of `gram_modes`, made orthonormal to rounding, hold its rows, and what is left is
    the decomposition of N rows of length N. Values below 3e-7 of the largest, and their vectors, are zero there.
    """
    count, size = matrix.shape[-2:]
    if size < WIDE * count:
        _, singular, vectors = np.linalg.svd(matrix, full_matrices=False)
        return singular, vectors
    vectors = gram_modes(matrix)[1]
    lengths, turned = np.linalg.eigh(vectors @ vectors.swapaxes(-1, -2))
    scaled = turned * np.where(lengths > 0.5, 1 / np.sqrt(np.maximum(lengths, 0.5)), 0.0)[..., None, :]
    vectors = scaled.swapaxes(-1, -2) @ vectors
    _, singular, turned = np.linalg.svd(matrix @ vectors.swapaxes(-1, -2))
    return singular, turned @ vectors

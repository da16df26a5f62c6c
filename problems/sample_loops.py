"""Compiled loops over samples.

The functions passed in are numba-compiled: value(x (d,), i, *data) -> float and gradient(x (d,), i, out (d,), *data),
which finds `out` filled with zeros.
"""

from __future__ import annotations

import numba
import numpy as np

# Not kept on disk: they take a compiled function, and numba would add a copy in every process.
_in_memory = numba.njit(nogil=True, error_model="numpy")


@_in_memory
def mean_value(value, data, x, samples):
    """Mean loss (P,) at positions (P, d)."""
    out = np.empty(x.shape[0])
    for p in range(x.shape[0]):
        total = 0.0
        for i in range(samples):
            total += value(x[p], i, *data)
        out[p] = total / samples
    return out


@_in_memory
def mean_gradient(gradient, data, x, samples):
    """Mean gradient (P, d) at positions (P, d)."""
    out, one = np.zeros(x.shape), np.empty(x.shape[1])
    for p in range(x.shape[0]):
        for i in range(samples):
            one[:] = 0.0
            gradient(x[p], i, one, *data)
            for j in range(one.size):
                out[p, j] += one[j]
        for j in range(one.size):
            out[p, j] /= samples
    return out


@_in_memory
def mean_gradient_squares(gradient, data, x, samples):
    """Means (P, d) of the gradient and of its squares, coordinate by coordinate, at positions (P, d)."""
    out, squares, one = np.zeros(x.shape), np.zeros(x.shape), np.empty(x.shape[1])
    for p in range(x.shape[0]):
        for i in range(samples):
            one[:] = 0.0
            gradient(x[p], i, one, *data)
            for j in range(one.size):
                out[p, j] += one[j]
                squares[p, j] += one[j] * one[j]
        for j in range(one.size):
            out[p, j] /= samples
            squares[p, j] /= samples
    return out, squares


@_in_memory
def weighted_gradient(gradient, data, x, weights):
    """Sums (P, d) over samples of weights (P, n) times gradients."""
    out, one = np.zeros(x.shape), np.empty(x.shape[1])
    for p in range(x.shape[0]):
        for i in range(weights.shape[1]):
            one[:] = 0.0
            gradient(x[p], i, one, *data)
            for j in range(one.size):
                out[p, j] += weights[p, i] * one[j]
    return out


@_in_memory
def path_values(value, data, x, rows):
    """Losses (P, B) of the samples rows (P, B) at positions (P, d)."""
    out = np.empty(rows.shape)
    for p in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            out[p, b] = value(x[p], rows[p, b], *data)
    return out


@_in_memory
def path_gradients(gradient, data, x, rows):
    """Gradients (P, B, d) of the samples rows (P, B) at positions (P, d)."""
    out = np.zeros((*rows.shape, x.shape[1]))
    for p in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            gradient(x[p], rows[p, b], out[p, b], *data)
    return out

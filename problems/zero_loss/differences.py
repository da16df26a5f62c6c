"""Derivatives that a user left out, by central differences of sixth order of those that were given."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FIRST = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}  # coefficient of f(w + q s) - f(w - q s)
SECOND = {0: -49 / 18, 1: 3 / 2, 2: -3 / 20, 3: 1 / 90}  # coefficient of f(w + q s) + f(w - q s); once at 0
FIRST_STEP, SECOND_STEP = 4e-3, 2e-2  # truncation and rounding meet near 1e-12 and 1e-10 for functions of order 1


def slope_along(function: Callable[[np.ndarray], np.ndarray], w: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Derivative of `function` at w (..., m) along `direction` (..., m)."""
    return sum(
        c * (function(w + q * FIRST_STEP * direction) - function(w - q * FIRST_STEP * direction))
        for q, c in FIRST.items()
    ) / FIRST_STEP


def bend_along(function: Callable[[np.ndarray], np.ndarray], w: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Second derivative of `function` at w (..., m) along `direction` (..., m)."""
    step = SECOND_STEP * direction
    around = sum(SECOND[q] * (function(w + q * step) + function(w - q * step)) for q in (1, 2, 3))
    return (SECOND[0] * function(w) + around) / SECOND_STEP**2


def derivative(function: Callable[[np.ndarray], np.ndarray], w: np.ndarray) -> np.ndarray:
    """Derivative of `function` in each coordinate of w, along a new last axis."""
    return np.stack([slope_along(function, w, e) for e in np.eye(w.shape[-1])], axis=-1)


def laplacian(function: Callable[[np.ndarray], np.ndarray], w: np.ndarray) -> np.ndarray:
    """Sum of the second derivatives of `function` in the coordinates of w."""
    return sum(bend_along(function, w, e) for e in np.eye(w.shape[-1]))


def contraction(function: Callable[[np.ndarray], np.ndarray], w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Second derivative of `function` contracted with a symmetric matrix (..., m, m), by its eigenvectors."""
    values, vectors = np.linalg.eigh(matrix)
    total = 0.0
    for q in range(w.shape[-1]):
        bent = bend_along(function, w, vectors[..., q])
        total = total + values[..., q].reshape(values.shape[:-1] + (1,) * (bent.ndim - values.ndim + 1)) * bent
    return total

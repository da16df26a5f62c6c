"""Products with the Hessian and the third derivative of any model, by its own products where it has them."""

from __future__ import annotations

import numpy as np

from .model import MatrixFree, Model


def hessian_products(model: Model, w: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Hessian at w (..., m) times `vectors` (..., k, m)."""
    if isinstance(model, MatrixFree):
        return model.hessian_products(w, vectors)
    return vectors @ model.hessian(w)


def third_products(model: Model, w: np.ndarray, vectors: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Gradient (..., m) of sum_k factors_k vectors_k' Hessian vectors_k, see `MatrixFree.third_products`."""
    if isinstance(model, MatrixFree):
        return model.third_products(w, vectors, factors)
    return model.third_contraction(w, vectors.swapaxes(-1, -2) @ (factors[..., None] * vectors))

"""Eigenvalues and eigenvectors of the Hessian of any loss that are not flat, by products with the Hessian alone."""

from __future__ import annotations

import numpy as np

from .zero_loss.model import Model
from .zero_loss.products import hessian_products

FEW = 200  # weights up to which all products are taken, and nothing is left to a subspace
FIRST, SPARE = 24, 8  # directions of the first subspace, and those beyond the modes that are asked of it
TRACED = 64  # directions in which a Hessian's size is looked at
FLATTER = 1e-2  # part of a flat eigenvalue that is not followed at all
PASSES = 2  # a pass divides what lies outside of the subspace by the eigenvalues' ratio


def leading_modes(model: Model, w: np.ndarray, flat: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (..., k) of the Hessian at w (..., m), largest first, and their vectors (..., m, k).

    All of them for few weights. Else the subspace that products map generic directions to, twice over, grows until its
    smallest eigenvalue is below `flat` times the largest: of a Hessian of low rank, as on the set, the range (derived).
    """
    if model.dimension <= FEW:
        return _all_modes(model, w)
    found = [_modes_of_one(model, point[None], flat) for point in w.reshape(-1, model.dimension)]
    most = max(len(values) for values, _ in found)
    values, vectors = np.zeros((len(found), most)), np.zeros((len(found), model.dimension, most))
    for i, (own, columns) in enumerate(found):
        values[i, : len(own)], vectors[i, :, : len(own)] = own, columns
    return values.reshape(*w.shape[:-1], most), vectors.reshape(*w.shape, most)


def _modes_of_one(model: Model, w: np.ndarray, flat: float) -> tuple[np.ndarray, np.ndarray]:
    size = FIRST + SPARE
    while size < model.dimension // 2:
        values, vectors = _subspace(model, w, size, FLATTER * flat)
        if values.size < size or np.abs(values).min() <= flat * np.abs(values).max():
            return values, vectors
        size *= 2
    values, vectors = _all_modes(model, w)
    return values[0], vectors[0]


def _all_modes(model: Model, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, vectors = np.linalg.eigh(model.hessian(w))
    return values[..., ::-1], vectors[..., ::-1]


def _subspace(model: Model, w: np.ndarray, size: int, flat: float) -> tuple[np.ndarray, np.ndarray]:
    """Eigenpairs (k,) and (m, k) of the Hessian at w (1, m) within what it maps `size` directions to.

    k is less than `size` where that has fewer dimensions: along what is flat, differences of a gradient are noise.
    """
    rows = _directions(model.dimension, size)
    for _ in range(PASSES):
        columns, sizes, _ = np.linalg.svd(hessian_products(model, w, rows[None])[0].T, full_matrices=False)
        rows = columns[:, : max(1, int((sizes > flat * sizes[0]).sum()))].T
    inside = hessian_products(model, w, rows[None])[0] @ rows.T
    values, turned = np.linalg.eigh((inside + inside.T) / 2)
    return values[::-1], rows.T @ turned[:, ::-1]


def _directions(dimension: int, count: int) -> np.ndarray:
    """Generic directions (count, m), orthonormal, always the same."""
    drawn = np.random.Generator(np.random.Philox(34)).standard_normal((dimension, count))
    return np.linalg.qr(drawn)[0].T


def hessian_size(model: Model, w: np.ndarray) -> np.ndarray:
    """Frobenius norm (...) of the Hessian at w (..., m); of many weights, as 64 directions in it say."""
    count = min(model.dimension, TRACED)
    if count == model.dimension:
        return np.linalg.norm(model.hessian(w), axis=(-1, -2))
    rows = np.broadcast_to(_directions(model.dimension, count), (*w.shape[:-1], count, model.dimension))
    return np.sqrt(model.dimension / count) * np.linalg.norm(hessian_products(model, w, rows), axis=(-1, -2))

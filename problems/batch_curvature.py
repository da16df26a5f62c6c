"""Hessians and Fisher matrices of batches of predictions, for many positions at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .prediction import PredictionProblem


def hessians(problem: PredictionProblem, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean Hessians (P, d, d) of the samples `rows` (P, B) at positions (P, d), of a predictor whose own are exact."""
    predictor, loss = problem.predictor, problem.loss
    inputs, labels = problem.source.sample(rows)
    outputs = predictor.predict(x, inputs)
    tangents = _tangents(problem, x, inputs)
    curved = loss.curvature(outputs, labels) @ tangents
    found = np.einsum("pbki,pbkj->pij", tangents, curved, optimize=True)
    if not predictor.affine:
        found += predictor.hessians(x, inputs, loss.slope(outputs, labels)).sum(axis=1)
    return found / rows.shape[1]


def products(problem: PredictionProblem, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Mean Hessians of the samples `rows` (P, B) at positions (P, d) times directions (P, m, d): (P, m, d)."""
    predictor, loss = problem.predictor, problem.loss
    inputs, labels = problem._samples(rows)
    outputs = predictor.predict(x, inputs)
    slopes, curvatures = loss.slope(outputs, labels), loss.curvature(outputs, labels)
    if predictor.multiplies_batches:
        return predictor.hessian_products(x, inputs, slopes, curvatures, directions) / rows.shape[1]
    found = np.empty(directions.shape)
    for place in range(directions.shape[1]):
        moved, bent = predictor.differentials(x, inputs, slopes, directions[:, place])
        curved = (curvatures @ moved[..., None])[..., 0]
        found[:, place] = (predictor.pullback(x, inputs, curved) + bent).mean(axis=1)
    return found


def model_factors(problem: PredictionProblem, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows f (P, B K, d) whose f f^T add up to J^T W J over samples `rows` (P, B), J the Jacobian of the outputs.

    W is the second derivative of the loss in them. The mean is the expected Fisher matrix under squares, logistic and
    cross-entropy losses, and the generalised Gauss-Newton matrix under others.
    """
    inputs, labels = problem.source.sample(rows)
    values, vectors = np.linalg.eigh(problem.loss.curvature(problem.predictor.predict(x, inputs), labels))
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]
    factors = roots.swapaxes(-1, -2) @ _tangents(problem, x, inputs)
    return factors.reshape(len(x), -1, problem.dimension)


def model_fisher(problem: PredictionProblem, x: np.ndarray) -> np.ndarray:
    """Mean of those f f^T over all samples, (P, d, d)."""
    total = np.zeros((*x.shape, problem.dimension))
    for rows in problem._all_rows(len(x) * problem.predictor.outputs):
        factors = model_factors(problem, x, np.broadcast_to(rows[0], (len(x), rows.shape[1])))
        total += factors.swapaxes(1, 2) @ factors
    return total / problem.evaluated


def _tangents(problem: PredictionProblem, x: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """Jacobians (P, B, K, d) of the outputs."""
    slopes, shape = np.eye(problem.predictor.outputs), inputs.shape[:2]
    every = [problem.predictor.pullback(x, inputs, np.broadcast_to(e, (*shape, e.size))) for e in slopes]
    return np.stack(every, axis=2)

"""L = (u^2 - v^2 - 1)^2 / 2; the product u v is conserved by the flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput

from .kernels import multiplier, regression_kernel
from .model import OneSample, QuadraticPredictions, entry_count

SIGNS = np.array([1.0, -1.0])


@compiled
def sample(w, x, multipliers, row):
    """Prediction and its gradient."""
    keep_u, keep_v = multiplier(multipliers, 0), multiplier(multipliers, 1)
    row[0] = 2 * keep_u * w[0]
    row[1] = -2 * keep_v * w[1]
    return keep_u * w[0] ** 2 - keep_v * w[1] ** 2


@dataclass(frozen=True)
class QuadraticDifference(QuadraticPredictions, OneSample):
    """L(w) = (u^2 - v^2 - 1)^2 / 2 with w = (u, v); one sample, two hidden units u^2 and -v^2."""

    kernel = staticmethod(regression_kernel(sample))
    dimension = 2
    units = 2
    label = "difference of squares"

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Prediction, the same for each entry, and its Jacobian."""
        w = np.asarray(w, float)[..., None, :]
        multipliers = np.ones((entry_count(self, inputs), 1)) * (1.0 if units is None else units) * SIGNS
        return (multipliers * w**2).sum(-1), 2 * multipliers * w

    def unit_outputs(self, w):
        """u^2 and -v^2, (..., 1, 2)."""
        return (SIGNS * np.asarray(w) ** 2)[..., None, :]

    def prediction_hvp(self, w, vectors):
        """F = diag(2, -2)."""
        return 2 * SIGNS * vectors

    def prediction_hessian_inner(self, w, matrix):
        """2 (matrix_uu - matrix_vv)."""
        return 2 * (matrix[..., 0, 0] - matrix[..., 1, 1])[..., None]

    def weighted_hessians(self, w, coefficients):
        """A constant matrix times the coefficient."""
        return coefficients[..., None] * np.diag(2 * SIGNS)

    def closed_limit(self, w):
        """Limit of the flow: u grows and v shrinks by one factor (derived)."""
        w = np.asarray(w, float)
        u, v = w[..., 0], w[..., 1]
        if np.any(u == 0):
            raise InvalidInput(
                "the gradient flow from a point with u = 0 ends in the saddle at the origin, where the loss is 0.5; "
                "start with u not zero"
            )
        grow = np.sqrt((1 + np.sqrt(1 + 4 * (u * v) ** 2)) / (2 * u**2))
        return np.stack([grow * u, v / grow], axis=-1)

    def conserved(self, w):
        """u v, (..., 1)."""
        return w[..., :1] * w[..., 1:]

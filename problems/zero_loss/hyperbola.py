"""L = (x y - 1)^2 / 2, the smallest model with a curved set of zero loss; x^2 - y^2 is conserved by the flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.compiling import compiled

from .kernels import multiplier, regression_kernel
from .model import OneSample, QuadraticPredictions
from .product_sum import limit_of_products, linearise_products


@compiled
def sample(w, x, multipliers, row):
    """Prediction and its gradient."""
    keep = multiplier(multipliers, 0)
    row[0] = keep * w[1]
    row[1] = keep * w[0]
    return keep * w[0] * w[1]


@dataclass(frozen=True)
class Hyperbola(QuadraticPredictions, OneSample):
    """L(w) = (x y - 1)^2 / 2 with w = (x, y); one sample, one hidden unit."""

    kernel = staticmethod(regression_kernel(sample))
    dimension = 2
    units = 1
    label = "hyperbola"

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Prediction, the same for each entry, and its Jacobian."""
        return linearise_products(self, w, inputs, units)

    def unit_outputs(self, w):
        """x y, (..., 1, 1)."""
        return (w[..., :1] * w[..., 1:])[..., None, :]

    def prediction_hvp(self, w, vectors):
        """F v exchanges the two coordinates."""
        return vectors[..., ::-1]

    def prediction_hessian_inner(self, w, matrix):
        """Twice the entry off the diagonal."""
        return 2 * matrix[..., 0, 1][..., None]

    def weighted_hessians(self, w, coefficients):
        """A constant matrix times the coefficient."""
        return coefficients[..., None] * np.array([[0.0, 1.0], [1.0, 0.0]])

    def closed_limit(self, w):
        """Limit of the flow; the branch is the one of sign(x + y)."""
        return limit_of_products(np.asarray(w, float))

    def conserved(self, w):
        """x^2 - y^2, (..., 1)."""
        return w[..., :1] ** 2 - w[..., 1:] ** 2

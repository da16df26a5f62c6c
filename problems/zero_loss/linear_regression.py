"""Over-parameterised linear regression f_i = z_i . w: a flat set of zero loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput

from .kernels import multiplier, regression_kernel
from .model import ByJacobian, QuadraticPredictions, RowsRegression, entry_count


@compiled
def sample(w, x, multipliers, row):
    """Prediction and its gradient."""
    value = 0.0
    for j in range(x.size):
        row[j] = x[j] * multiplier(multipliers, j)
        value += row[j] * w[j]
    return value


@dataclass(frozen=True, eq=False)
class LinearRegression(QuadraticPredictions, RowsRegression, ByJacobian):
    """f_i(w) = z_i . w, L = 1/(2N) sum_i (f_i - y_i)^2, with fewer samples than features.

    Its units are z_ij w_j, so that Dropout acts on the inputs.

    Parameters
    ----------
    features : (N, d) array, rows z_i
    labels : (N,) array
    """

    features: np.ndarray
    labels: np.ndarray
    kernel = staticmethod(regression_kernel(sample))
    label = "linear regression"

    def __post_init__(self) -> None:
        self._keep_rows()

    @property
    def dimension(self) -> int:
        """d."""
        return self.features.shape[1]

    @property
    def units(self) -> int:
        """d."""
        return self.features.shape[1]

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Predictions and their Jacobian."""
        w = np.asarray(w, float)[..., None, :]
        inputs = np.ones((entry_count(self, inputs), 1)) * (self.features if inputs is None else inputs)
        rows = inputs if units is None else inputs * units
        values = (rows * w).sum(-1)
        return values, np.broadcast_to(rows, (*values.shape, self.dimension))

    def unit_outputs(self, w):
        """z_ij w_j, (..., N, d)."""
        return self.features * w[..., None, :]

    def prediction_hvp(self, w, vectors):
        """Zero."""
        return np.zeros(vectors.shape)

    def prediction_hessian_inner(self, w, matrix):
        """Zero."""
        return np.zeros((*matrix.shape[:-2], self.samples))

    def weighted_hessians(self, w, coefficients):
        """Zero."""
        return np.zeros((*coefficients.shape[:-1], self.dimension, self.dimension))

    def input_gradient(self, w):
        """w for every sample, (..., N, d)."""
        w = np.asarray(w, float)[..., None, :]
        return np.broadcast_to(w, (*w.shape[:-2], *self.features.shape))

    def mixed(self, w):
        """The identity for every sample, (..., N, d, d)."""
        d = self.dimension
        return np.broadcast_to(np.eye(d), (*np.shape(w)[:-1], self.samples, d, d))

    def closed_limit(self, w):
        """The nearest interpolator."""
        w = np.asarray(w, float)
        inverse = np.linalg.pinv(self.features)
        limit = w - (w @ self.features.T - self.labels) @ inverse.T
        lost = np.max(self.loss(limit))
        # What rounding leaves of the labels, and of features times a start that the limit cancels.
        rounded = 1e-14 * len(self.labels) * np.abs(self.features @ w.reshape(-1, self.dimension).T).max(initial=0.0)
        if lost > (1e-10 * np.abs(self.labels).max() + rounded) ** 2:
            raise InvalidInput(
                f"the gradient flow does not reach zero loss (it stops at {lost:.3g}): these labels have no "
                "interpolator; give fewer samples than features, or labels in the range of the features"
            )
        return limit

    def conserved(self, w):
        """Part of w along the set, (..., d)."""
        return w - w @ np.linalg.pinv(self.features) @ self.features

"""Diagonal linear network f_i = z_i . (u^2 - v^2), a model of sparse regression; the flow conserves u_j v_j."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput

from .kernels import multiplier, regression_kernel
from .model import QuadraticPredictions, RowsRegression, entry_count

MOST_STEPS = 200


@compiled
def sample(w, x, multipliers, row):
    """Prediction and its gradient."""
    d = x.size
    value = 0.0
    for j in range(d):
        keep_u, keep_v = x[j] * multiplier(multipliers, j), x[j] * multiplier(multipliers, d + j)
        u, v = w[j], w[d + j]
        value += keep_u * u * u - keep_v * v * v
        row[j] = 2 * keep_u * u
        row[d + j] = -2 * keep_v * v
    return value


@dataclass(frozen=True, eq=False)
class DiagonalLinearNetwork(QuadraticPredictions, RowsRegression):
    """f_i(w) = z_i . (u^2 - v^2) with w = (u, v), L = 1/(2N) sum_i (f_i - y_i)^2.

    Its 2d hidden units are z_ij u_j^2 and -z_ij v_j^2.

    Parameters
    ----------
    features : (N, d) array, rows z_i
    labels : (N,) array
    """

    features: np.ndarray
    labels: np.ndarray
    kernel = staticmethod(regression_kernel(sample))
    label = "diagonal linear network"

    def __post_init__(self) -> None:
        self._keep_rows()

    @property
    def dimension(self) -> int:
        """2 d."""
        return 2 * self.features.shape[1]

    @property
    def units(self) -> int:
        """2 d."""
        return 2 * self.features.shape[1]

    def _signed(self, inputs: np.ndarray) -> np.ndarray:
        """(z, -z): the prediction is its product with (u^2, v^2)."""
        return np.concatenate([inputs, -inputs], axis=-1)

    def linear_coefficients(self, w: np.ndarray) -> np.ndarray:
        """beta = u^2 - v^2, (..., d)."""
        d = self.input_size
        return w[..., :d] ** 2 - w[..., d:] ** 2

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Predictions and their Jacobian."""
        w = np.asarray(w, float)[..., None, :]
        signed = self._signed(self.features if inputs is None else inputs)
        if units is not None:
            signed = np.ones((entry_count(self, inputs), 1)) * signed * units
        return (signed * w**2).sum(-1), 2 * signed * w

    def predict(self, w):
        """Predictions."""
        return (self.linear_coefficients(np.asarray(w, float))[..., None, :] @ self.features.T)[..., 0, :]

    def pullback(self, w, slopes_of):
        """2 (Z' slopes) times (u, -v)."""
        slopes = slopes_of(self.predict(w))[..., None, :]
        return 2 * self._signed(slopes @ self.features)[..., 0, :] * w

    def unit_outputs(self, w):
        """z_ij u_j^2 and -z_ij v_j^2, (..., N, 2d)."""
        return self._signed(self.features) * (w**2)[..., None, :]

    def prediction_hvp(self, w, vectors):
        """F_i = 2 diag(z_i, -z_i)."""
        return 2 * self._signed(self.features) * vectors

    def prediction_hessian_inner(self, w, matrix):
        """Weighted diagonal of the matrix."""
        return 2 * np.diagonal(matrix, axis1=-2, axis2=-1) @ self._signed(self.features).T

    def weighted_hessians(self, w, coefficients):
        """A diagonal matrix."""
        return 2 * (coefficients @ self._signed(self.features))[..., None] * np.eye(self.dimension)

    def input_gradient(self, w):
        """u^2 - v^2 for every sample, (..., N, d)."""
        beta = self.linear_coefficients(np.asarray(w, float))[..., None, :]
        return np.broadcast_to(beta, (*beta.shape[:-2], *self.features.shape))

    def mixed(self, w):
        """Derivative of the input gradient in w, (..., N, d, 2d)."""
        w, d = np.asarray(w, float), self.input_size
        square = np.concatenate(
            [2 * w[..., None, :d] * np.eye(d), -2 * w[..., None, d:] * np.eye(d)], axis=-1
        )[..., None, :, :]
        return np.broadcast_to(square, (*square.shape[:-3], self.samples, d, 2 * d))

    def closed_limit(self, w):
        """Limit of the flow, u e^{s/2} and v e^{-s/2} with s = Z'mu: mu minimises a convex function (derived)."""
        w, d = np.asarray(w, float), self.input_size
        flat = w.reshape(-1, 2 * d)
        tilt = np.array([_tilt(self.features, self.labels, row[:d] ** 2, row[d:] ** 2) for row in flat])
        grown = np.concatenate([flat[:, :d] * np.exp(tilt / 2), flat[:, d:] * np.exp(-tilt / 2)], axis=-1)
        return grown.reshape(w.shape)

    def conserved(self, w):
        """u_j v_j, (..., d)."""
        d = self.input_size
        return w[..., :d] * w[..., d:]


def _tilt(features, labels, u_square, v_square):
    """Newton's method with halving for sum_j (u_j^2 e^{s_j} + v_j^2 e^{-s_j}) - y.mu, s = Z'mu; returns s (d,)."""

    def value(mu):
        s = features.T @ mu
        with np.errstate(over="ignore"):
            return (u_square * np.exp(s) + v_square * np.exp(-s)).sum() - labels @ mu

    mu = np.zeros(len(labels))
    for _ in range(MOST_STEPS):
        s = features.T @ mu
        grown, shrunk = u_square * np.exp(s), v_square * np.exp(-s)
        miss = features @ (grown - shrunk) - labels
        rounded = len(s) * max(np.abs(labels).max(), (np.abs(features) @ (grown + shrunk)).max())
        if np.abs(miss).max() <= 4e-15 * rounded:
            return s
        curvature = (features * (grown + shrunk)) @ features.T
        move = -np.linalg.lstsq(curvature, miss, rcond=1e-14)[0]
        size, here, slope = 1.0, value(mu), miss @ move
        rounding = -slope <= 1e-13 * (1 + abs(here))  # no gain can be seen in the function's value any more
        while not rounding and value(mu + size * move) > here + 1e-4 * size * slope and size > 1e-9:
            size /= 2
        if rounding or size <= 1e-9:  # the Newton step itself still gains
            size = 1.0
            fresh = features.T @ (mu + move)
            still = np.abs(features @ (u_square * np.exp(fresh) - v_square * np.exp(-fresh)) - labels).max()
            if not still < 0.9 * np.abs(miss).max():
                break
        mu = mu + size * move
    if np.abs(miss).max() <= 1e-11 * np.abs(labels).max() + 1e-13 * rounded:
        return features.T @ mu
    raise InvalidInput(
        f"the gradient flow of the diagonal network does not reach zero loss from here (loss "
        f"{(miss**2).mean() / 2:.3g}): no interpolator has the zeros of this start; start with all u and v not zero"
    )

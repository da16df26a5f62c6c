"""L = (sum_j u_j v_j - 1)^2 / 2: two layers of single weights; every c_j = u_j^2 - v_j^2 is conserved by the flow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, whole_number

from .kernels import multiplier, regression_kernel
from .model import OneSample, QuadraticPredictions, entry_count


@compiled
def sample(w, x, multipliers, row):
    """Prediction and its gradient."""
    terms = w.size // 2
    value = 0.0
    for j in range(terms):
        keep = multiplier(multipliers, j)
        value += keep * w[j] * w[terms + j]
        row[j] = keep * w[terms + j]
        row[terms + j] = keep * w[j]
    return value


@dataclass(frozen=True)
class ProductSum(QuadraticPredictions, OneSample):
    """L(w) = (sum_j u_j v_j - 1)^2 / 2 with w = (u, v); one sample, and a hidden unit for each product.

    Parameters
    ----------
    terms : int
        Number of products; m = 2 * terms.
    """

    terms: int = 2
    kernel = staticmethod(regression_kernel(sample))

    def __post_init__(self) -> None:
        object.__setattr__(self, "terms", whole_number("terms", self.terms, 1))

    @property
    def dimension(self) -> int:
        """m."""
        return 2 * self.terms

    @property
    def units(self) -> int:
        """One for each product."""
        return self.terms

    @property
    def label(self) -> str:
        """Short name."""
        return f"sum of {self.terms} products"

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Prediction, the same for each entry, and its Jacobian."""
        return linearise_products(self, w, inputs, units)

    def unit_outputs(self, w):
        """u_j v_j, (..., 1, terms)."""
        return (w[..., : self.terms] * w[..., self.terms :])[..., None, :]

    def prediction_hvp(self, w, vectors):
        """F v exchanges the two halves of v."""
        return np.concatenate([vectors[..., self.terms :], vectors[..., : self.terms]], axis=-1)

    def prediction_hessian_inner(self, w, matrix):
        """Twice the trace of the block between u and v."""
        return 2 * np.trace(matrix[..., : self.terms, self.terms :], axis1=-2, axis2=-1)[..., None]

    def weighted_hessians(self, w, coefficients):
        """A constant matrix times the coefficient."""
        exchange = np.roll(np.eye(self.dimension), self.terms, axis=0)
        return coefficients[..., None] * exchange

    def closed_limit(self, w):
        """Limit of the flow; see `limit_of_products`."""
        return limit_of_products(np.asarray(w, float))

    def conserved(self, w):
        """u_j^2 - v_j^2, (..., terms)."""
        return w[..., : self.terms] ** 2 - w[..., self.terms :] ** 2


def linearise_products(model, w, inputs, units):
    """Predictions sum_j units_j u_j v_j and their Jacobian, for a model with w = (u, v)."""
    w = np.asarray(w, float)
    half = w.shape[-1] // 2
    multipliers = np.ones((entry_count(model, inputs), 1)) * (1.0 if units is None else units)
    u, v = w[..., None, :half], w[..., None, half:]
    return (multipliers * u * v).sum(-1), np.concatenate([multipliers * v, multipliers * u], axis=-1)


def limit_of_products(w: np.ndarray) -> np.ndarray:
    """Limit of the flow of (sum u_j v_j - 1)^2 / 2: p = u + v grows and q = u - v shrinks by one factor (derived).

    Raises
    ------
    InvalidInput
        If u + v = 0: the flow then stops at the saddle w = 0.
    """
    half = w.shape[-1] // 2
    p, q = w[..., :half] + w[..., half:], w[..., :half] - w[..., half:]
    p_square, q_square = (p**2).sum(-1), (q**2).sum(-1)
    if np.any(p_square == 0):
        raise InvalidInput(
            "the gradient flow from a point with u + v = 0 ends in the saddle at the origin, where the loss is 0.5; "
            "start with u + v not zero"
        )
    grow = np.sqrt((2 + np.sqrt(4 + p_square * q_square)) / p_square)[..., None]
    return np.concatenate([grow * p + q / grow, grow * p - q / grow], axis=-1) / 2

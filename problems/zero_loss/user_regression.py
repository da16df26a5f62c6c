"""A user's predictions f(w, x), in NumPy or in numba; higher derivatives are given or taken by differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number

from .data import set_data
from .differences import contraction, slope_along
from .kernels import linearise_one_by_one, regression_kernel
from .model import Regression, no_quantities


def _jacobian(model, w):
    return model.linearise(w)[1]


def apply_by_differences(model, w, vectors):
    """F_i vectors_i (..., N, m): the derivative of each row of the Jacobian along its own vector."""
    rows = []
    for i in range(model.samples):
        along = vectors[..., i, :]
        size = np.linalg.norm(along, axis=-1, keepdims=True)
        direction = along / np.where(size > 0, size, 1.0)
        rows.append(size * slope_along(lambda point, i=i: _jacobian(model, point)[..., i, :], w, direction))
    return np.stack(rows, axis=-2)


def hessians_by_differences(model, w):
    """F_i (..., N, m, m)."""
    columns = [slope_along(lambda point: _jacobian(model, point), w, e) for e in np.eye(model.dimension)]
    full = np.stack(columns, axis=-1)
    return (full + full.swapaxes(-1, -2)) / 2


@dataclass(frozen=True, eq=False)
class UserRegression(Regression):
    """L(w) = 1/(2N) sum_i (f(w, x_i) - y_i)^2 for a user's f in NumPy.

    Parameters
    ----------
    function : function of w (..., m) and x (..., S, p) with values (predictions (..., S), jacobian (..., S, m))
        The prediction and its gradient in w; leading axes of w and x broadcast.
    features : (N, p) array
    labels : (N,) array
    dimension : int
        m.
    second : function of w (..., m) and x (N, p) with values (..., N, m, m), optional
        Hessians of the predictions; without it, sixth-order differences of the Jacobian.
    third_of_predictions : function of w, x and a matrix (..., m, m) with values (..., N, m), optional
        Gradient of <matrix, second(w, x)>; without it, differences of the Jacobian.
    label : str
    """

    function: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    features: np.ndarray
    labels: np.ndarray
    dimension: int
    second: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    third_of_predictions: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray] | None = None
    label: str = "user's regression"

    def __post_init__(self) -> None:
        set_data(self, self.features, self.labels)
        object.__setattr__(self, "dimension", whole_number("dimension", self.dimension, 1))
        w = np.full((2, self.dimension), 0.5)
        predictions, jacobian = self.function(w, self.features)
        want = (2, self.samples), (2, self.samples, self.dimension)
        if np.shape(predictions) != want[0] or np.shape(jacobian) != want[1]:
            raise InvalidInput(
                f"function(w, x) must return predictions {want[0]} and their Jacobian {want[1]} for w "
                f"{w.shape} and x {self.features.shape}, got {np.shape(predictions)} and {np.shape(jacobian)}"
            )

    @property
    def inputs(self) -> np.ndarray:
        """The features."""
        return self.features

    @property
    def weight(self) -> float:
        """1 / N."""
        return 1 / len(self.labels)

    def linearise(self, w, inputs=None, units=None):
        """What the user's function returns."""
        predictions, jacobian = self.function(np.asarray(w, float), self.features if inputs is None else inputs)
        return np.asarray(predictions, float), np.asarray(jacobian, float)

    def _hessians(self, w):
        if self.second is None:
            return hessians_by_differences(self, w)
        return np.asarray(self.second(w, self.features), float)

    def bend_apply(self, w, vectors):
        """Hessian of each prediction times its vector."""
        return (self._hessians(w) @ vectors[..., None])[..., 0]

    def bend_inner(self, w, matrix):
        """<matrix, Hessian of each prediction>."""
        return np.einsum("...ijk,...jk->...i", self._hessians(w), matrix)

    def bend_sum(self, w, coefficients):
        """Sum of the predictions' Hessians."""
        return np.einsum("...i,...ijk->...jk", coefficients, self._hessians(w))

    def twist(self, w, matrix):
        """Gradient of <matrix, Hessian of each prediction>."""
        if self.third_of_predictions is None:
            return contraction(lambda point: _jacobian(self, point), w, matrix)
        return np.asarray(self.third_of_predictions(w, self.features, matrix), float)

    def closed_limit(self, w):
        """Not known."""
        return None

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)


@lru_cache(maxsize=None)
def _compile(function):
    """Kernel and vectorised form of a user's compiled function(w, x, row) -> prediction."""

    @numba.njit(nogil=True, error_model="numpy")
    def sample(w, x, multipliers, row):
        return function(w, x, row)

    @numba.njit(nogil=True, error_model="numpy")
    def vectorised(w, inputs, values, jacobian):
        for i in range(len(w)):
            for s in range(inputs.shape[1]):
                values[i, s] = function(w[i], inputs[i, s], jacobian[i, s])

    return regression_kernel(sample), vectorised


@dataclass(frozen=True, eq=False)
class NumbaRegression(Regression):
    """L(w) = 1/(2N) sum_i (f(w, x_i) - y_i)^2 for a user's f in numba.

    Second and third derivatives are sixth-order differences of the gradient that `function` writes.

    Parameters
    ----------
    function : numba-compiled function(w (m,), x (p,), row (m,)) -> float
        Returns the prediction at one input and writes its gradient in w into `row`.
    features : (N, p) array
    labels : (N,) array
    dimension : int
        m.
    label : str
    """

    function: Callable[[np.ndarray, np.ndarray, np.ndarray], float]
    features: np.ndarray
    labels: np.ndarray
    dimension: int
    label: str = "user's compiled regression"

    def __post_init__(self) -> None:
        set_data(self, self.features, self.labels)
        object.__setattr__(self, "dimension", whole_number("dimension", self.dimension, 1))
        if not hasattr(self.function, "py_func"):
            raise InvalidInput("function must be compiled: decorate it with @numba.njit")

    @property
    def inputs(self) -> np.ndarray:
        """The features."""
        return self.features

    @property
    def weight(self) -> float:
        """1 / N."""
        return 1 / len(self.labels)

    @property
    def kernel(self):
        """Compiled for the user's function."""
        return _compile(self.function)[0]

    def linearise(self, w, inputs=None, units=None):
        """Predictions and their Jacobian, one path after the other."""
        return linearise_one_by_one(_compile(self.function)[1], w, self.features if inputs is None else inputs)

    def bend_apply(self, w, vectors):
        """Hessian of each prediction times its vector."""
        return apply_by_differences(self, w, vectors)

    def bend_inner(self, w, matrix):
        """<matrix, Hessian of each prediction>."""
        return np.einsum("...ijk,...jk->...i", hessians_by_differences(self, w), matrix)

    def bend_sum(self, w, coefficients):
        """Sum of the predictions' Hessians."""
        return np.einsum("...i,...ijk->...jk", coefficients, hessians_by_differences(self, w))

    def twist(self, w, matrix):
        """Gradient of <matrix, Hessian of each prediction>."""
        return contraction(lambda point: _jacobian(self, point), w, matrix)

    def closed_limit(self, w):
        """Not known."""
        return None

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)

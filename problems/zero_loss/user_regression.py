"""A user's predictions f(w, x), in NumPy or in numba; higher derivatives are given or taken by differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number

from .data import set_data
from .general_loss import symmetric_probe
from sgdlimits.exact.derivative_check import check_derivative, probe
from sgdlimits.exact.numerical_derivatives import contraction, slope_along
from sgdlimits.exact.user_functions import call, numbers, tried_out
from .kernels import predict_one_by_one, regression_kernel
from .model import Regression, no_quantities


def _jacobian(model, w):
    return model.predict_with_jacobian(w)[1]


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
        for name in ("function", "second", "third_of_predictions"):
            function = getattr(self, name)
            if not callable(function) and (function is not None or name == "function"):
                raise InvalidInput(f"{name} must be a function, got {type(function).__name__}")
        m = self.dimension
        with np.errstate(all="ignore"):
            self.predict_with_jacobian(np.full((2, m), 0.5))
        check_jacobian(self)
        if self.second is not None:
            check_derivative(
                "second (the predictions' Hessians)", lambda points: self.predict_with_jacobian(points)[1],
                lambda w, v: self._hessians(w) @ v, m,
            )  # fmt: skip
        if self.third_of_predictions is not None:
            matrix = symmetric_probe(m)
            check_derivative(
                "third_of_predictions",
                lambda points: self.prediction_hessian_inner(points, np.broadcast_to(matrix, (len(points), m, m))),
                lambda w, v: self.hessian_gradient(w, matrix) @ v, m,
            )  # fmt: skip

    @property
    def inputs(self) -> np.ndarray:
        """The features."""
        return self.features

    @property
    def weight(self) -> float:
        """1 / N."""
        return 1 / len(self.labels)

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """What the user's function returns."""
        w, x = np.asarray(w, float), self.features if inputs is None else np.asarray(inputs, float)
        found = call("function", self.function, w, x)
        if not isinstance(found, (tuple, list)) or len(found) != 2:
            raise InvalidInput(f"function must return predictions and their Jacobian, got {type(found).__name__}")
        shape = (*np.broadcast_shapes(w.shape[:-1], x.shape[:-2]), x.shape[-2])
        given = f" for w {w.shape} and x {x.shape}"
        return (
            numbers("function's predictions", found[0], shape, given),
            numbers("function's Jacobian", found[1], (*shape, self.dimension), given),
        )

    def _hessians(self, w):
        if self.second is None:
            return hessians_by_differences(self, w)
        w = np.asarray(w, float)
        shape = (*w.shape[:-1], self.samples, self.dimension, self.dimension)
        return numbers("second", call("second", self.second, w, self.features), shape, f" for w {w.shape}")

    def prediction_hvp(self, w, vectors):
        """Hessian of each prediction times its vector."""
        return (self._hessians(w) @ vectors[..., None])[..., 0]

    def prediction_hessian_inner(self, w, matrix):
        """<matrix, Hessian of each prediction>."""
        return np.einsum("...ijk,...jk->...i", self._hessians(w), matrix)

    def weighted_hessians(self, w, coefficients):
        """Sum of the predictions' Hessians."""
        return np.einsum("...i,...ijk->...jk", coefficients, self._hessians(w))

    def hessian_gradient(self, w, matrix):
        """Gradient of <matrix, Hessian of each prediction>."""
        if self.third_of_predictions is None:
            return contraction(lambda point: _jacobian(self, point), w, matrix)
        w = np.asarray(w, float)
        found = call("third_of_predictions", self.third_of_predictions, w, self.features, np.asarray(matrix, float))
        return numbers("third_of_predictions", found)

    def closed_limit(self, w):
        """Not known."""
        return None

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)


def check_jacobian(model: Regression) -> None:
    """Compare the Jacobian with the predictions, at every sample."""
    check_derivative(
        "Jacobian", lambda points: model.predict_with_jacobian(points)[0],
        lambda w, v: model.predict_with_jacobian(w)[1] @ v, model.dimension,
    )  # fmt: skip


@lru_cache(maxsize=None)
def _compile(function):
    """Kernel and vectorised form of a user's compiled function(w, x, row) -> prediction."""

    @numba.njit(nogil=True, error_model="numpy")
    def sample(w, x, multipliers, row):
        row[:] = 0.0
        return function(w, x, row)

    @numba.njit(nogil=True, error_model="numpy")
    def vectorised(w, inputs, values, jacobian):
        for i in range(len(w)):
            for s in range(inputs.shape[1]):
                jacobian[i, s] = 0.0
                values[i, s] = function(w[i], inputs[i, s], jacobian[i, s])

    return regression_kernel(sample), vectorised


@dataclass(frozen=True, eq=False)
class NumbaRegression(Regression):
    """L(w) = 1/(2N) sum_i (f(w, x_i) - y_i)^2 for a user's f in numba.

    Second and third derivatives are sixth-order differences of the gradient that `function` writes.

    Parameters
    ----------
    function : numba-compiled function(w (m,), x (p,), row (m,)) -> float
        Returns the prediction at one input and writes its gradient in w into `row`, which is zero on entry.
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
        form = "function(w, x, row) -> float"
        given = probe(self.dimension)[0], np.array(self.features[0])
        tried_out("function", self.function, form, given, (np.zeros(self.dimension),))
        check_jacobian(self)

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

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Predictions and their Jacobian, one path after the other."""
        return predict_one_by_one(_compile(self.function)[1], w, self.features if inputs is None else inputs)

    def prediction_hvp(self, w, vectors):
        """Hessian of each prediction times its vector."""
        return apply_by_differences(self, w, vectors)

    def prediction_hessian_inner(self, w, matrix):
        """<matrix, Hessian of each prediction>."""
        return np.einsum("...ijk,...jk->...i", hessians_by_differences(self, w), matrix)

    def weighted_hessians(self, w, coefficients):
        """Sum of the predictions' Hessians."""
        return np.einsum("...i,...ijk->...jk", coefficients, hessians_by_differences(self, w))

    def hessian_gradient(self, w, matrix):
        """Gradient of <matrix, Hessian of each prediction>."""
        return contraction(lambda point: _jacobian(self, point), w, matrix)

    def closed_limit(self, w):
        """Not known."""
        return None

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)

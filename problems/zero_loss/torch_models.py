"""A user's predictions or loss as a torch function; every derivative by torch.func, and torch is imported only here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number

from ..torch_functions import import_torch
from .data import set_data
from .general_loss import GeneralLoss, check_sizes
from .model import Regression, no_quantities


def _call(function: Callable, lead: tuple[int, ...], *arrays: np.ndarray) -> list[np.ndarray]:
    """Call a vmapped torch function on float64 arrays (..., own shape) of one leading shape, flattened."""
    torch = import_torch()
    count = int(np.prod(lead))
    flat = [
        torch.as_tensor(np.array(array, dtype=np.float64).reshape(count, *array.shape[len(lead) :])) for array in arrays
    ]
    found = function(*flat)
    found = found if isinstance(found, tuple) else (found,)
    return [part.detach().numpy().reshape((*lead, *part.shape[1:])) for part in found]


def _spread(lead: tuple[int, ...], array: np.ndarray, own: int) -> np.ndarray:
    """Broadcast the leading axes of an array whose last `own` axes are its own."""
    array = np.asarray(array, float)
    return np.broadcast_to(array, (*lead, *array.shape[array.ndim - own :]))


def _regression_functions(function: Callable, units: int) -> dict[str, Callable]:
    """Vmapped derivatives of f(w, x[, multipliers]); first axis of every argument: paths."""
    torch = import_torch()
    func = torch.func

    def masked(w, x, multipliers):
        return function(w, x, multipliers) if units else function(w, x)

    def whole(w, x):
        return function(w, x, torch.ones(units, dtype=w.dtype)) if units else function(w, x)

    def contracted(w, x, matrix):
        return (func.hessian(whole)(w, x) * matrix).sum()

    def unit_outputs(w, x):
        return func.jacrev(masked, argnums=2)(w, x, torch.ones(units, dtype=w.dtype))

    def each(one, *axes):
        return func.vmap(func.vmap(one, in_dims=axes), in_dims=0)

    def value_and_slope(w, x, multipliers):
        slope, value = func.grad_and_value(masked)(w, x, multipliers)
        return value, slope

    return {
        "predict_with_jacobian": each(value_and_slope, None, 0, 0),
        "hessians": each(func.hessian(whole), None, 0),
        "prediction_hvp": each(lambda w, x, v: func.jvp(lambda p: func.grad(whole)(p, x), (w,), (v,))[1], None, 0, 0),
        "prediction_hessian_inner": each(contracted, None, 0, None),
        "hessian_gradient": each(func.grad(contracted), None, 0, None),
        "unit_outputs": each(unit_outputs, None, 0),
        "input_gradient": each(func.grad(whole, argnums=1), None, 0),
        "mixed": each(func.jacrev(func.grad(whole, argnums=1), argnums=0), None, 0),
    }


@dataclass(frozen=True, eq=False)
class TorchRegression(Regression):
    """L(w) = 1/(2N) sum_i (f(w, x_i) - y_i)^2 for a torch function f of one sample.

    Parameters
    ----------
    function : f(w (m,), x (p,)) -> scalar tensor, or f(w, x, multipliers (h,)) where hidden_units > 0
        Written for one path and one sample, in double precision; torch.func vectorises it. With hidden units it
        must be sum_j multipliers_j h_j(w, x).
    features : (N, p) array
    labels : (N,) array
    dimension : int
        m.
    hidden_units : int
        h; 0 for a function without multipliers, to which Dropout does not apply.
    label : str

    Raises
    ------
    MissingLibrary
        If torch is not installed.
    """

    function: Callable[..., Any]
    features: np.ndarray
    labels: np.ndarray
    dimension: int
    hidden_units: int = 0
    label: str = "torch regression"

    def __post_init__(self) -> None:
        set_data(self, self.features, self.labels)
        object.__setattr__(self, "dimension", whole_number("dimension", self.dimension, 1))
        object.__setattr__(self, "hidden_units", whole_number("hidden_units", self.hidden_units, 0))
        torch = import_torch()
        w = torch.full((self.dimension,), 0.5, dtype=torch.float64)
        arguments = (w, torch.as_tensor(np.array(self.features[0])))
        if self.hidden_units:
            arguments = (*arguments, torch.ones(self.hidden_units, dtype=torch.float64))
        shape = tuple(self.function(*arguments).shape)
        if shape != ():
            raise InvalidInput(
                f"function(w, x) must return one number for w ({self.dimension},) and x {self.features[0].shape}, "
                f"got a tensor of shape {shape}"
            )

    @cached_property
    def _functions(self) -> dict[str, Callable]:
        return _regression_functions(self.function, self.hidden_units)

    @property
    def inputs(self) -> np.ndarray:
        """The features."""
        return self.features

    @property
    def input_size(self) -> int:
        """p."""
        return self.features.shape[1]

    @property
    def units(self) -> int:
        """h."""
        return self.hidden_units

    @property
    def weight(self) -> float:
        """1 / N."""
        return 1 / len(self.labels)

    def _each(self, name, w, *arrays):
        """Call a derivative on w (..., m), the model's inputs and arrays (array, number of own axes)."""
        lead = np.shape(w)[:-1]
        spread = [_spread(lead, array, own) for array, own in ((w, 1), (self.features, 2), *arrays)]
        return _call(self._functions[name], lead, *spread)[0]

    def predict_with_jacobian(self, w, inputs=None, units=None):
        """Predictions and their Jacobian."""
        inputs = self.features if inputs is None else inputs
        units = np.ones((1, self.hidden_units)) if units is None else units
        lead = np.broadcast_shapes(np.shape(w)[:-1], inputs.shape[:-2], units.shape[:-2])
        entries = np.broadcast_to(units, (*units.shape[:-2], inputs.shape[-2], self.hidden_units))
        arrays = _spread(lead, w, 1), _spread(lead, inputs, 2), _spread(lead, entries, 2)
        return tuple(_call(self._functions["predict_with_jacobian"], lead, *arrays))

    def unit_outputs(self, w):
        """h_j, the derivative of f in its multipliers, (..., N, h)."""
        return self._each("unit_outputs", w)

    def prediction_hvp(self, w, vectors):
        """Hessian of each prediction times its vector."""
        return self._each("prediction_hvp", w, (vectors, 2))

    def prediction_hessian_inner(self, w, matrix):
        """<matrix, Hessian of each prediction>."""
        return self._each("prediction_hessian_inner", w, (matrix, 2))

    def weighted_hessians(self, w, coefficients):
        """Sum of the predictions' Hessians."""
        return np.einsum("...i,...ijk->...jk", coefficients, self._each("hessians", w))

    def hessian_gradient(self, w, matrix):
        """Gradient of <matrix, Hessian of each prediction>."""
        return self._each("hessian_gradient", w, (matrix, 2))

    def input_gradient(self, w):
        """Gradient of each prediction in its input, (..., N, p)."""
        return self._each("input_gradient", w)

    def mixed(self, w):
        """Derivative of the input gradient in w, (..., N, p, m)."""
        return self._each("mixed", w)

    def closed_limit(self, w):
        """Not known."""
        return None

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)


def _loss_functions(function: Callable, noise_size: int) -> dict[str, Callable]:
    """Vmapped derivatives of L_hat(w, eta)."""
    torch = import_torch()
    func = torch.func

    def loss(w, eta):
        return function(w, eta) if noise_size else function(w)

    def clean(w):
        return loss(w, torch.zeros(noise_size, dtype=w.dtype))

    def contracted(w, matrix):
        return (func.hessian(clean)(w) * matrix).sum()

    def laplacian(w, eta):
        return func.hessian(loss, argnums=1)(w, eta).diagonal().sum()

    def regulariser(w):
        return laplacian(w, torch.zeros(noise_size, dtype=w.dtype)) / 2

    def fourth(w):
        zero = torch.zeros(noise_size, dtype=w.dtype)
        return func.hessian(laplacian, argnums=1)(w, zero).diagonal().sum() / 8

    def columns(w):
        return func.jacrev(func.grad(loss), argnums=1)(w, torch.zeros(noise_size, dtype=w.dtype))

    return {
        "loss": func.vmap(loss),
        "gradient": func.vmap(func.grad(loss)),
        "hessian": func.vmap(func.hessian(clean)),
        "third_contraction": func.vmap(func.grad(contracted)),
        "columns": func.vmap(columns),
        "regulariser": func.vmap(regulariser),
        "regulariser_gradient": func.vmap(func.grad(regulariser)),
        "fourth_gradient": func.vmap(func.grad(fourth)),
    }


@dataclass(frozen=True, eq=False)
class TorchLoss(GeneralLoss):
    """A user's loss as a torch function of one path, L(w) or L_hat(w, eta).

    Parameters
    ----------
    function : L(w (m,)) -> scalar tensor, or L_hat(w, eta (q,)) where noise_size > 0
        In double precision.
    dimension : int
        m.
    noise_size : int
        q; 0 for a loss without noise of its own.
    label : str

    Raises
    ------
    MissingLibrary
        If torch is not installed.
    """

    function: Callable[..., Any]
    dimension: int
    noise_size: int = 0
    label: str = "torch loss"

    def __post_init__(self) -> None:
        check_sizes(self)
        torch = import_torch()
        sizes = (self.dimension, self.noise_size) if self.noise_size else (self.dimension,)
        found = self.function(*(torch.full((size,), 0.5, dtype=torch.float64) for size in sizes))
        if not isinstance(found, torch.Tensor) or found.shape != ():
            got = f"a tensor of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else type(found).__name__
            raise InvalidInput(f"function must return one number, a tensor of shape (), got {got}")

    @cached_property
    def _functions(self) -> dict[str, Callable]:
        return _loss_functions(self.function, self.noise_size)

    def _each(self, name, w, *arrays):
        lead = np.shape(w)[:-1]
        spread = [_spread(lead, array, own) for array, own in ((w, 1), *arrays)]
        return _call(self._functions[name], lead, *spread)[0]

    def loss_of(self, w, eta):
        """The user's loss."""
        return self._each("loss", w, (eta, 1))

    def noisy_gradient_of(self, w, eta):
        """Its gradient in w."""
        return self._each("gradient", w, (eta, 1))

    def hessian(self, w):
        """Hessian (..., m, m)."""
        return self._each("hessian", w)

    def third_contraction(self, w, matrix):
        """Gradient of <matrix, Hessian(w)>."""
        return self._each("third_contraction", w, (matrix, 2))

    def noise_matrix(self, w):
        """G (..., m, q)."""
        return self._each("columns", w)

    def own_regulariser(self, w):
        """Half the Laplacian in eta at 0."""
        return self._each("regulariser", w)

    def own_regulariser_gradient(self, w):
        """Its gradient in w."""
        return self._each("regulariser_gradient", w)

    def own_fourth_gradient(self, w):
        """Gradient of an eighth of the Laplacian's square in eta at 0."""
        return self._each("fourth_gradient", w)

    def closed_limit(self, w):
        """Not known."""
        return None

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)

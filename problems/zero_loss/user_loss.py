"""A user's loss L(w), or L_hat(w, eta) that brings its own noise, in NumPy, numba or torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from sgdlimits.exact.derivative_check import check_derivative, probe, symmetric_probe
from sgdlimits.exact.errors import one_of, points, whole_number
from sgdlimits.exact.numerical_derivatives import (
    bend_along,
    bilaplacian,
    contraction,
    derivative,
    laplacian,
    slope_along,
)
from sgdlimits.exact.user_functions import call, numbers, tried_out, user_function

from ..torch_functions import torch_number
from .model import MatrixFree, NothingConserved
from .torch_losses import LossDerivative

GIVEN = ("hessian_function", "third_function", "limit_function", "product_function", "third_product_function")
NOISE_FUNCTIONS = ("noise_matrix", "regulariser", "regulariser_gradient", "fourth_gradient")


@dataclass(frozen=True, eq=False, repr=False)
class UserLoss(NothingConserved, MatrixFree):
    """A user's loss L_hat(w, eta) with w (..., m) and noise eta (..., q), or L(w); no samples and no hidden units.

    NumPy functions are called with one leading axis: w (P, m), eta (P, q). Derivatives that are not given are
    sixth-order central differences of `gradient_function`.

    Parameters
    ----------
    loss_function : function of w, or of (w, eta) where noise_size > 0, with values (P,)
    gradient_function : the same arguments, values (P, m)
        Gradient in w.
    dimension : int
        m.
    noise_size : int
        q; 0 for a loss without noise of its own.
    hessian_function : function of w with values (P, m, m), optional
    third_function : function of (w, matrix) with values (P, m), optional
        Gradient of <matrix, Hessian(w)>.
    product_function : function of (w, vector (P, m)) with values (P, m), optional
        Hessian times a vector, for losses of many weights, whose Hessian is never made.
    third_product_function : function of (w, vector (P, m)) with values (P, m), optional
        Gradient of vector' Hessian(w) vector.
    limit_function : function of w with values (P, m), optional
        Limit of the gradient flow, where it is known.
    label : str
    compiled : bool
        Loss and gradient are compiled with numba.njit, for one path: loss(w (m,)) -> float and gradient(w, out (m,)),
        or loss(w, eta (q,)) and gradient(w, eta, out); `out` is zero on entry.
    noise_functions : mapping from names to functions of w, optional
        Derivatives in eta at 0. "noise_matrix" (P, m, q): of the gradient; "regulariser" (P,): half the Laplacian of
        the loss, and "regulariser_gradient" (P, m) in w; "fourth_gradient" (P, m): gradient in w of an eighth of the
        Laplacian's square.
    """

    loss_function: Callable[..., Any]
    gradient_function: Callable[..., Any]
    dimension: int
    noise_size: int = 0
    hessian_function: Callable[..., Any] | None = None
    third_function: Callable[..., Any] | None = None
    limit_function: Callable[..., Any] | None = None
    label: str = "user's loss"
    compiled: bool = False
    noise_functions: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    product_function: Callable[..., Any] | None = None
    third_product_function: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "dimension", whole_number("dimension", self.dimension, 1))
        object.__setattr__(self, "noise_size", whole_number("noise_size", self.noise_size, 0))
        form = "loss(w) -> float, gradient(w, out); with noise loss(w, eta), gradient(w, eta, out)"
        given = probe(self.dimension)[0], *((np.zeros(self.noise_size),) if self.noise_size else ())
        for name, out in (("loss_function", ()), ("gradient_function", (np.zeros(self.dimension),))):
            user_function(name, getattr(self, name), self.compiled, form)
            if self.compiled:
                tried_out(name, getattr(self, name), form, given, out)
        for name in GIVEN:
            if getattr(self, name) is not None:
                user_function(name, getattr(self, name))
        for name, function in self.noise_functions.items():
            user_function(one_of("noise_functions", name, NOISE_FUNCTIONS), function)
        w = np.full((2, self.dimension), 0.5)
        with np.errstate(all="ignore"):  # this need not be a point where the loss is finite
            self.loss(w), self.gradient(w)
        self._check_derivatives()

    def __repr__(self) -> str:
        parts = [repr(self.label), f"dimension={self.dimension}"]
        parts += [f"noise_size={self.noise_size}"] if self.noise_size else []
        return f"UserLoss({', '.join([*parts, *(['compiled=True'] if self.compiled else [])])})"

    def _check_derivatives(self) -> None:
        """The gradient without noise and with some, and what else was given."""
        m, q = self.dimension, self.noise_size
        for eta in (np.zeros(q), probe(q)[0])[: 1 + (q > 0)]:
            check_derivative(
                "gradient_function", lambda w: self.loss_of(w, eta),
                lambda w, v: self.noisy_gradient_of(w, eta) @ v, m,
            )  # fmt: skip
        if self.hessian_function is not None:
            check_derivative("hessian_function", self.gradient, lambda w, v: self.hessian(w) @ v, m)
        if self.product_function is not None:
            check_derivative(
                "product_function", self.gradient,
                lambda w, v: self.hessian_products(w, v[None])[0], m,
            )  # fmt: skip
        if self.third_product_function is not None:
            along = probe(m)[1]
            check_derivative(
                "third_product_function", lambda w: self.hessian_products(w, along[None])[..., 0, :] @ along,
                lambda w, v: self.third_products(w, along[None], np.ones(1)) @ v, m,
            )  # fmt: skip
        if self.third_function is not None:
            matrix = symmetric_probe(m)
            check_derivative(
                "third_function", lambda w: np.einsum("ij,...ij->...", matrix, self.hessian(w)),
                lambda w, v: self.third_contraction(w, matrix) @ v, m,
            )  # fmt: skip

    @classmethod
    def from_torch(
        cls, function: Callable[..., Any], dimension: int, noise_size: int = 0, label: str = "torch loss"
    ) -> UserLoss:
        """A torch function of one path in double precision, L(w (m,)) or L_hat(w, eta (q,)), with all its derivatives.

        Raises
        ------
        MissingLibrary
            If torch is not installed.
        """
        sizes = [whole_number("dimension", dimension, 1), whole_number("noise_size", noise_size, 0)]
        torch_number("function", function, *(np.full(size, 0.5) for size in sizes if size))
        made = {
            name: LossDerivative(function, noise_size, name)
            for name in ("loss", "gradient", "product", "third_product", *NOISE_FUNCTIONS)
        }
        loss, gradient, *products = (made.pop(name) for name in ("loss", "gradient", "product", "third_product"))
        noise = made if noise_size else {}
        return cls(loss, gradient, dimension, noise_size, None, None, None, label, False, noise, *products)

    @property
    def kernel(self) -> Callable[..., None] | None:
        """Compiled for the user's gradient."""
        return self._loops()[0] if self.compiled else None

    @property
    def kernel_data(self) -> tuple[np.ndarray, ...]:
        """Nothing: everything is in the kernel."""
        return (np.empty(0),)

    def _loops(self):
        return _compile(self.loss_function, self.gradient_function, self.noise_size > 0)

    def _call(self, name, function, tail, *arguments):
        """A user's function on arrays, each with its number of own axes, of one leading shape: values (..., *tail)."""
        shapes = [(np.shape(array)[: np.ndim(array) - own], np.shape(array)[np.ndim(array) - own :])
                  for array, own in arguments]  # fmt: skip
        lead = np.broadcast_shapes(*(shape for shape, _ in shapes))
        flat = [
            np.array(np.broadcast_to(array, (*lead, *own)), dtype=np.float64).reshape(math.prod(lead), *own)
            for (array, _), (_, own) in zip(arguments, shapes)
        ]
        if self.compiled and name in ("loss_function", "gradient_function"):
            found = np.zeros((len(flat[0]), *tail))
            function(*flat, found)
        else:
            given = f" for w of shape {flat[0].shape} (it must be vectorised over the leading axes)"
            found = numbers(name, call(name, function, *flat), (len(flat[0]), *tail), given)
        return found.reshape((*lead, *tail))

    def _noisy(self, name, tail, w, eta):
        """The user's loss or gradient; the compiled loops take eta always, NumPy functions where there is noise."""
        arguments = ((w, 1), (eta, 1)) if self.noise_size or self.compiled else ((w, 1),)
        function = self._loops()[1 if name == "loss_function" else 2] if self.compiled else getattr(self, name)
        return self._call(name, function, tail, *arguments)

    def no_noise(self, w: np.ndarray) -> np.ndarray:
        """Zeros (..., q)."""
        return np.zeros((*np.shape(w)[:-1], self.noise_size))

    def loss_of(self, w: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """L_hat(w, eta), (...)."""
        return self._noisy("loss_function", (), w, eta)

    def noisy_gradient_of(self, w: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Gradient of L_hat in w, (..., m)."""
        return self._noisy("gradient_function", (self.dimension,), w, eta)

    def loss(self, w: np.ndarray) -> np.ndarray:
        """L_hat(w, 0), (...)."""
        w = points("w", w, self.dimension, finite=False)
        return self.loss_of(w, self.no_noise(w))

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of L_hat(w, 0), (..., m)."""
        w = points("w", w, self.dimension, finite=False)
        return self.noisy_gradient_of(w, self.no_noise(w))

    def hessian(self, w):
        """Hessian (..., m, m)."""
        w = points("w", w, self.dimension, finite=False)
        if self.hessian_function is not None:
            return self._call("hessian_function", self.hessian_function, (self.dimension, self.dimension), (w, 1))
        if self.product_function is None:
            full = derivative(self.gradient, w)
        else:
            full = self.hessian_products(w, np.broadcast_to(np.eye(self.dimension), (*w.shape, self.dimension)))
        return (full + full.swapaxes(-1, -2)) / 2

    def hessian_products(self, w, vectors):
        """By the user's product, his Hessian, or differences of the gradient."""
        w = points("w", w, self.dimension, finite=False)
        if self.product_function is not None:
            return self._call("product_function", self.product_function, (self.dimension,), (w[..., None, :], 1),
                              (vectors, 1))  # fmt: skip
        if self.hessian_function is not None:
            return vectors @ self.hessian(w)
        return slope_along(self.gradient, w[..., None, :], np.asarray(vectors, float))

    def third_products(self, w, vectors, factors):
        """By the user's third products or contraction, or second differences of the gradient."""
        w = points("w", w, self.dimension, finite=False)
        if self.third_product_function is None and self.third_function is not None:
            return self.third_contraction(w, vectors.swapaxes(-1, -2) @ (factors[..., None] * vectors))
        if self.third_product_function is None:
            bent = bend_along(self.gradient, w[..., None, :], np.asarray(vectors, float))
        else:
            bent = self._call("third_product_function", self.third_product_function, (self.dimension,),
                              (w[..., None, :], 1), (vectors, 1))  # fmt: skip
        return (factors[..., None, :] @ bent)[..., 0, :]

    def third_contraction(self, w, matrix):
        """Gradient of <matrix, Hessian(w)>."""
        if self.third_product_function is not None:
            factors, vectors = np.linalg.eigh(matrix)
            return self.third_products(w, vectors.swapaxes(-1, -2), factors)
        if self.third_function is None:
            return contraction(self.gradient, np.asarray(w, float), matrix)
        return self._call("third_function", self.third_function, (self.dimension,), (w, 1), (matrix, 2))

    def _of_noise(self, name, tail, w, by_differences):
        function = self.noise_functions.get(name)
        return by_differences() if function is None else self._call(name, function, tail, (w, 1))

    def noise_matrix(self, w: np.ndarray) -> np.ndarray:
        """G(w), the derivative in eta at 0 of the gradient, (..., m, q)."""
        return self._of_noise(
            "noise_matrix", (self.dimension, self.noise_size), w,
            lambda: derivative(lambda eta: self.noisy_gradient_of(w, eta), self.no_noise(w)),
        )  # fmt: skip

    def own_regulariser(self, w: np.ndarray) -> np.ndarray:
        """Half the Laplacian of L_hat in eta at 0, (...)."""
        return self._of_noise(
            "regulariser", (), w, lambda: laplacian(lambda eta: self.loss_of(w, eta), self.no_noise(w)) / 2
        )

    def own_regulariser_gradient(self, w: np.ndarray) -> np.ndarray:
        """Its gradient in w, (..., m)."""
        return self._of_noise(
            "regulariser_gradient", (self.dimension,), w,
            lambda: laplacian(lambda eta: self.noisy_gradient_of(w, eta), self.no_noise(w)) / 2,
        )  # fmt: skip

    def own_fourth_gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient in w of an eighth of the Laplacian's square of L_hat in eta at 0, (..., m)."""
        return self._of_noise(
            "fourth_gradient", (self.dimension,), w,
            lambda: bilaplacian(lambda eta: self.noisy_gradient_of(w, eta), self.no_noise(w)) / 8,
        )  # fmt: skip

    def closed_limit(self, w):
        """The user's limit, if one was given."""
        if self.limit_function is None:
            return None
        return self._call("limit_function", self.limit_function, (self.dimension,), (w, 1))


@lru_cache(maxsize=None)
def _compile(loss, gradient, noisy):
    """Kernel and vectorised forms of a user's compiled loss and gradient."""
    loss, gradient = (function if noisy else _with_noise(function) for function in (loss, gradient))

    @numba.njit(nogil=True, error_model="numpy")
    def kernel(w, data, rows, labels, units, inputs, eta, out, work):
        out[:] = 0.0
        gradient(w, eta, out)

    @numba.njit(nogil=True, error_model="numpy")
    def values(w, eta, out):
        for i in range(len(w)):
            out[i] = loss(w[i], eta[i])

    @numba.njit(nogil=True, error_model="numpy")
    def gradients(w, eta, out):
        for i in range(len(w)):
            gradient(w[i], eta[i], out[i])

    return kernel, values, gradients


def _with_noise(function):
    """A compiled function of w as one of w and a noise that it does not read."""

    @numba.njit(nogil=True, error_model="numpy")
    def called(w, eta, *out):
        return function(w, *out)

    return called

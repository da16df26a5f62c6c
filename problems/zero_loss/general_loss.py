"""A user's loss L(w), or L_hat(w, eta) that brings its own noise, in NumPy or in numba."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numba
import numpy as np

from sgdlimits.exact.errors import InvalidInput, points, whole_number

from sgdlimits.exact.derivative_check import check_derivative, probe
from sgdlimits.exact.numerical_derivatives import contraction, derivative, laplacian
from sgdlimits.exact.user_functions import call, numbers, tried_out
from .model import Model, no_quantities

OUTER_STEP = 0.05  # of the second Laplacian, whose rounding is that of the first over its square


class GeneralLoss(Model):
    """L(w) = L_hat(w, 0) without samples or hidden units; eta (..., q) with q = noise_size."""

    @property
    def kernel_data(self) -> tuple[np.ndarray, ...]:
        """None: everything is in the kernel."""
        return (np.empty(0),)

    @abstractmethod
    def loss_of(self, w: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """L_hat(w, eta), (...)."""

    @abstractmethod
    def noisy_gradient_of(self, w: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Gradient of L_hat in w, (..., m)."""

    @abstractmethod
    def noise_matrix(self, w: np.ndarray) -> np.ndarray:
        """G(w), the derivative in eta at 0 of the gradient, (..., m, q)."""

    @abstractmethod
    def own_regulariser(self, w: np.ndarray) -> np.ndarray:
        """Half the Laplacian of L_hat in eta at 0, (...)."""

    @abstractmethod
    def own_regulariser_gradient(self, w: np.ndarray) -> np.ndarray:
        """Its gradient in w, (..., m)."""

    @abstractmethod
    def own_fourth_gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient in w of an eighth of the Laplacian's square of L_hat in eta at 0, (..., m)."""

    def no_noise(self, w: np.ndarray) -> np.ndarray:
        """Zeros (..., q)."""
        return np.zeros((*np.shape(w)[:-1], self.noise_size))

    def loss(self, w: np.ndarray) -> np.ndarray:
        """L_hat(w, 0), (...)."""
        w = points("w", w, self.dimension, finite=False)
        return self.loss_of(w, self.no_noise(w))

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient of L_hat(w, 0), (..., m)."""
        w = points("w", w, self.dimension, finite=False)
        return self.noisy_gradient_of(w, self.no_noise(w))


def hessian_by_differences(model, w):
    """Hessian (..., m, m) from the gradient."""
    full = derivative(model.gradient, points("w", w, model.dimension, finite=False))
    return (full + full.swapaxes(-1, -2)) / 2


def fourth_by_differences(model, w):
    """Gradient of an eighth of the Laplacian's square, from second-order differences of the first Laplacian."""
    w = np.asarray(w, float)

    def inner(eta):
        return laplacian(lambda point: model.noisy_gradient_of(w, point), eta)

    zero = model.no_noise(w)
    center = inner(zero)
    total = 0.0
    for e in np.eye(model.noise_size):
        one, two = OUTER_STEP * e, 2 * OUTER_STEP * e
        total = total + (
            16 * (inner(zero + one) + inner(zero - one)) - inner(zero + two) - inner(zero - two) - 30 * center
        ) / (12 * OUTER_STEP**2)
    return total / 8


@dataclass(frozen=True, eq=False)
class UserLoss(GeneralLoss):
    """A user's loss in NumPy, every function vectorised over the leading axes of w (..., m) and eta (..., q).

    Derivatives that are not given are sixth-order central differences of `gradient_function`.

    Parameters
    ----------
    loss_function : function of w, or of (w, eta) where noise_size > 0, with values (...)
    gradient_function : the same arguments, values (..., m)
        Gradient in w.
    dimension : int
        m.
    noise_size : int
        q; 0 for a loss without noise of its own.
    hessian_function : function of w with values (..., m, m), optional
    third_function : function of (w, matrix) with values (..., m), optional
        Gradient of <matrix, Hessian(w)>.
    limit_function : function of w with values (..., m), optional
        Limit of the gradient flow, where it is known.
    label : str
    """

    loss_function: Callable[..., np.ndarray]
    gradient_function: Callable[..., np.ndarray]
    dimension: int
    noise_size: int = 0
    hessian_function: Callable[[np.ndarray], np.ndarray] | None = None
    third_function: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    limit_function: Callable[[np.ndarray], np.ndarray] | None = None
    label: str = "user's loss"

    def __post_init__(self) -> None:
        check_sizes(self)
        for name in ("loss_function", "gradient_function", "hessian_function", "third_function", "limit_function"):
            function = getattr(self, name)
            if not callable(function) and (function is not None or name in ("loss_function", "gradient_function")):
                raise InvalidInput(f"{name} must be a function, got {type(function).__name__}")
        w = np.full((2, self.dimension), 0.5)
        with np.errstate(all="ignore"):  # this need not be a point where the loss is finite
            self.loss(w), self.gradient(w)
        check_gradient(self)
        if self.hessian_function is not None:
            check_derivative("hessian_function", self.gradient, lambda w, v: self.hessian(w) @ v, self.dimension)
        if self.third_function is not None:
            matrix = symmetric_probe(self.dimension)
            check_derivative(
                "third_function", lambda points: np.einsum("ij,...ij->...", matrix, self.hessian(points)),
                lambda w, v: self.third_contraction(w, matrix) @ v, self.dimension,
            )  # fmt: skip

    def _call(self, name, tail, *arguments):
        """The user's function on read-only views; its result copied, of the leading shape and `tail`."""
        lead = np.broadcast_shapes(*(argument.shape[:-1] for argument in arguments))
        given = f" for w of shape {arguments[0].shape} (it must be vectorised over the leading axes)"
        return numbers(name, call(name, getattr(self, name), *arguments), (*lead, *tail), given)

    def _arguments(self, w, eta):
        return (np.asarray(w, float), np.asarray(eta, float)) if self.noise_size else (np.asarray(w, float),)

    def loss_of(self, w, eta):
        """The user's loss."""
        return self._call("loss_function", (), *self._arguments(w, eta))

    def noisy_gradient_of(self, w, eta):
        """The user's gradient."""
        return self._call("gradient_function", (self.dimension,), *self._arguments(w, eta))

    def hessian(self, w):
        """Hessian (..., m, m)."""
        if self.hessian_function is None:
            return hessian_by_differences(self, w)
        return self._call("hessian_function", (self.dimension, self.dimension), np.asarray(w, float))

    def third_contraction(self, w, matrix):
        """Gradient of <matrix, Hessian(w)>."""
        if self.third_function is None:
            return contraction(self.gradient, np.asarray(w, float), matrix)
        found = call("third_function", self.third_function, np.asarray(w, float), np.asarray(matrix, float))
        return numbers("third_function", found)

    def noise_matrix(self, w):
        """G, by differences in eta."""
        return derivative(lambda eta: self.noisy_gradient_of(w, eta), self.no_noise(w))

    def own_regulariser(self, w):
        """Half the Laplacian in eta, by differences."""
        return laplacian(lambda eta: self.loss_of(w, eta), self.no_noise(w)) / 2

    def own_regulariser_gradient(self, w):
        """Half the Laplacian in eta of the gradient, by differences."""
        return laplacian(lambda eta: self.noisy_gradient_of(w, eta), self.no_noise(w)) / 2

    def own_fourth_gradient(self, w):
        """Gradient of Reg_4, by differences."""
        return fourth_by_differences(self, w)

    def closed_limit(self, w):
        """The user's limit, if one was given."""
        if self.limit_function is None:
            return None
        return self._call("limit_function", (self.dimension,), np.asarray(w, float))

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)


@lru_cache(maxsize=None)
def _compile(loss, gradient, noisy):
    """Kernel and vectorised forms of a user's compiled loss and gradient."""
    if noisy:

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

    else:

        @numba.njit(nogil=True, error_model="numpy")
        def kernel(w, data, rows, labels, units, inputs, eta, out, work):
            out[:] = 0.0
            gradient(w, out)

        @numba.njit(nogil=True, error_model="numpy")
        def values(w, eta, out):
            for i in range(len(w)):
                out[i] = loss(w[i])

        @numba.njit(nogil=True, error_model="numpy")
        def gradients(w, eta, out):
            for i in range(len(w)):
                gradient(w[i], out[i])

    return kernel, values, gradients


@dataclass(frozen=True, eq=False)
class NumbaLoss(GeneralLoss):
    """A user's loss in numba; derivatives beyond the gradient are sixth-order central differences of it.

    Parameters
    ----------
    loss_function : numba-compiled function(w (m,)) -> float, or function(w, eta (q,)) where noise_size > 0
    gradient_function : numba-compiled function(w, out (m,)), or function(w, eta, out) where noise_size > 0
        Writes the gradient in w into `out`, which is zero on entry.
    dimension : int
        m.
    noise_size : int
        q; 0 for a loss without noise of its own.
    label : str
    """

    loss_function: Callable[..., float]
    gradient_function: Callable[..., None]
    dimension: int
    noise_size: int = 0
    label: str = "user's compiled loss"

    def __post_init__(self) -> None:
        check_sizes(self)
        w, eta = probe(self.dimension)[0], (np.zeros(self.noise_size),) if self.noise_size else ()
        form = "loss(w) -> float, gradient(w, out); with noise loss(w, eta), gradient(w, eta, out)"
        for name, out in (("loss_function", ()), ("gradient_function", (np.zeros(self.dimension),))):
            tried_out(name, getattr(self, name), form, (w, *eta), out)
        check_gradient(self)

    def _compiled(self):
        return _compile(self.loss_function, self.gradient_function, self.noise_size > 0)

    @property
    def kernel(self):
        """Compiled for the user's gradient."""
        return self._compiled()[0]

    def _call(self, function, w, eta, tail):
        lead = np.broadcast_shapes(np.shape(w)[:-1], np.shape(eta)[:-1])
        flat = np.ascontiguousarray(np.broadcast_to(w, (*lead, self.dimension)), dtype=float)
        noise = np.ascontiguousarray(np.broadcast_to(eta, (*lead, self.noise_size)), dtype=float)
        out = np.zeros((math.prod(lead), *tail))
        function(flat.reshape(-1, self.dimension), noise.reshape(len(out), self.noise_size), out)
        return out.reshape((*lead, *tail))

    def loss_of(self, w, eta):
        """The user's loss, one path after the other."""
        return self._call(self._compiled()[1], w, eta, ())

    def noisy_gradient_of(self, w, eta):
        """The user's gradient, one path after the other."""
        return self._call(self._compiled()[2], w, eta, (self.dimension,))

    def hessian(self, w):
        """Hessian, by differences."""
        return hessian_by_differences(self, w)

    def third_contraction(self, w, matrix):
        """Gradient of <matrix, Hessian(w)>, by differences."""
        return contraction(self.gradient, np.asarray(w, float), matrix)

    def noise_matrix(self, w):
        """G, by differences in eta."""
        return derivative(lambda eta: self.noisy_gradient_of(w, eta), self.no_noise(w))

    def own_regulariser(self, w):
        """Half the Laplacian in eta, by differences."""
        return laplacian(lambda eta: self.loss_of(w, eta), self.no_noise(w)) / 2

    def own_regulariser_gradient(self, w):
        """Half the Laplacian in eta of the gradient, by differences."""
        return laplacian(lambda eta: self.noisy_gradient_of(w, eta), self.no_noise(w)) / 2

    def own_fourth_gradient(self, w):
        """Gradient of Reg_4, by differences."""
        return fourth_by_differences(self, w)

    def closed_limit(self, w):
        """Not known."""
        return None

    def conserved(self, w):
        """Not known."""
        return no_quantities(w)


def check_sizes(model) -> None:
    """Check the dimension and the noise size of a frozen model."""
    object.__setattr__(model, "dimension", whole_number("dimension", model.dimension, 1))
    object.__setattr__(model, "noise_size", whole_number("noise_size", model.noise_size, 0))


def check_gradient(model: GeneralLoss) -> None:
    """Compare the gradient with the loss, without noise and with some."""
    for eta in (np.zeros(model.noise_size), probe(model.noise_size)[0])[: 1 + (model.noise_size > 0)]:
        check_derivative(
            "gradient_function",
            lambda points, eta=eta: model.loss_of(points, np.broadcast_to(eta, (len(points), eta.size))),
            lambda w, v, eta=eta: model.noisy_gradient_of(w, eta) @ v, model.dimension,
        )  # fmt: skip


def symmetric_probe(dimension: int) -> np.ndarray:
    """A symmetric matrix (d, d) of order one, always the same."""
    matrix = np.random.Generator(np.random.Philox(21)).standard_normal((dimension, dimension))
    return (matrix + matrix.T) / (2 * np.sqrt(dimension))

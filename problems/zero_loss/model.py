"""What a model with a set of zero loss offers; a regression's derivatives come from those of its predictions."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import points

from ..problem import Objective
from ..tables import checked_rows


class Model(Objective):
    """A loss L(w) >= 0 whose zeros form a set; every method takes w of shape (..., m).

    Attributes
    ----------
    dimension : int
        m, the number of parameters.
    samples : int
        N of a regression, 0 for a general loss.
    label : str
    units : int
        Hidden units that Dropout may act on; 0 where there are none.
    input_size : int
        Features of an input that noise may be added to; 0 where there are none.
    noise_size : int
        Variables eta of a loss L_hat(w, eta) that brings its own noise, else 0.
    kernel : compiled function or None
        kernel(w, data, rows, labels, units, inputs, eta, out, work) writes one path's noisy gradient into `out` (m,);
        None where the model is not compiled. Absent arguments are None.
    kernel_data : tuple of arrays
        The argument `data` of the kernel.
    """

    noise_size: int = 0

    if TYPE_CHECKING:  # read only: a leaf has a field, a class attribute or a property

        @property
        def label(self) -> str: ...

        @property
        def samples(self) -> int: ...

        @property
        def units(self) -> int: ...

        @property
        def input_size(self) -> int: ...

        @property
        def kernel(self) -> Callable[..., Any] | None: ...

    else:
        samples = units = input_size = 0
        kernel = None

    @property
    @abstractmethod
    def kernel_data(self) -> tuple[np.ndarray, ...]:
        """Arrays that the kernel reads."""

    @abstractmethod
    def loss(self, w: np.ndarray) -> np.ndarray:
        """Loss (...)."""

    @abstractmethod
    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient (..., m)."""

    @abstractmethod
    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian (..., m, m)."""

    @abstractmethod
    def third_contraction(self, w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Gradient (..., m) of <matrix, Hessian(w)>, for a symmetric `matrix` (..., m, m) held fixed."""

    @abstractmethod
    def closed_limit(self, w: np.ndarray) -> np.ndarray | None:
        """Limit (..., m) of the gradient flow from w in closed form; None where no such form is known."""

    @abstractmethod
    def conserved(self, w: np.ndarray) -> np.ndarray:
        """Quantities (..., q) that the gradient flow conserves; q is 0 where none is known."""


class MatrixFree(Model):
    """A model that multiplies by its Hessian and third derivative without a matrix of its weights."""

    @abstractmethod
    def hessian_products(self, w: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Hessian(w) times `vectors` (..., k, m), (..., k, m)."""

    @abstractmethod
    def third_products(self, w: np.ndarray, vectors: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """Gradient (..., m) of sum_k factors_k vectors_k' Hessian(w) vectors_k, at points w of the set.

        `vectors` (..., k, m) and `factors` (..., k) are held fixed.
        """


class Regression(MatrixFree):
    """L(w) = (weight / 2) sum_i (f_i(w) - labels_i)^2 over N samples.

    A prediction of a model with hidden units is f_i = sum_j h_ij(w), and Dropout multiplies h_ij: such a model gives
    `unit_outputs(w)` (..., N, h). One with inputs gives `input_gradient(w)`, the gradient (..., N, p) of f_i in its
    input, and `mixed(w)`, the derivative (..., N, p, m) of that. F_i stands for the Hessian of f_i.

    Attributes
    ----------
    inputs : (N, columns) float64 array
    labels : (N,) float64 array
    weight : float
        1 / N, or 1 for a loss that sums over its samples.
    """

    if TYPE_CHECKING:

        @property
        def inputs(self) -> np.ndarray: ...

        @property
        def labels(self) -> np.ndarray: ...

        @property
        def weight(self) -> float: ...

    @abstractmethod
    def predict_with_jacobian(
        self, w: np.ndarray, inputs: np.ndarray | None = None, units: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Predictions (..., S) and their Jacobian (..., S, m), at `inputs` (..., S, columns) with unit multipliers
        `units` (..., 1 or S, h); without them, at the model's own N inputs and with multipliers 1."""

    @abstractmethod
    def predict(self, w: np.ndarray) -> np.ndarray:
        """Predictions (..., N) at the model's own inputs."""

    @abstractmethod
    def pullback(self, w: np.ndarray, slopes_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """J' slopes (..., m), with slopes (..., N) = slopes_of(predictions), and no Jacobian J in between.

        `slopes_of` acts on every row (N,) of predictions alone.
        """

    @abstractmethod
    def prediction_hvp(self, w: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """F_i vectors_i (..., N, m) for `vectors` (..., N, m)."""

    @abstractmethod
    def prediction_hessian_inner(self, w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """<matrix, F_i> (..., N) for a symmetric `matrix` (..., m, m)."""

    @abstractmethod
    def weighted_hessians(self, w: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
        """sum_i coefficients_i F_i (..., m, m) for `coefficients` (..., N)."""

    @abstractmethod
    def hessian_gradient(self, w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Gradient (..., N, m) of <matrix, F_i(w)> for a symmetric `matrix` (..., m, m) held fixed."""

    @property
    def samples(self) -> int:
        """N."""
        return len(self.labels)

    @property
    def kernel_data(self) -> tuple[np.ndarray, ...]:
        """Inputs, labels and the weight (1,)."""
        return self.inputs, self.labels, np.array([self.weight])

    def residual(self, w: np.ndarray) -> np.ndarray:
        """f_i(w) - labels_i, (..., N)."""
        return self.predict(points("w", w, self.dimension, finite=False)) - self.labels

    def loss(self, w: np.ndarray) -> np.ndarray:
        """Loss (...)."""
        return 0.5 * self.weight * (self.residual(w) ** 2).sum(-1)

    def gradient(self, w: np.ndarray) -> np.ndarray:
        """Gradient (..., m)."""
        w = points("w", w, self.dimension, finite=False)
        return self.weight * self.pullback(w, lambda predictions: predictions - self.labels)

    def hessian(self, w: np.ndarray) -> np.ndarray:
        """Hessian (..., m, m)."""
        w = points("w", w, self.dimension, finite=False)
        predictions, jacobian = self.predict_with_jacobian(w)
        return self.weight * (
            jacobian.swapaxes(-1, -2) @ jacobian + self.weighted_hessians(w, predictions - self.labels)
        )

    def hessian_products(self, w: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """weight (J' J v + sum_i residual_i F_i v)."""
        predictions, jacobian = self.predict_with_jacobian(w)
        residual = (predictions - self.labels)[..., None]
        lead = np.broadcast_shapes(jacobian.shape[:-2], vectors.shape[:-2])
        bent = np.empty((*lead, *vectors.shape[-2:]))
        for k in range(vectors.shape[-2]):
            bent[..., k, :] = self.prediction_hvp(w, residual * vectors[..., k, None, :]).sum(-2)
        return self.weight * (vectors @ jacobian.swapaxes(-1, -2) @ jacobian + bent)

    def third_products(self, w: np.ndarray, vectors: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """weight sum_ik factors_k (2 (J_i v_k) F_i v_k + (v_k' F_i v_k) J_i), F_i the Hessian of prediction i."""
        jacobian = self.predict_with_jacobian(w)[1]
        along = jacobian @ vectors.swapaxes(-1, -2) * factors[..., None, :]
        turned = 2 * self.prediction_hvp(w, along @ vectors).sum(-2)
        bends = self.prediction_bends(w, vectors, factors)
        return self.weight * (turned + np.einsum("...i,...ij->...j", bends, jacobian))

    def prediction_bends(self, w: np.ndarray, vectors: np.ndarray, factors: np.ndarray) -> np.ndarray:
        """sum_k factors_k v_k' F_i v_k, (..., N), for `vectors` (..., k, m) and `factors` (..., k)."""
        lead = np.broadcast_shapes(np.shape(w)[:-1], vectors.shape[:-2])
        bends = np.zeros((*lead, self.samples))
        for k in range(vectors.shape[-2]):
            each = np.broadcast_to(vectors[..., k, None, :], (*lead, self.samples, self.dimension))
            bends += factors[..., k, None] * np.einsum("...ij,...ij->...i", each, self.prediction_hvp(w, each))
        return bends

    def third_contraction(self, w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Gradient (..., m) of <matrix, Hessian(w)>."""
        w = points("w", w, self.dimension, finite=False)
        predictions, jacobian = self.predict_with_jacobian(w)
        residual = predictions - self.labels
        return self.weight * (
            2 * self.prediction_hvp(w, jacobian @ matrix).sum(-2)
            + np.einsum("...i,...ij->...j", self.prediction_hessian_inner(w, matrix), jacobian)
            + np.einsum("...i,...ij->...j", residual, self.hessian_gradient(w, matrix))
        )


class NothingConserved(Model):
    """A model of whose flow no conserved quantity is known."""

    def conserved(self, w: np.ndarray) -> np.ndarray:
        """None, (..., 0)."""
        return np.empty((*np.shape(w)[:-1], 0))


class NoClosedLimit(Model):
    """A model whose flow must be followed to find its limit."""

    def closed_limit(self, w: np.ndarray) -> None:
        """Not known."""
        return None


class ByJacobian(Regression):
    """A regression whose Jacobian is at hand wherever its predictions are."""

    def predict(self, w: np.ndarray) -> np.ndarray:
        """Predictions (..., N)."""
        return self.predict_with_jacobian(w)[0]

    def pullback(self, w: np.ndarray, slopes_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """J' slopes (..., m)."""
        predictions, jacobian = self.predict_with_jacobian(w)
        return np.einsum("...i,...ij->...j", slopes_of(predictions), jacobian)


class RowsRegression(Regression):
    """A regression on rows that it holds itself: `features` (N, p) and `labels` (N,), with L a mean over them."""

    features: np.ndarray

    def _keep_rows(self) -> None:
        """Check the rows and make them read-only, when a leaf is made."""
        for name, array in zip(("features", "labels"), checked_rows(self.features, self.labels)):
            object.__setattr__(self, name, array)

    @property
    def inputs(self) -> np.ndarray:
        """The features."""
        return self.features

    @property
    def input_size(self) -> int:
        """p."""
        return self.features.shape[1]

    @property
    def weight(self) -> float:
        """1 / N."""
        return 1 / len(self.labels)


class OneSample(ByJacobian):
    """A regression with one sample without features, label 1 and weight 1."""

    weight = 1.0

    @property
    def inputs(self) -> np.ndarray:
        """No features: (1, 0)."""
        return np.empty((1, 0))

    @property
    def labels(self) -> np.ndarray:
        """One label, 1."""
        return np.ones(1)


class QuadraticPredictions(Regression):
    """A regression whose predictions are quadratic in w."""

    def hessian_gradient(self, w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        """Zero."""
        return np.zeros((*np.shape(w)[:-1], self.samples, self.dimension))


def entry_count(model: Regression, inputs: np.ndarray | None) -> int:
    """Entries of a step: rows of `inputs`, else all samples."""
    return model.samples if inputs is None else inputs.shape[-2]

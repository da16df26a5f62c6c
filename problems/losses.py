"""Losses beyond least squares: logistic regression, and a user's smooth loss given sample by sample.

L(x) = (1/n) sum_i l_i(x); the descended objective adds (ridge / 2) |x|^2. What SGD needs of such a problem:
the gradients of single samples, in NumPy for many paths at once or compiled for one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numba.core.errors import NumbaError

from sgdlimits.exact.errors import (
    InvalidInput,
    MissingLibrary,
    calling,
    finite_array,
    points,
    real_number,
    whole_number,
)

from .sample_loops import (
    logistic_gradient,
    logistic_value,
    mean_gradient,
    mean_value,
    path_gradients,
    path_values,
    weighted_gradient,
)
from .samplings import check_sampling

BLOCK = 2**20  # numbers that one NumPy call on all samples may hold


class SampledProblem(ABC):
    """A mean over n samples of smooth losses; leaves give the losses and gradients of chosen samples.

    `compiled_value(x, i, *data)` and `compiled_gradient(x, i, out, *data)` exist where `compiled` is true.
    """

    samples: int
    dimension: int
    ridge: float
    compiled: bool

    @abstractmethod
    def sample_values(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Losses (P, B) of the samples `rows` (P, B) at positions (P, d), without the ridge."""

    @abstractmethod
    def sample_loss_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of the samples `rows` (P, B) at positions (P, d), without the ridge."""

    @abstractmethod
    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Hessian (d, d) of L at x (d,), without the ridge."""

    def sample_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) that SGD averages over a batch: each with the ridge."""
        return self.sample_loss_gradients(x, rows) + self.ridge * x[:, None, :]

    def risk(self, x: np.ndarray) -> np.ndarray:
        """L at positions (..., d), without the ridge."""
        flat, shape = self._flat(x)
        if self.compiled:
            return mean_value(self.compiled_value, self.data, flat, self.samples).reshape(shape)
        total = sum(self.sample_values(flat, rows).sum(axis=1) for rows in self._all_rows(len(flat)))
        return np.reshape(total / self.samples, shape)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Gradient (..., d) of the descended objective, with the ridge."""
        flat, shape = self._flat(x)
        if self.compiled:
            mean = mean_gradient(self.compiled_gradient, self.data, flat, self.samples)
        else:
            mean = sum(
                self.sample_loss_gradients(flat, rows).sum(axis=1) for rows in self._all_rows(len(flat))
            )
            mean = mean / self.samples
        return np.reshape(mean + self.ridge * flat, (*shape, self.dimension))

    def weighted_gradients(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sum (P, d) over samples of weights (P, n) times gradients at positions (P, d), without the ridge."""
        flat, _ = self._flat(x)
        if self.compiled:
            return weighted_gradient(self.compiled_gradient, self.data, flat, np.ascontiguousarray(weights))
        blocks = self._all_rows(len(flat))
        parts = (
            np.einsum("pb,pbj->pj", weights[:, rows[0]], self.sample_loss_gradients(flat, rows)) for rows in blocks
        )
        return np.asarray(sum(parts))

    def hessian_times_gradient(self, x: np.ndarray) -> np.ndarray:
        """Hessian times gradient (..., d) of the descended objective, by a central difference along the gradient."""
        slope = self.gradient(x)
        length = np.linalg.norm(slope, axis=-1, keepdims=True)
        width = np.cbrt(np.finfo(float).eps) * (1 + np.linalg.norm(x, axis=-1, keepdims=True))
        move = width * slope / np.where(length > 0, length, 1.0)
        return length * (self.gradient(x + move) - self.gradient(x - move)) / (2 * width)

    def gradient_noise_covariance(self, x: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of one sample's gradient at x (d,); the ridge shifts all alike and drops out."""
        x = finite_array("x", x, shape=(self.dimension,))
        gradients = self.sample_loss_gradients(x[None], np.arange(self.samples)[None])[0]
        deviations = gradients - gradients.mean(axis=0)
        return deviations.T @ deviations / self.samples

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """Return the batch size if it can be drawn under this sampling."""
        return check_sampling(batch_size, sampling, self.samples)

    def _flat(self, x: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        """Positions as (P, d), and the leading shape they had; positions that overflowed pass."""
        x = points("x", x, self.dimension, finite=False)
        return np.ascontiguousarray(x.reshape(-1, self.dimension)), x.shape[:-1]

    def _all_rows(self, paths: int) -> Iterator[np.ndarray]:
        """All samples in blocks (P, b) whose gradients fit in memory."""
        length = max(1, BLOCK // (paths * self.dimension))
        for first in range(0, self.samples, length):
            rows = np.arange(first, min(first + length, self.samples))
            yield np.broadcast_to(rows, (paths, rows.size))


@dataclass(frozen=True, eq=False, repr=False)
class Logistic(SampledProblem):
    """Logistic regression: l_i(x) = log(1 + exp(-y_i a_i.x)) with y_i = -1 or +1.

    Parameters
    ----------
    features : array (n, d)
    labels : array (n,)
        0 and 1, or -1 and +1.
    ridge : float

    Raises
    ------
    InvalidInput
        If a shape is wrong, or the labels are neither 0/1 nor -1/+1.
    """

    features: np.ndarray
    labels: np.ndarray
    ridge: float = 0.0
    compiled: bool = True

    def __post_init__(self) -> None:
        features = np.array(finite_array("features", self.features, ndim=2), order="C")
        if 0 in features.shape:
            raise InvalidInput(
                f"features must have at least one row and one column, got shape {features.shape}"
            )
        labels = np.array(finite_array("labels", self.labels, shape=(len(features),)))
        found = np.unique(labels)
        if not (np.isin(found, (0, 1)).all() or np.isin(found, (-1, 1)).all()):
            raise InvalidInput(
                f"labels must be 0 and 1, or -1 and +1, got values such as {found[:4].tolist()}"
            )
        labels = np.where(labels > 0, 1.0, -1.0)
        for key, value in (("features", features), ("labels", labels)):
            value.setflags(write=False)
            object.__setattr__(self, key, value)
        object.__setattr__(self, "ridge", real_number("ridge", self.ridge))

    @classmethod
    def from_arrays(cls, A: np.ndarray, b: np.ndarray, ridge: float = 0.0) -> Logistic:
        """Use A (n, d) and labels b (n,) exactly as they are."""
        return cls(A, b, ridge)

    compiled_value = staticmethod(logistic_value)
    compiled_gradient = staticmethod(logistic_gradient)

    @property
    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """What the compiled functions take behind their own arguments."""
        return self.features, self.labels

    @property
    def samples(self) -> int:
        """Number of samples n."""
        return self.features.shape[0]

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.features.shape[1]

    def sample_values(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Losses (P, B) of the samples `rows` (P, B) at positions (P, d)."""
        return np.logaddexp(0.0, -self._margins(x, rows))

    def sample_loss_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of the samples `rows` (P, B) at positions (P, d)."""
        pull = self.labels[rows] * _logistic(-self._margins(x, rows))
        return -pull[:, :, None] * self.features[rows]

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Hessian (d, d) of L at x (d,), without the ridge."""
        margins = self.features @ finite_array("x", x, shape=(self.dimension,)) * self.labels
        weights = _logistic(margins) * _logistic(-margins)
        return (self.features * weights[:, None]).T @ self.features / self.samples

    @cached_property
    def minimiser(self) -> np.ndarray:
        """Minimiser (d,) of the descended objective by Newton's method; of least norm where it is not unique.

        Raises
        ------
        InvalidInput
            If there is none: the ridge is negative, or there is no ridge and the labels can be separated.
        """
        if self.ridge < 0:
            raise InvalidInput(
                f"ridge is {self.ridge!r}, so the objective has no minimum; take a ridge of at least 0"
            )
        x = np.zeros(self.dimension)
        for _ in range(100):
            slope = self.gradient(x)
            curvature = self.hessian(x) + self.ridge * np.eye(self.dimension)
            move = -np.linalg.lstsq(curvature, slope, rcond=1e-13)[0]
            length, start, descent = 1.0, self._objective(x), slope @ move
            while (
                length > 1e-4 and self._objective(x + length * move) > start + 1e-4 * length * descent + 1e-15
            ):
                length /= 2
            x = x + length * move
            if length == 1.0 and np.linalg.norm(move) <= 1e-10 * (1 + np.linalg.norm(x)):
                return x
        raise InvalidInput("the labels can be separated, so the loss has no minimiser; add a ridge")

    def _objective(self, x: np.ndarray) -> float:
        return float(self.risk(x) + 0.5 * self.ridge * (x @ x))

    def _margins(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        return np.einsum("pbj,pj->pb", self.features[rows], x) * self.labels[rows]

    def __repr__(self) -> str:
        return f"Logistic(n={self.samples}, d={self.dimension}, ridge={self.ridge:g})"


@dataclass(frozen=True, eq=False, repr=False)
class SampleLoss(SampledProblem):
    """A user's smooth loss, given sample by sample.

    Parameters
    ----------
    value : callable
        NumPy form: (x (P, d), rows (P, B)) -> losses (P, B). Compiled form: (x (d,), i) -> float.
    gradient_of_sample : callable
        NumPy form: (x (P, d), rows (P, B)) -> (P, B, d). Compiled form: (x (d,), i, out (d,)) -> None.
    samples : int
        n; rows run from 0 to n - 1.
    dimension : int
        d.
    ridge : float
    compiled : bool
        Both functions are compiled with numba.njit; much faster.

    Raises
    ------
    InvalidInput
        If a function returns another shape (looked at here and at every call), or is not compiled.
    """

    value: Callable[..., Any]
    gradient_of_sample: Callable[..., Any]
    samples: int
    dimension: int
    ridge: float = 0.0
    compiled: bool = False

    def __init__(
        self,
        value: Callable[..., Any],
        gradient: Callable[..., Any],
        samples: int,
        dimension: int,
        ridge: float = 0.0,
        compiled: bool = False,
    ) -> None:
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "gradient_of_sample", gradient)
        object.__setattr__(self, "samples", whole_number("samples", samples, 1))
        object.__setattr__(self, "dimension", whole_number("dimension", dimension, 1))
        object.__setattr__(self, "ridge", real_number("ridge", ridge))
        object.__setattr__(self, "compiled", bool(compiled))
        for name, function in (("value", value), ("gradient", gradient)):
            if not callable(function):
                raise InvalidInput(f"{name} must be a function, got {type(function).__name__}")
            if compiled and not hasattr(function, "py_func"):
                raise InvalidInput(
                    f"compiled is set, but {name} is not compiled; decorate it with numba.njit"
                )
        x, rows = np.zeros((2, self.dimension)), np.zeros((2, 3), dtype=np.int64)
        try:
            with np.errstate(all="ignore"):  # zero need not be a point where the loss is finite
                self.sample_values(x, rows)
                self.sample_loss_gradients(x, rows)
        except NumbaError as error:
            raise InvalidInput(
                "value or gradient cannot be compiled for x (d,) float64 and i int64; they must be "
                f"value(x, i) -> float and gradient(x, i, out) -> None. numba says: {error}"
            ) from None

    data = ()

    @classmethod
    def from_torch(
        cls, loss: Callable[..., Any], inputs: tuple[np.ndarray, ...], dimension: int, ridge: float = 0.0
    ) -> SampleLoss:
        """A loss written in torch: `loss(x (d,), *sample)` gives a number; each array of `inputs` has n rows.

        The derivatives come from torch.func, in double precision, for all paths and samples at once.

        Raises
        ------
        MissingLibrary
            If torch is not installed.
        """
        try:
            import torch
        except ImportError:
            raise MissingLibrary("a loss in torch needs torch, which is not installed: pip install torch") from None
        tensors = tuple(torch.as_tensor(np.ascontiguousarray(values)) for values in inputs)
        over = (None, *(0 for _ in tensors))
        value = torch.func.vmap(torch.func.vmap(loss, in_dims=over), in_dims=(0, *over[1:]))
        slope = torch.func.vmap(torch.func.vmap(torch.func.grad(loss), in_dims=over), in_dims=(0, *over[1:]))

        def at(function: Callable[..., Any], x: np.ndarray, rows: np.ndarray) -> np.ndarray:
            chosen = torch.as_tensor(np.ascontiguousarray(rows))
            with torch.no_grad():
                return function(torch.as_tensor(x), *(values[chosen] for values in tensors)).numpy()

        losses, slopes = (lambda x, rows, f=function: at(f, x, rows) for function in (value, slope))
        return cls(losses, slopes, len(inputs[0]), dimension, ridge)

    @property
    def compiled_value(self) -> Callable[..., Any]:
        """(x (d,), i) -> float."""
        return self.value

    @property
    def compiled_gradient(self) -> Callable[..., Any]:
        """(x (d,), i, out (d,)) -> None."""
        return self.gradient_of_sample

    def sample_values(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Losses (P, B) of the samples `rows` (P, B) at positions (P, d)."""
        if self.compiled:
            return path_values(self.value, x, rows)
        with calling("value"):
            result = self.value(x, rows)
        return _shaped("value", result, x, rows, rows.shape)

    def sample_loss_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of the samples `rows` (P, B) at positions (P, d)."""
        if self.compiled:
            return path_gradients(self.gradient_of_sample, x, rows)
        with calling("gradient"):
            result = self.gradient_of_sample(x, rows)
        return _shaped("gradient", result, x, rows, (*rows.shape, self.dimension))

    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Hessian (d, d) of L at x (d,) by central differences of the gradient, without the ridge."""
        x = finite_array("x", x, shape=(self.dimension,))
        widths = np.cbrt(np.finfo(float).eps) * np.maximum(1.0, np.abs(x))
        moves = np.diag(widths)
        slopes = (self.gradient(x + moves) - self.gradient(x - moves)) / (2 * widths[:, None])
        return (slopes + slopes.T) / 2 - self.ridge * np.eye(self.dimension)

    def __repr__(self) -> str:
        form = "compiled" if self.compiled else "NumPy"
        return f"SampleLoss(n={self.samples}, d={self.dimension}, ridge={self.ridge:g}; {form})"


def _shaped(name: str, result: Any, x: np.ndarray, rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The user's result as a float array, if it has the shape that it must have."""
    try:
        array = np.asarray(result, dtype=np.float64)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} returned {type(result).__name__}, not an array of numbers") from None
    if array.shape != shape:
        raise InvalidInput(
            f"{name} returned shape {array.shape} for x of shape {x.shape} and rows of shape {rows.shape}; "
            f"it must return {shape}"
        )
    return array


def _logistic(t: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-t)), without overflow and to full relative precision."""
    return np.exp(-np.logaddexp(0.0, -t))

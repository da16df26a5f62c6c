"""Losses beyond least squares: means over samples whose losses and gradients can be asked one by one.

L(x) = (1/n) sum_i l_i(x); the descended objective adds (ridge / 2) |x|^2. What SGD needs of such a problem:
the gradients of single samples, in NumPy for many paths at once or compiled for one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sgdlimits.ensembles.philox import PACK
from sgdlimits.exact.errors import InvalidInput, finite_array, points
from sgdlimits.exact.numerical_derivatives import derivative, slope_along

from .problem import Problem
from .sample_loops import mean_gradient, mean_gradient_squares, mean_value, weighted_gradient
from .samplings import check_sampling

BLOCK = 2**20  # numbers that one NumPy call on all samples may hold


class SampledProblem(Problem):
    """A mean over samples of smooth losses; leaves give the losses and gradients of chosen samples.

    Where `compiled` is true there are `compiled_value(x, i, *data)` -> float and `compiled_gradient(x, i, out, *data)`,
    which finds `out` filled with zeros.

    Attributes
    ----------
    samples : int
        Samples that rows 0 ... samples - 1 name.
    evaluated : int
        The first so many make up `risk` and `gradient`: all of them, but of an endless source.
    data : tuple of arrays
        What the compiled functions take behind their own arguments.
    """

    sampled: ClassVar[bool] = True

    if TYPE_CHECKING:  # read only: a leaf has a field, a class attribute or a property

        @property
        def samples(self) -> int: ...

        @property
        def compiled_value(self) -> Callable[..., float]: ...

        @property
        def compiled_gradient(self) -> Callable[..., None]: ...

    @property
    @abstractmethod
    def data(self) -> tuple[np.ndarray, ...]:
        """Arrays that the compiled functions read."""

    @property
    @abstractmethod
    def evaluated(self) -> int:
        """Samples that `risk` and `gradient` are means over."""

    @abstractmethod
    def sample_values(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Losses (P, B) of the samples `rows` (P, B) at positions (P, d), without the ridge."""

    @abstractmethod
    def sample_loss_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) of the samples `rows` (P, B) at positions (P, d), without the ridge."""

    @abstractmethod
    def summed_gradients(self, x: np.ndarray, rows: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum (P, d) over samples `rows` (P, B) of their gradients, times `weights` (P, B), without the ridge."""

    @property
    @abstractmethod
    def row_size(self) -> int:
        """Numbers that the gradient of a path takes in memory for each sample."""

    @property
    @abstractmethod
    def own_blocks(self) -> bool:
        """Whether what sums over samples cuts them into blocks itself, the same ones whatever the paths."""

    @property
    @abstractmethod
    def alone(self) -> bool:
        """Whether the bits of a path's risk and gradients of all samples do not depend on the other paths."""

    @property
    @abstractmethod
    def mean_products(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
        """(x (P, d), directions (P, d)) -> Hessians of L, without the ridge, times directions; None: by differences."""

    @abstractmethod
    def hessian(self, x: np.ndarray) -> np.ndarray:
        """Hessian (d, d) of L at x (d,), without the ridge."""

    @property
    @abstractmethod
    def exact_hessians(self) -> bool:
        """Whether `hessian_product` is no difference of gradients."""

    @abstractmethod
    def hessian_product(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Hessian of L at x (d,), without the ridge, times a direction (d,)."""

    @abstractmethod
    def batch_hessians(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Mean Hessians (P, d, d) of the samples `rows` (P, B) at positions (P, d), without the ridge."""

    @abstractmethod
    def batch_hessian_products(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Mean Hessians of the samples `rows` (P, B) at (P, d), without the ridge, times directions (P, m, d)."""

    def gradient_products(self, x: np.ndarray, centred: bool) -> np.ndarray:
        """Mean of g g^T over the gradients g of all samples, with the ridge, or covariance, (P, d, d) at (P, d)."""
        total = np.zeros((*x.shape, self.dimension))
        mean = self._mean_gradient(x) if centred else -self.ridge * x
        for rows in self._all_rows(len(x)):
            apart = self.sample_loss_gradients(x, rows) - mean[:, None]
            total += apart.swapaxes(1, 2) @ apart
        return total / self.evaluated

    def slopes_along(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Gradients of all samples, without the ridge, at positions (P, d) times directions (P, d): (P, n)."""
        blocks = (self._slopes_along(x, rows, directions) for rows in self._all_rows(len(x), self.row_size))
        return np.concatenate(list(blocks), axis=1)

    @abstractmethod
    def _slopes_along(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """The same (P, B) of the samples `rows` (P, B)."""

    def sample_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, B, d) that SGD averages over a batch: each with the ridge."""
        return self.sample_loss_gradients(x, rows) + self.ridge * x[:, None, :]

    def batch_gradients(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Gradients (P, d) of batches `rows` (P, B) that SGD descends, with the ridge."""
        mean = self.summed_gradients(x, rows) / rows.shape[1]
        return mean + self.ridge * x if self.ridge else mean

    def risk(self, x: np.ndarray) -> np.ndarray:
        """L at positions (..., d), without the ridge."""
        flat, shape = self._flat(x)
        if self.compiled:
            return mean_value(self.compiled_value, self.data, flat, self.evaluated).reshape(shape)
        total = np.zeros(len(flat))
        for some in self._groups(len(flat)):
            for rows in self._all_rows(len(flat[some]), self.row_size):
                total[some] += self.sample_values(flat[some], rows).sum(axis=1)
        return np.reshape(total / self.evaluated, shape)

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Gradient (..., d) of the descended objective, with the ridge."""
        flat, shape = self._flat(x)
        return np.reshape(self._mean_gradient(flat) + self.ridge * flat, (*shape, self.dimension))

    def _mean_gradient(self, flat: np.ndarray) -> np.ndarray:
        """Gradient (P, d) of L, without the ridge, at positions (P, d)."""
        if self.compiled:
            return mean_gradient(self.compiled_gradient, self.data, flat, self.evaluated)
        total = self._added(self.summed_gradients(flat, rows) for rows in self._all_rows(len(flat), self.row_size))
        total /= self.evaluated
        return total

    def weighted_gradients(self, x: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Sum (P, d) over samples of weights (P, n) times gradients at positions (P, d), without the ridge."""
        flat, _ = self._flat(x)
        if self.compiled:
            return weighted_gradient(self.compiled_gradient, self.data, flat, np.ascontiguousarray(weights))
        blocks = self._all_rows(len(flat), self.row_size)
        return self._added(self.summed_gradients(flat, rows, weights[:, rows[0]]) for rows in blocks)

    @staticmethod
    def _added(parts: Iterator[np.ndarray]) -> np.ndarray:
        """The sum of fresh arrays, in the first of them."""
        total = next(parts)
        for part in parts:
            total += part
        return total

    def gradient_variances(self, x: np.ndarray) -> np.ndarray:
        """Variance (..., d) of each coordinate of one sample's gradient at positions (..., d)."""
        flat, shape = self._flat(x)
        if self.compiled:
            mean, squares = mean_gradient_squares(self.compiled_gradient, self.data, flat, self.evaluated)
        else:
            mean, squares = np.zeros_like(flat), np.zeros_like(flat)
            for rows in self._all_rows(len(flat)):
                gradients = self.sample_loss_gradients(flat, rows)
                mean += gradients.sum(axis=1) / self.evaluated
                squares += np.square(gradients).sum(axis=1) / self.evaluated
        return np.reshape(np.maximum(squares - mean * mean, 0.0), (*shape, self.dimension))

    def hessian_times_gradient(self, x: np.ndarray, slope: np.ndarray | None = None) -> np.ndarray:
        """Hessian times gradient (..., d) of the descended objective: by products, or differences along the gradient.

        `slope` is the gradient there, if it is known.
        """
        slope, products = self.gradient(x) if slope is None else slope, self.mean_products
        if products is not None:
            flat, shape = self._flat(x)
            along = slope.reshape(flat.shape)
            return np.reshape(products(flat, along) + self.ridge * along, (*shape, self.dimension))
        length = np.linalg.norm(slope, axis=-1, keepdims=True)
        return length * slope_along(self.gradient, x, slope / np.where(length > 0, length, 1.0))

    def _hessian_by_differences(self, x: np.ndarray) -> np.ndarray:
        """Hessian (d, d) of L at x (d,), without the ridge, from the gradient."""
        full = derivative(lambda point: self.gradient(point) - self.ridge * point, x)
        return (full + full.T) / 2

    def _batch_hessians_by_differences(self, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """`batch_hessians` from the gradients."""
        full = derivative(lambda points: self.sample_loss_gradients(points, rows).mean(axis=1), x)
        return (full + full.swapaxes(1, 2)) / 2

    def _batch_products_by_differences(self, x: np.ndarray, rows: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """`batch_hessian_products` from the gradients."""
        P, m, d = directions.shape
        lengths = np.linalg.norm(directions, axis=-1, keepdims=True)
        units = (directions / np.where(lengths > 0, lengths, 1.0)).reshape(P * m, d)
        chosen = np.repeat(rows, m, axis=0)
        slopes = slope_along(lambda points: self.summed_gradients(points, chosen), np.repeat(x, m, axis=0), units)
        return lengths * slopes.reshape(P, m, d) / rows.shape[1]

    def _hessian_product_by_differences(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """`hessian_product` from the gradient."""
        length = float(np.linalg.norm(direction))
        if not length:
            return np.zeros(self.dimension)
        return length * slope_along(lambda point: self.gradient(point) - self.ridge * point, x, direction / length)

    def gradient_noise_covariance(self, x: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of one sample's gradient at x (d,); the ridge shifts all alike and drops out."""
        x = finite_array("x", x, shape=(self.dimension,))
        mean = self._mean_gradient(x[None])[0]
        total = np.zeros((self.dimension, self.dimension))
        for rows in self._all_rows(1):
            deviations = self.sample_loss_gradients(x[None], rows)[0] - mean
            total += deviations.T @ deviations
        return total / self.evaluated

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """Return the batch size if it can be drawn under this sampling."""
        if self.single_pass and sampling != "reshuffle":
            raise InvalidInput(
                f"sampling is {sampling!r}, but a run meets each sample of this problem once at most: take 'reshuffle'"
            )
        return check_sampling(batch_size, sampling, None if self.endless else self.samples)

    def _flat(self, x: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
        """Positions as (P, d), and the leading shape they had; positions that overflowed pass."""
        x = points("x", x, self.dimension, finite=False)
        return np.ascontiguousarray(x.reshape(-1, self.dimension)), x.shape[:-1]

    def _groups(self, paths: int) -> Iterator[slice]:
        """Paths whose outputs are held at once: a pack, or all where samples are cut by the number of paths."""
        size = PACK if self.own_blocks else max(1, paths)
        return (slice(first, first + size) for first in range(0, paths, size))

    def _all_rows(self, paths: int, size: int = 0) -> Iterator[np.ndarray]:
        """All samples in blocks (P, b) whose gradients, or so many numbers for each, fit in memory."""
        together = 1 / PACK if size and self.own_blocks else paths
        length = max(1, int(BLOCK / (together * (size or self.dimension))))
        for first in range(0, self.evaluated, length):
            rows = np.arange(first, min(first + length, self.evaluated))
            yield np.broadcast_to(rows, (paths, rows.size))


def along(gradients: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Gradients (P, B, d) times directions (P, d): (P, B)."""
    return (gradients @ directions[..., None])[..., 0]


def summed(gradients: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    """Sum (P, d) of gradients (P, B, d), times weights (P, B)."""
    return gradients.sum(axis=1) if weights is None else np.einsum("pb,pbj->pj", weights, gradients)

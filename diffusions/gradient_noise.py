"""The gradient of a batch as a diffusion sees it: its mean, its variances, and noise of its covariance.

Noise is made as a product with standard normals; a matrix for each path is formed only where a scheme asks for one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from types import SimpleNamespace
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.linear_maps import unpack_symmetric
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.samplings import sampling_factor
from sgdlimits.problems.streaming import StreamingLeastSquares

from .linear_forms import root_of, semidefinite_cholesky
from .solvers.coefficients import products_of_one


class BatchGradient(ABC):
    """Mean, variances and noise of the batch's gradient at positions x (P, d)."""

    @property
    @abstractmethod
    def normals(self) -> int:
        """m, the standard normals that a draw takes."""

    @abstractmethod
    def mean(self, x: np.ndarray) -> np.ndarray:
        """Gradient (P, d) of what is descended."""

    @abstractmethod
    def variances(self, x: np.ndarray) -> np.ndarray:
        """Variance (P, d) of each coordinate of the batch's gradient."""

    @abstractmethod
    def noise(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        """R w (P, d) for w (P, m), with R R^T the covariance of the batch's gradient."""

    @abstractmethod
    def root(self, x: np.ndarray) -> np.ndarray:
        """R (P, d, m)."""


def batch_gradient(problem: Any, batch_size: int, sampling: str, label_noise: float) -> BatchGradient:
    """That of SGD with these settings.

    Raises
    ------
    InvalidInput
        If steps are not independent, or the covariance is not known.
    """
    if sampling == "reshuffle":
        raise InvalidInput(
            "sampling is 'reshuffle', whose steps are not independent, and a diffusion has independent noise: take "
            "'with_replacement' or 'without_replacement'"
        )
    problem.check_batch_size(batch_size, sampling)
    if isinstance(problem, (LeastSquares, StreamingLeastSquares)):
        factor = problem.sampling_factor(batch_size, sampling)
        labels = label_noise / np.sqrt(batch_size)
        if isinstance(problem, StreamingLeastSquares):
            return StreamGradient(problem, factor, labels)
        if not factor:
            return FullGradient(problem, factor, labels)
        kind = TabulatedGradient if problem.table_pays else RowsGradient
        return kind(problem, factor, labels)
    if problem.quadratic and problem.additive:
        if label_noise:
            problem.gradient_noise_map(1.0, label_noise**2)  # refuses
        return AdditiveGradient(problem, problem.sampling_factor(batch_size, sampling), 0.0)
    if not problem.sampled or problem.endless:
        raise InvalidInput(
            f"the covariance of the gradient is made of the gradients of all samples, which {type(problem).__name__} "
            "does not give: take stored rows (problems.sources.Rows), or StreamingLeastSquares, whose covariance is "
            "known"
        )
    if label_noise:
        raise InvalidInput(
            f"label_noise is {label_noise!r}, but only least squares has labels to add it to; write it into the loss "
            "instead"
        )
    return SampledGradient(problem, sampling_factor(batch_size, sampling, problem.samples))


def product(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Rows matrix @ x (P, m) of rows x (P, d), matrix (m, d); the bits of a row do not depend on P."""
    out = np.empty((len(x), len(matrix)))
    products_of_one(np.ascontiguousarray(matrix.T), np.ascontiguousarray(x), out)
    return out


@dataclass(frozen=True, eq=False)
class QuadraticGradient(BatchGradient):
    """Of least squares: covariance factor * C(x) + labels^2 H.

    Attributes
    ----------
    problem : QuadraticProblem
    factor : float
    labels : float
        Standard deviation of the labels' noise over the root of the batch size.
    """

    problem: Any
    factor: float
    labels: float

    @cached_property
    def descended(self) -> np.ndarray:
        """Hessian (d, d) of what is descended."""
        vectors = self.problem.eigenvectors
        return (vectors * self.problem.curvatures) @ vectors.T

    @cached_property
    def spread(self) -> np.ndarray:
        """A root (d, d) of H."""
        return self.problem.eigenvectors * np.sqrt(self.problem.eigenvalues)

    @cached_property
    def diagonal(self) -> np.ndarray:
        """Diagonal (d,) of H."""
        return np.square(self.spread).sum(axis=1)

    def mean(self, x: np.ndarray) -> np.ndarray:
        return product(x - self.problem.minimiser, self.descended)


class FullGradient(QuadraticGradient):
    """Every row in every batch: only the labels are random, and the noise is Gaussian and the same everywhere."""

    @property
    def normals(self) -> int:
        return self.problem.dimension

    def variances(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.labels**2 * self.diagonal, x.shape)

    def noise(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return product(w, self.labels * self.spread)

    def root(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self.labels * self.spread, (len(x), *self.spread.shape))


class AdditiveGradient(QuadraticGradient):
    """Of one covariance everywhere: a noisy quadratic, or a quadratic about a minimum."""

    @property
    def normals(self) -> int:
        return self.problem.dimension

    @cached_property
    def _covariance(self) -> np.ndarray:
        vectors, d = self.problem.eigenvectors, self.problem.dimension
        inner = self.problem.noise_covariance_map(np.zeros((d, d)), np.zeros(d))
        return self.factor * vectors @ inner @ vectors.T

    @cached_property
    def _root(self) -> np.ndarray:
        return root_of(self._covariance)

    def variances(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(np.diagonal(self._covariance), x.shape)

    def noise(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return product(w, self._root)

    def root(self, x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(self._root, (len(x), *self._root.shape))


class RowsGradient(QuadraticGradient):
    """One normal a sample, and d of the labels where they are random."""

    @property
    def normals(self) -> int:
        return self.problem.samples + (self.problem.dimension if self.labels else 0)

    def _residuals(self, x: np.ndarray) -> np.ndarray:
        return product(x, self.problem.features) - self.problem.targets

    def variances(self, x: np.ndarray) -> np.ndarray:
        residuals, columns = self._residuals(x), np.ascontiguousarray(self.problem.features.T)
        n = self.problem.samples
        squares = product(np.square(residuals), np.square(columns)) / n
        covered = np.maximum(squares - np.square(product(residuals, columns) / n), 0.0)
        return self.factor * covered + self.labels**2 * self.diagonal

    def noise(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        n = self.problem.samples
        weights = w[:, :n] - w[:, :n].mean(axis=1, keepdims=True)
        columns = np.ascontiguousarray(self.problem.features.T)
        found = np.sqrt(self.factor / n) * product(weights * self._residuals(x), columns)
        return found + product(w[:, n:], self.labels * self.spread) if self.labels else found

    def root(self, x: np.ndarray) -> np.ndarray:
        gradients = self._residuals(x)[:, :, None] * self.problem.features
        gradients -= gradients.mean(axis=1, keepdims=True)
        columns = np.sqrt(self.factor / self.problem.samples) * np.swapaxes(gradients, 1, 2)
        if not self.labels:
            return columns
        own = np.broadcast_to(self.labels * self.spread, (len(x), *self.spread.shape))
        return np.concatenate([columns, own], axis=2)


class TabulatedGradient(RowsGradient):
    """Of so many samples that d normals and a root of the covariance cost less than one normal a sample."""

    @property
    def normals(self) -> int:
        return self.problem.dimension

    @cached_property
    def _table(self) -> np.ndarray:
        rows, columns = np.triu_indices(self.problem.dimension)
        table = self.factor * self.problem.fourth_moments
        table[rows == columns, -1] += self.labels**2 * self.problem.eigenvalues
        return table

    def noise(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return (self.root(x) * w[:, None, :]).sum(axis=2)

    def root(self, x: np.ndarray) -> np.ndarray:
        d, vectors = self.problem.dimension, self.problem.eigenvectors
        modes = product(x - self.problem.minimiser, np.ascontiguousarray(vectors.T))
        ones = np.concatenate([modes, np.ones((len(x), 1))], axis=1)
        rows, columns = np.triu_indices(d + 1)
        packed = product(ones[:, rows] * ones[:, columns], self._table)
        return vectors @ semidefinite_cholesky(np, SimpleNamespace(eye=np.eye(d)), unpack_symmetric(packed, d))


class StreamGradient(QuadraticGradient):
    """Of Gaussian features: the gradient times one common normal, and sqrt(2 L) sqrt(H) times d of them."""

    @property
    def normals(self) -> int:
        return self.problem.dimension + 1

    @cached_property
    def _hessian(self) -> np.ndarray:
        return np.ascontiguousarray(self.spread @ self.spread.T)

    def _slope_and_level(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """H e (P, d), and what H is multiplied by (P, 1), e the distance from the truth."""
        away = x - self.problem.truth
        slope = product(away, self._hessian)
        level = (away * slope).sum(axis=1, keepdims=True) + self.problem.noise**2
        return slope, self.factor * level + self.labels**2

    def variances(self, x: np.ndarray) -> np.ndarray:
        slope, level = self._slope_and_level(x)
        return self.factor * np.square(slope) + level * self.diagonal

    def noise(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        slope, level = self._slope_and_level(x)
        return np.sqrt(self.factor) * slope * w[:, :1] + np.sqrt(level) * product(w[:, 1:], self.spread)

    def root(self, x: np.ndarray) -> np.ndarray:
        slope, level = self._slope_and_level(x)
        pull = np.sqrt(self.factor) * slope[:, :, None]
        return np.concatenate([pull, np.sqrt(level)[..., None] * self.spread], axis=2)


@dataclass(frozen=True, eq=False)
class SampledGradient(BatchGradient):
    """Of a loss given sample by sample, factor times the covariance over its samples: one normal a sample.

    The noise is a gradient whose samples have Gaussian weights of sum 0, so that its covariance is that of a batch,
    whatever the mean gradient; no matrix with a row for each sample is made.
    """

    problem: Any
    factor: float

    @property
    def normals(self) -> int:
        return self.problem.samples

    def mean(self, x: np.ndarray) -> np.ndarray:
        return self.problem.gradient(x)

    def variances(self, x: np.ndarray) -> np.ndarray:
        return self.factor * self.problem.gradient_variances(x)

    def noise(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return self.problem.weighted_gradients(x, self._weights(w))

    def descent(self, x: np.ndarray, w: np.ndarray, length: float, scale: float) -> np.ndarray:
        """-length times the mean and scale times the noise (P, d): one gradient in all, of weighted samples."""
        weights = scale * self._weights(w) - length / self.problem.samples
        moved = self.problem.weighted_gradients(x, weights)
        if self.problem.ridge:
            moved -= length * self.problem.ridge * x
        return moved

    def variance_along(self, x: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """Variance (P,) of the batch's gradient times directions (P, d)."""
        return self.factor * self.problem.slopes_along(x, directions).var(axis=1)

    def _weights(self, w: np.ndarray) -> np.ndarray:
        """Weights (P, n) of the samples, of sum 0."""
        return np.sqrt(self.factor / self.problem.samples) * (w - w.mean(axis=1, keepdims=True))

    def root(self, x: np.ndarray) -> np.ndarray:
        n = self.problem.samples
        gradients = self.problem.sample_loss_gradients(x, np.broadcast_to(np.arange(n), (len(x), n)))
        gradients = gradients - gradients.mean(axis=1, keepdims=True)
        return np.sqrt(self.factor / n) * np.swapaxes(gradients, 1, 2)

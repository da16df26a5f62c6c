"""A smooth loss about one of its minima, sample by sample to second order: gradient noise that depends on the place."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.noise_maps import NoiseMap, Structure
from sgdlimits.exact.numerical_derivatives import derivative

from .local_quadratic import LocalQuadratic
from .quadratic import QuadraticProblem
from .sampled import SampledProblem
from .streaming import StreamingLeastSquares


@dataclass(frozen=True, eq=False)
class ExpandedNoise(NoiseMap):
    """factor * covariance of g_i + H_i z over samples, z the modes.

    Attributes
    ----------
    gradients : (n, d) array
        g_i, of mean zero up to the ridge.
    hessians : (n, d, d) array
        H_i.
    factor : float
    """

    gradients: np.ndarray
    hessians: np.ndarray
    factor: float
    structure: ClassVar[Structure] = Structure.GENERAL

    def __call__(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        n, d = self.gradients.shape
        slope, hessian = self.gradients.mean(axis=0), self.hessians.mean(axis=0)
        moved = self.hessians @ second  # (n, d, d)
        flat = np.ascontiguousarray(np.swapaxes(moved, 0, 1)).reshape(d, n * d)
        spread = flat @ np.ascontiguousarray(np.swapaxes(self.hessians, 0, 1)).reshape(d, n * d).T / n
        shifted = self.hessians @ mean  # (n, d)
        cross = shifted.T @ self.gradients / n
        square = spread + cross + cross.T + self.gradients.T @ self.gradients / n
        whole = hessian @ mean
        about = np.outer(whole, slope)
        square -= hessian @ second @ hessian + about + about.T + np.outer(slope, slope)
        return self.factor * (square + square.T) / 2


@dataclass(frozen=True, eq=False, repr=False)
class LocalExpansion(QuadraticProblem):
    """The second-order Taylor polynomial of every sample's loss about a minimum m of the descended objective.

    A sample's gradient is g_i + H_i (x - m), so that the covariance C(x) of the noise is quadratic in x - m, and the
    stationary law finds its own E C. Of least squares it is the problem itself. `risk` is the mean of the polynomials.

    Parameters
    ----------
    problem : SampledProblem
    point : (d,) array, optional
        As in `LocalQuadratic`.

    Raises
    ------
    InvalidInput
        If no minimum is found, or the Hessians of all samples do not fit into memory.
    """

    local: LocalQuadratic
    endless: bool = False

    def __init__(self, problem: SampledProblem, point: Any = None) -> None:
        object.__setattr__(self, "local", LocalQuadratic(problem, point))
        size = 8.0 * 3 * problem.samples * problem.dimension**2
        check_memory(
            f"the Hessians of {problem.samples} samples", size,
            "take LocalQuadratic, whose noise is that of the minimum",
        )  # fmt: skip

    @property
    def problem(self) -> SampledProblem:
        """The loss."""
        return self.local.problem

    @property
    def ridge(self) -> float:  # type: ignore[override]
        """Of the loss."""
        return self.local.ridge

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the d parameters."""
        return self.local.coordinates

    @property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """As of `LocalQuadratic`."""
        return self.local.spectrum

    @property
    def minimiser(self) -> np.ndarray:
        """The minimum (d,)."""
        return self.local.minimiser

    @property
    def risk_at_minimiser(self) -> float:
        """L there."""
        return self.local.risk_at_minimiser

    @property
    def least_risk_point(self) -> np.ndarray:
        """As of `LocalQuadratic`."""
        return self.local.least_risk_point

    @property
    def least_risk(self) -> float:
        """As of `LocalQuadratic`."""
        return self.local.least_risk

    @cached_property
    def _samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Gradients (n, d) and Hessians (n, d, d) of the samples at the minimum, without the ridge, in modes."""
        problem, vectors = self.problem, self.eigenvectors
        rows = np.arange(problem.samples)

        def gradients(points: np.ndarray) -> np.ndarray:
            flat = points.reshape(-1, problem.dimension)
            found = problem.sample_loss_gradients(flat, np.broadcast_to(rows, (len(flat), rows.size)))
            return found.reshape(*points.shape[:-1], rows.size, problem.dimension)

        slopes = gradients(self.minimiser[None])[0]
        bends = derivative(gradients, self.minimiser)  # (n, d, d), the last axis that of the point
        bends = (bends + np.swapaxes(bends, -1, -2)) / 2
        return slopes @ vectors, vectors.T @ bends @ vectors

    def with_ridge(self, ridge: float) -> LocalExpansion:
        """Refused: with another ridge the minimum is another."""
        raise InvalidInput("a ridge moves the minimum: take LocalExpansion of the problem with that ridge")

    def sampling_factor(self, batch_size: int, sampling: str) -> float:
        """As of the loss."""
        return self.local.sampling_factor(batch_size, sampling)

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """As of the loss."""
        return self.local.check_batch_size(batch_size, sampling)

    def noise_covariance_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Expected covariance (d, d) of one sample's gradient, in modes."""
        return self.gradient_noise_map(1.0, 0.0)(second, mean)

    def gradient_noise_map(self, factor: float, label_variance: float) -> ExpandedNoise:
        """That covariance times a factor; there are no labels to add noise to."""
        if label_variance:
            raise InvalidInput("label_noise is not 0, but only least squares has labels to add it to")
        return ExpandedNoise(*self._samples, factor)

    def as_stream(self) -> StreamingLeastSquares:
        """Gaussian features of the Hessian's covariance and residuals of the risk's size: 2 L H + H (x-m)(x-m)^T H.

        What theories of minibatch noise put for a general minimum; `truth` is the minimum and there is no ridge.

        Raises
        ------
        InvalidInput
            If the Hessian has a negative eigenvalue, or there is a ridge.
        """
        if self.ridge:
            raise InvalidInput("features of a stream have no ridge in their covariance: leave the ridge out")
        if self.eigenvalues.min() < 0:
            raise InvalidInput(f"the Hessian has the eigenvalue {self.eigenvalues.min():.3g}, and is no covariance")
        return StreamingLeastSquares(self.hessian, float(np.sqrt(2 * self.risk_at_minimiser)), self.minimiser)

    def __repr__(self) -> str:
        return f"LocalExpansion(about a minimum of {self.problem!r}; largest eigenvalue {self.eigenvalues[0]:.4g})"

"""A quadratic problem in other coordinates: x = root y, in which a preconditioned descent of x is a plain one of y."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sgdlimits.exact.noise_maps import ConstantNoise, NoiseMap, Structure

from .least_squares import LeastSquares
from .noisy_quadratic import NoisyQuadratic
from .quadratic import QuadraticProblem
from .streaming import StreamingLeastSquares


@dataclass(frozen=True, eq=False)
class TransformedNoise(NoiseMap):
    """A noise of other modes: into^T N(into second into^T, into mean) into.

    Attributes
    ----------
    noise : NoiseMap
    into : (d, d) array
        From these modes to those of the noise.
    """

    noise: NoiseMap
    into: np.ndarray
    structure = Structure.GENERAL

    def __call__(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        return self.into.T @ self.noise(self.into @ second @ self.into.T, self.into @ mean) @ self.into


@dataclass(frozen=True, eq=False, repr=False)
class TransformedQuadratic(QuadraticProblem):
    """What is descended of a problem, as a function of y with x = root y; the ridge is part of its Hessian.

    `risk` is therefore the descended objective, not the loss without the ridge.

    Parameters
    ----------
    problem : QuadraticProblem
    root : (d, d) array
        Symmetric, positive definite.
    """

    problem: QuadraticProblem
    root: np.ndarray
    ridge: float = 0.0
    endless: bool = True

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the d parameters."""
        return tuple(f"y{i}" for i in range(len(self.root)))

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (d,) of the Hessian of what is descended, descending, and eigenvectors (d, d)."""
        hessian = self.root @ (self.problem.hessian + self.problem.ridge * np.eye(len(self.root))) @ self.root
        values, vectors = np.linalg.eigh((hessian + hessian.T) / 2)
        rounding = np.abs(values).max() * values.size * np.finfo(float).eps
        values = np.where(np.abs(values) <= rounding, 0.0, values)
        return values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1])

    @cached_property
    def minimiser(self) -> np.ndarray:
        """Of what is descended (d,)."""
        return np.linalg.solve(self.root, self.problem.minimiser)

    @property
    def least_risk_point(self) -> np.ndarray:
        """The minimiser (d,)."""
        return self.minimiser

    @property
    def risk_at_minimiser(self) -> float:
        """What is descended there."""
        x = self.problem.minimiser
        return float(self.problem.risk_at_minimiser + 0.5 * self.problem.ridge * (x @ x))

    @property
    def least_risk(self) -> float:
        """The same."""
        return self.risk_at_minimiser

    @property
    def additive(self) -> bool:
        """As of the problem."""
        return self.problem.additive

    @cached_property
    def _into(self) -> np.ndarray:
        """From these modes to those of the problem (d, d)."""
        return self.problem.eigenvectors.T @ self.root @ self.eigenvectors

    def with_ridge(self, ridge: float) -> TransformedQuadratic:
        """With another ridge of the problem."""
        return TransformedQuadratic(self.problem.with_ridge(ridge), self.root)

    def sampling_factor(self, batch_size: int, sampling: str) -> float:
        """As of the problem."""
        return self.problem.sampling_factor(batch_size, sampling)

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """As of the problem."""
        return self.problem.check_batch_size(batch_size, sampling)

    def noise_covariance_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of one sample's gradient, in modes."""
        return self.gradient_noise_map(1.0, 0.0)(second, mean)

    def gradient_noise_map(self, factor: float, label_variance: float) -> NoiseMap:
        """That of the problem, turned into these modes."""
        noise = self.problem.gradient_noise_map(factor, label_variance)
        if isinstance(noise, ConstantNoise):
            return ConstantNoise(self._into.T @ noise.covariance @ self._into)
        return TransformedNoise(noise, self._into)

    def __repr__(self) -> str:
        return f"TransformedQuadratic({self.problem!r})"


def transformed(problem: QuadraticProblem, root: np.ndarray) -> QuadraticProblem:
    """The problem as a function of y, x = root y: one of the same kind where there is no ridge."""
    if not problem.ridge:
        start: Any = np.linalg.solve(root, problem.least_risk_point)
        if isinstance(problem, LeastSquares):
            return LeastSquares.from_arrays(problem.features @ root, problem.targets)
        if isinstance(problem, StreamingLeastSquares):
            return StreamingLeastSquares(root @ problem.covariance @ root, problem.noise, start)
        if isinstance(problem, NoisyQuadratic):
            return NoisyQuadratic(root @ problem.given @ root, root @ problem.noise_covariance @ root, start)
    return TransformedQuadratic(problem, root)

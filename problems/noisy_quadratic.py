"""The noisy quadratic: any Hessian, and gradient noise whose covariance is the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, covariance_matrix, finite_array, real_number, symmetric_matrix
from sgdlimits.exact.noise_maps import ConstantNoise

from .quadratic import QuadraticProblem, stationary_point
from .samplings import check_sampling


@dataclass(frozen=True, eq=False, repr=False)
class NoisyQuadratic(QuadraticProblem):
    """L(x) = (x - bottom)^T hessian (x - bottom) / 2, of whose gradient a sample has Gaussian noise added.

    A batch of B samples sees hessian (x - bottom) + N(0, noise_covariance / B), independent of x and of other steps.
    The two matrices need not commute, and the Hessian may have eigenvalues of any sign.

    Parameters
    ----------
    hessian : array (d, d), symmetric, or (d,) for a diagonal one
    noise_covariance : array (d, d), symmetric and positive semidefinite, or (d,) for a diagonal one
    minimiser : array (d,), optional
        The bottom, 0 by default: minimiser of L, or its stationary point. After construction, `bottom` holds it, and
        `minimiser` is the stationary point of what is descended, which a ridge moves.
    ridge : float
        Of either sign.

    Raises
    ------
    InvalidInput
        If a matrix is not symmetric, the covariance is indefinite, or an argument cannot be used.
    """

    given: np.ndarray  # the Hessian
    noise_covariance: np.ndarray
    bottom: np.ndarray
    ridge: float = 0.0
    name: str = "noisy quadratic"
    endless: bool = True

    additive: ClassVar[bool] = True

    def __init__(self, hessian: Any, noise_covariance: Any, minimiser: Any = None, ridge: float = 0.0) -> None:
        given = finite_array("hessian", np.atleast_1d(np.asarray(hessian, dtype=object)))
        d = len(given)
        given = symmetric_matrix("hessian", np.diag(given) if given.ndim == 1 else given, d)
        noise = finite_array("noise_covariance", np.atleast_1d(np.asarray(noise_covariance, dtype=object)))
        noise = covariance_matrix("noise_covariance", np.diag(noise) if noise.ndim == 1 else noise, d)
        bottom = np.zeros(d) if minimiser is None else finite_array("minimiser", minimiser, shape=(d,)).copy()
        for array in (given, noise, bottom):
            array.flags.writeable = False
        object.__setattr__(self, "given", given)
        object.__setattr__(self, "noise_covariance", noise)
        object.__setattr__(self, "bottom", bottom)
        object.__setattr__(self, "ridge", real_number("ridge", ridge))

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the d parameters."""
        return tuple(f"x{i}" for i in range(self.bottom.size))

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (d,) of the Hessian, descending, and eigenvectors (d, d)."""
        values, vectors = np.linalg.eigh(self.given)
        values = np.where(np.abs(values) <= np.abs(values).max() * values.size * np.finfo(float).eps, 0.0, values)
        return values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1])

    @cached_property
    def minimiser(self) -> np.ndarray:
        """Stationary point (d,) of the descended objective; the bottom in directions where nothing acts."""
        bottom = self.into_basis(self.bottom)
        if not self.ridge:
            return self.bottom
        return self.out_of_basis(stationary_point(self.eigenvalues, self.ridge, self.eigenvalues * bottom))

    @property
    def least_risk_point(self) -> np.ndarray:
        """The bottom (d,)."""
        return self.bottom

    @property
    def least_risk(self) -> float:
        """0: L at the bottom, whatever the signs of the curvatures."""
        return 0.0

    @cached_property
    def risk_at_minimiser(self) -> float:
        """L at the stationary point of the descended objective."""
        return float(0.5 * self.offset_modes**2 @ self.eigenvalues)

    @cached_property
    def noise_modes(self) -> np.ndarray:
        """Covariance (d, d) of a sample's gradient, in modes."""
        return self.eigenvectors.T @ self.noise_covariance @ self.eigenvectors

    def with_ridge(self, ridge: float) -> NoisyQuadratic:
        """The same quadratic with another ridge."""
        return NoisyQuadratic(self.given, self.noise_covariance, self.bottom, ridge)

    def sampling_factor(self, batch_size: int, sampling: str) -> float:
        """1/B: fresh samples are independent."""
        return 1 / self.check_batch_size(batch_size, sampling)

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """Return the batch size; a stream knows only independent samples."""
        return check_sampling(batch_size, sampling, None)

    def noise_covariance_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of one sample's gradient, in modes: the same everywhere."""
        return self.noise_modes.copy()

    def gradient_noise_map(self, factor: float, label_variance: float) -> ConstantNoise:
        """That covariance times a factor; there are no labels to add noise to."""
        if label_variance:
            raise InvalidInput(
                "label_noise is not 0, but a noisy quadratic has no labels to add it to; put it into noise_covariance"
            )
        return ConstantNoise(factor * self.noise_modes)

    def __repr__(self) -> str:
        return (
            f"NoisyQuadratic(d={self.bottom.size}, ridge={self.ridge:g}; eigenvalues {self.eigenvalues[-1]:.4g} to "
            f"{self.eigenvalues[0]:.4g}, noise of trace {np.trace(self.noise_covariance):.4g})"
        )

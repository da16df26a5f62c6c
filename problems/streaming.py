"""Streaming least squares: Gaussian features, a fresh sample at every draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import (
    LARGEST,
    LARGEST_LABEL,
    LARGEST_VARIANCE,
    InvalidInput,
    covariance_matrix,
    finite_array,
    non_negative,
    of_size,
    real_number,
)
from sgdlimits.exact.noise_maps import RankOneNoise

from .power_law import power_law_features
from .quadratic import QuadraticProblem, stationary_point
from .samplings import check_sampling


@dataclass(frozen=True, eq=False, repr=False)
class StreamingLeastSquares(QuadraticProblem):
    """Features a ~ N(0, covariance), label = <a, truth> + noise * N(0, 1), never seen twice.

    L(x) = E (a.x - label)^2 / 2 = (x - truth)^T covariance (x - truth) / 2 + noise^2 / 2.

    Parameters
    ----------
    covariance : array (d, d), or (d,) for a diagonal one
    noise : float
        Standard deviation of the labels about <a, truth>.
    minimiser : array (d,)
        The truth: minimiser of L. After construction, `truth` holds it, and `minimiser` is the minimiser of
        what is descended, which a ridge moves.
    ridge : float
    """

    given: np.ndarray  # the covariance, as it was given
    noise: float
    truth: np.ndarray
    ridge: float = 0.0
    name: str = "streaming least squares"
    endless: bool = True

    def __init__(
        self, covariance: np.ndarray, noise: float, minimiser: np.ndarray, ridge: float = 0.0
    ) -> None:
        truth = np.atleast_1d(finite_array("minimiser", minimiser))
        truth = finite_array("minimiser", truth, ndim=1)
        given = finite_array("covariance", covariance)
        if given.ndim < 2:
            given = np.atleast_1d(given).copy()
            if given.shape != truth.shape:
                raise InvalidInput(
                    f"covariance is for {given.size} features, and minimiser for {truth.size}: give as many of both"
                )
            if given.min() < 0:
                raise InvalidInput(f"covariance must not be negative on its diagonal, got {given.min():g}")
        else:
            given = covariance_matrix("covariance", given, truth.size)
        of_size("covariance", given, LARGEST_VARIANCE)
        tiny = given[(given > 0) & (given < 1 / LARGEST)] if given.ndim == 1 else given[:0]
        if tiny.size:
            raise InvalidInput(
                f"covariance must hold no variance between 0 and {1 / LARGEST:g}, got {tiny[0]:g}: put 0"
            )
        truth = truth.copy()
        given.flags.writeable = truth.flags.writeable = False
        object.__setattr__(self, "given", given)
        of_size("noise", np.array(non_negative("noise", noise)), LARGEST_LABEL)
        object.__setattr__(self, "noise", float(noise))
        object.__setattr__(self, "truth", truth)
        object.__setattr__(self, "ridge", real_number("ridge", ridge))

    @classmethod
    def power_law(
        cls, alpha: float, beta: float, dimension: int, ambient: int | None = None, *, seed: int = 0,
        label_noise: float = 0.0, ridge: float = 0.0,
    ) -> StreamingLeastSquares:  # fmt: skip
        """Random features of data with power laws, the model of compute-optimal scaling.

        Data x_j = j^-alpha z_j, j = 1..ambient, with standard normal z, and label sum_j j^-beta x_j; features W^T x
        with W (ambient, dimension) of independent N(0, 1/dimension). Linear regression on them is this problem,
        exactly.

        Parameters
        ----------
        alpha : float
            Above 0: of the standard deviations of the data.
        beta : float
            Of the target's coefficients.
        dimension : int
            Number of features d.
        ambient : int, optional
            Of the data, at least d; default 4 d.
        seed : int
            Of W.
        label_noise : float
            Standard deviation added to the labels.
        ridge : float

        Raises
        ------
        InvalidInput
            If an argument cannot be used.

        Notes
        -----
        Derived: given the features, the label is Gaussian of mean <truth, features> and a variance that they do not
        see.

        Examples
        --------
        >>> from sgdlimits import problems
        >>> problem = problems.StreamingLeastSquares.power_law(1.0, 0.5, 100, 400)
        >>> problem.dimension
        100
        """
        found = power_law_features(alpha, beta, dimension, ambient, seed, label_noise)
        return cls(found.covariance, found.noise, found.truth, ridge)

    @property
    def coordinates(self) -> tuple[str, ...]:
        """Names of the d parameters."""
        return tuple(f"x{i}" for i in range(self.truth.size))

    @property
    def covariance(self) -> np.ndarray:
        """Of the features (d, d)."""
        return self._dense(self.given) if self.given.ndim == 1 else self.given

    @cached_property
    def _order(self) -> np.ndarray | None:
        """Coordinates (d,) in the order of their variances, where the covariance is diagonal."""
        return np.argsort(-self.given, kind="stable") if self.given.ndim == 1 else None

    @cached_property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues (d,) of the feature covariance, descending; of a diagonal one every variance as it is."""
        return self.spectrum[0] if self._order is None else self.given[self._order]

    @cached_property
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (d,), descending, and eigenvectors (d, d) of the feature covariance."""
        if self._order is not None:
            return self.eigenvalues, self._dense(np.ones(self.given.size))[:, self._order]
        values, vectors = np.linalg.eigh(self.given)
        values, vectors = values[::-1], np.ascontiguousarray(vectors[:, ::-1])
        return np.where(values <= abs(values[0]) * values.size * np.finfo(float).eps, 0.0, values), vectors

    def _dense(self, diagonal: np.ndarray) -> np.ndarray:
        size = 8.0 * diagonal.size**2
        check_memory(f"a matrix of {diagonal.size} x {diagonal.size}", 2 * size, "ask for the risk alone, in modes")
        return np.diag(diagonal)

    def into_basis(self, x: np.ndarray) -> np.ndarray:
        return super().into_basis(x) if self._order is None else x[..., self._order]

    def out_of_basis(self, modes: np.ndarray) -> np.ndarray:
        if self._order is None:
            return super().out_of_basis(modes)
        x = np.empty_like(modes)
        x[..., self._order] = modes
        return x

    @cached_property
    def minimiser(self) -> np.ndarray:
        """Stationary point (d,) of the descended objective; of least norm where it is not unique."""
        slope = self.eigenvalues * self.into_basis(self.truth)
        return self.out_of_basis(stationary_point(self.eigenvalues, self.ridge, slope))

    @property
    def least_risk_point(self) -> np.ndarray:
        """The truth (d,)."""
        return self.truth

    @property
    def least_risk(self) -> float:
        """Half the variance of the labels' noise."""
        return 0.5 * self.noise**2

    @cached_property
    def risk_at_minimiser(self) -> float:
        """L at the minimiser of the descended objective."""
        return float(0.5 * (self.offset_modes**2 @ self.eigenvalues + self.noise**2))

    def with_input_noise(self, covariance: np.ndarray) -> StreamingLeastSquares:
        """The stream whose features are seen with fresh N(0, covariance) added; its risk is that of noisy inputs.

        With A the features' covariance, K = A + covariance and u the truth, labels given noisy features are Gaussian:
        of mean <., K^-1 A u> and variance noise^2 + u^T A K^-1 covariance u. Derived; exact.

        Parameters
        ----------
        covariance : array (d, d), or (d,) for a diagonal one

        Raises
        ------
        InvalidInput
            If it is no covariance of this dimension.
        """
        d = self.truth.size
        added = finite_array("covariance", np.atleast_1d(np.asarray(covariance, dtype=object)))
        added = covariance_matrix("covariance", np.diag(added) if added.ndim == 1 else added, d)
        whole = self.covariance + added
        slope = np.linalg.lstsq(whole, added @ self.truth, rcond=None)[0]  # K^-1 B u = u - K^-1 A u
        variance = self.noise**2 + float(self.truth @ self.covariance @ slope)
        return StreamingLeastSquares(whole, float(np.sqrt(max(variance, 0.0))), self.truth - slope, self.ridge)

    def with_ridge(self, ridge: float) -> StreamingLeastSquares:
        """The same stream with another ridge."""
        return StreamingLeastSquares(self.given, self.noise, self.truth, ridge)

    def sampling_factor(self, batch_size: int, sampling: str) -> float:
        """1/B: fresh samples are independent."""
        return 1 / self.check_batch_size(batch_size, sampling)

    def check_batch_size(self, batch_size: int, sampling: str) -> int:
        """Return the batch size; a stream knows only independent samples."""
        return check_sampling(batch_size, sampling, None)

    def noise_covariance_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Expected covariance (d, d) of one sample's gradient, from moments of the modes.

        H P H + tr(H P) H + noise^2 H with P the second moment about the truth; derived by Isserlis' formula.
        """
        return self.gradient_noise_map(1.0, 0.0)(second, mean)

    def gradient_noise_map(self, factor: float, label_variance: float) -> RankOneNoise:
        """factor * `noise_covariance_map` + label_variance H: the homogenized noise, and each mode's own."""
        shared = self.homogenized_noise_map(factor, label_variance)
        return replace(shared, own=np.sqrt(factor) * self.eigenvalues, offsets=self.offset_modes)

    def __repr__(self) -> str:
        return (
            f"StreamingLeastSquares(d={self.truth.size}, noise={self.noise:g}, ridge={self.ridge:g}; "
            f"largest eigenvalue {self.eigenvalues[0]:.4g})"
        )

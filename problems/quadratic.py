"""What finite and streaming least squares share: a quadratic risk, its eigenbasis and its noise maps.

Coordinates of a mode: ``modes = (x - minimiser) @ eigenvectors``. In them the Hessian of what is descended
is diagonal and every moment equation of SGD and of its diffusions is written.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, LARGEST, finite_array, points
from sgdlimits.exact.noise_maps import NoiseMap, RankOneNoise

from .losses import OutputLoss, Squares
from .problem import Problem

LOST_DIGITS = 1e-7  # largest part of a risk that may be rounding
NO_NOISE = 1e-24  # of the risk at the origin: what rounding leaves of the risk of data that are fitted exactly


class QuadraticProblem(Problem):
    """Least squares with risk L and descended objective f = L + (ridge / 2) |x|^2.

    Leaves give `ridge`, `spectrum`, `minimiser`, `risk_at_minimiser`, `least_risk_point`, `least_risk`,
    `sampling_factor`, `noise_covariance_map` and `gradient_noise_map`; everything here follows from those.

    Attributes
    ----------
    additive : bool
        Whether the noise of the gradient is the same everywhere, and Gaussian.
    """

    quadratic: ClassVar[bool] = True
    loss: ClassVar[OutputLoss] = Squares()
    ridge: float

    if TYPE_CHECKING:  # read only: a leaf has a field or a property

        @property
        def coordinates(self) -> tuple[str, ...]: ...

        @property
        def additive(self) -> bool: ...

    else:
        additive = False

    @property
    @abstractmethod
    def spectrum(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (d,) of the Hessian of L, descending, zero past its rank; eigenvectors (d, d), columns."""

    @property
    @abstractmethod
    def minimiser(self) -> np.ndarray:
        """Stationary point (d,) of the descended objective; of least norm where it is not unique."""

    @property
    @abstractmethod
    def risk_at_minimiser(self) -> float:
        """L at the minimiser of the descended objective."""

    @property
    @abstractmethod
    def least_risk_point(self) -> np.ndarray:
        """Minimiser (d,) of L, without the ridge; of least norm where it is not unique."""

    @property
    @abstractmethod
    def least_risk(self) -> float:
        """Smallest value of L."""

    @abstractmethod
    def with_ridge(self, ridge: float) -> QuadraticProblem:
        """The same problem with another ridge."""

    @abstractmethod
    def sampling_factor(self, batch_size: int, sampling: str) -> float:
        """Factor beta: covariance of the batch gradient = beta * covariance of one sample's gradient."""

    @abstractmethod
    def noise_covariance_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Expected covariance (d, d) of one sample's gradient, in modes.

        Linear in (second, mean, 1), where `second` (d, d) and `mean` (d,) are moments of the modes.
        """

    @abstractmethod
    def gradient_noise_map(self, factor: float, label_variance: float) -> NoiseMap:
        """factor * `noise_covariance_map` + label_variance H in modes, with its structure."""

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.eigenvalues.size

    @property
    def eigenvalues(self) -> np.ndarray:
        """Eigenvalues (d,) of the Hessian of L, descending."""
        return self.spectrum[0]

    @property
    def eigenvectors(self) -> np.ndarray:
        """Orthonormal eigenvectors (d, d) of the Hessian, one a column."""
        return self.spectrum[1]

    @property
    def curvatures(self) -> np.ndarray:
        """Eigenvalues (d,) of the Hessian of the descended objective: eigenvalues + ridge."""
        return self.eigenvalues + self.ridge

    @cached_property
    def hessian(self) -> np.ndarray:
        """Hessian (d, d) of L, without the ridge."""
        return (self.eigenvectors * self.eigenvalues) @ self.eigenvectors.T

    def hessian_product(self, x: np.ndarray, direction: np.ndarray) -> np.ndarray:
        """Hessian of L, without the ridge, times a direction (d,); the same at every x."""
        return self.out_of_basis(self.eigenvalues * self.into_basis(direction))

    def into_basis(self, x: np.ndarray) -> np.ndarray:
        """Vectors (..., d) in the eigenbasis, not centred."""
        return x @ self.eigenvectors

    def out_of_basis(self, modes: np.ndarray) -> np.ndarray:
        """Vectors (..., d) from the eigenbasis."""
        return modes @ self.eigenvectors.T

    @cached_property
    def minimiser_modes(self) -> np.ndarray:
        """The minimiser in the eigenbasis (d,), not centred."""
        return self.into_basis(self.minimiser)

    @property
    def frozen(self) -> np.ndarray:
        """Mask (d,) of modes on which neither data nor ridge acts."""
        return self.curvatures == 0

    def to_modes(self, x: np.ndarray) -> np.ndarray:
        """Modes of positions (..., d)."""
        return self.into_basis(x - self.minimiser)

    def from_modes(self, modes: np.ndarray) -> np.ndarray:
        """Positions (..., d) of modes."""
        return self.out_of_basis(modes) + self.minimiser

    def risk(self, x: np.ndarray) -> np.ndarray:
        """L at positions (..., d), without the ridge term."""
        x = points("x", x, self.dimension)
        # About the least point of L, never about a minimiser that a negative ridge has sent far away.
        with np.errstate(over="ignore"):
            modes = self.into_basis(x - self.least_risk_point)
            return self.least_risk + 0.5 * np.square(modes) @ self.eigenvalues

    def outputs(self, x: np.ndarray, inputs: np.ndarray) -> np.ndarray:
        """Outputs <a, x> (..., b, 1) of positions (..., d) at inputs a (b, d)."""
        x = points("x", x, self.dimension, finite=False)
        inputs = finite_array("inputs", inputs, shape=(None, self.dimension))
        return (x @ inputs.T)[..., None]

    def risk_of_modes(self, modes: np.ndarray) -> np.ndarray:
        """L at modes (..., d)."""
        return self.least_risk + 0.5 * np.square(modes + self.offset_modes) @ self.eigenvalues

    @cached_property
    def offset_modes(self) -> np.ndarray:
        """Minimiser of the descended objective minus the least point of L (d,), in modes; 0 where nothing acts."""
        if not self.ridge:  # the same point, whatever rounding makes of it
            return np.zeros(self.dimension)
        gap = self.into_basis(self.minimiser - self.least_risk_point)
        return np.where(self.eigenvalues != 0, gap, 0.0)

    def check_centre(self) -> None:
        """Raise where moments about the minimiser would lose their digits: the ridge nearly cancels an eigenvalue.

        Raises
        ------
        InvalidInput
            If rounding of the risk at the minimiser exceeds 1e-7 of the risk at the origin.
        """
        origin = float(self.risk(np.zeros(self.dimension)))
        if np.finfo(float).eps * self.risk_at_minimiser > LOST_DIGITS * max(origin, self.least_risk):
            worst = float(np.abs(self.curvatures[self.eigenvalues != 0]).min())
            raise InvalidInput(
                f"ridge is {self.ridge!r}, within {worst:.3g} of minus an eigenvalue of the Hessian: the stationary "
                f"point has size {np.linalg.norm(self.minimiser):.3g}, about which moments lose their digits; move the "
                "ridge, or simulate SGD, which does not expand about it"
            )

    def noise_dies(self, label_noise: float) -> bool:
        """Whether the noise vanishes at the minimiser, up to rounding: no risk there, and no noise on the labels."""
        floor = 2 * self.risk_at_minimiser + label_noise**2
        return floor <= NO_NOISE * 2 * float(self.risk(np.zeros(self.dimension)))

    @property
    def risk_slope(self) -> np.ndarray:
        """Gradient (d,) of L at the minimiser, in modes: the ridge holds it away from zero."""
        return -self.ridge * self.minimiser_modes

    def expected_risk(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """E L from moments of the modes: mean (..., d), covariance (..., d, d)."""
        return self.risk_of_variances(mean, np.diagonal(covariance, axis1=-2, axis2=-1))

    def risk_of_positions(self, mean: np.ndarray, covariance: np.ndarray) -> np.ndarray:
        """E L from the mean (..., d) and covariance (..., d, d) of positions."""
        vectors = self.eigenvectors
        return self.expected_risk(self.to_modes(mean), vectors.T @ covariance @ vectors)

    def risk_of_variances(self, mean: np.ndarray, variances: np.ndarray) -> np.ndarray:
        """E L from means and variances (..., d) of the modes."""
        return self.risk_of_modes(mean) + 0.5 * np.ascontiguousarray(variances) @ self.eigenvalues

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Gradient (..., d) of the descended objective (with the ridge)."""
        return (self.to_modes(points("x", x, self.dimension, finite=False)) * self.curvatures) @ self.eigenvectors.T

    def gradient_noise_covariance(self, x: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of one sample's gradient at the position x (d,)."""
        modes = self.to_modes(finite_array("x", x, shape=(self.dimension,)))
        if float(np.abs(modes).max()) > LARGEST:
            raise InvalidInput(f"x must hold numbers of at most {LARGEST:g}")
        inner = self.noise_covariance_map(np.outer(modes, modes), modes)
        return self.eigenvectors @ inner @ self.eigenvectors.T

    def homogenized_noise_map(self, factor: float, label_variance: float) -> RankOneNoise:
        """factor * E 2 L(x) H + label_variance H in modes: what homogenized SGD puts for the gradient's covariance."""
        nothing = np.zeros(self.dimension)
        return RankOneNoise(
            self.eigenvalues, factor * self.eigenvalues, 2 * factor * self.risk_slope,
            2 * factor * self.risk_at_minimiser + label_variance, nothing, nothing,
        )  # fmt: skip

    def second_moment_map(
        self, second: np.ndarray, mean: np.ndarray, step_size: float, batch_size: int, sampling: str
    ) -> np.ndarray:
        """Second moment (d, d) of the modes after one SGD step, from those before it. Exact; derived."""
        shrink = 1 - step_size * self.curvatures
        noise = self.sampling_factor(batch_size, sampling) * self.noise_covariance_map(second, mean)
        return shrink[:, None] * shrink * second + step_size**2 * noise


def stationary_point(eigenvalues: np.ndarray, ridge: float, slope: np.ndarray) -> np.ndarray:
    """Solve (eigenvalues + ridge) m = slope mode by mode; zero where nothing acts."""
    curvatures = eigenvalues + ridge
    if np.any((curvatures == 0) & (eigenvalues != 0)):
        raise InvalidInput(
            f"ridge is {ridge!r}, minus an eigenvalue of the Hessian, so the objective has no stationary point; "
            "move the ridge a little"
        )
    active = eigenvalues != 0
    return np.where(active, slope / np.where(active, curvatures, 1.0), 0.0)

"""The recurrence x <- (1 - step_size curvature) x - step_size xi on the line: its law, without sampling."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.additive_laws import AdditiveLaw
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import (
    InvalidInput,
    NoStationaryLaw,
    finite_array,
    one_of,
    positive,
    real_number,
    whole_number,
)
from sgdlimits.exact.law_distances import METHODS, Distribution, GaussianDistance, distribution, gaussian_distance
from sgdlimits.exact.noise_laws import HIGHEST, NoiseLaw, noise_law
from sgdlimits.exact.stationary_law import StationaryLaw

from .recurrence import simulate

if TYPE_CHECKING:
    import xarray

GAUSSIANS = ("same moments", "Ornstein-Uhlenbeck")
LEAST = 1e-12  # step_size * curvature from which 1 minus it is told from 1


@dataclass(frozen=True, eq=False)
class AdditiveRecurrence:
    """SGD on a quadratic of one dimension whose gradient noise does not depend on the place.

    x <- (1 - step_size curvature) x - step_size xi, with independent xi of one law. It is what label noise makes of SGD
    on one sample. Its stationary law is that of -step_size times the sum of (1 - step_size curvature)^k xi_k.

    Parameters
    ----------
    step_size : float
    curvature : float
        Second derivative of the quadratic; step_size * curvature lies above 0 and below 2.
    noise : tuple (values, probabilities), frozen distribution of scipy.stats, or function
        The law of xi. A function is its characteristic function: of an array of t, with complex values of that shape.
    noise_cumulants : sequence of float, optional
        Of a noise that is given by its characteristic function: mean, variance, third cumulant, ... as far as they are
        known. Distances to a Gaussian law need two of them; from eight on they bound the tails.

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    NoStationaryLaw
        If step_size * curvature is 2 or more; `.threshold` is 2 / curvature.
    """

    step_size: float
    curvature: float
    noise: Any
    noise_cumulants: Any = None

    label: ClassVar[str] = "additive recurrence"
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "the n-th cumulant of the stationary law is (-step_size)^n times that of the noise, over "
            "1 - (1 - step_size curvature)^n",
            ("one dimension", "noise independent of the place", "the noise's n-th moment is finite"),
            "derived",
        ),
        Claim(
            "the midpoint rule of step 2 pi / L gives the distribution function up to P(|x - mean| > L / 2), for "
            "|x - mean| <= L / 2",
            ("integrable characteristic function",),
            "davies1973",
        ),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "step_size", positive("step_size", self.step_size))
        object.__setattr__(self, "curvature", positive("curvature", self.curvature))
        product = self.step_size * self.curvature
        if product >= 2:
            raise NoStationaryLaw(
                f"step_size * curvature is {product:.6g}, so x does not settle: it must be below 2, step_size below "
                f"{2 / self.curvature:.6g}",
                threshold=2 / self.curvature,
            )
        if product < LEAST or 2 - product < LEAST:
            raise InvalidInput(f"step_size * curvature must be at least {LEAST:g} away from 0 and 2, got {product:.6g}")
        self._noise  # what is wrong with the noise is said at once

    @cached_property
    def _noise(self) -> NoiseLaw:
        return noise_law(self.noise, self.noise_cumulants)

    @property
    def multiplier(self) -> float:
        """1 - step_size * curvature, by which x is multiplied at each step."""
        return 1.0 - self.step_size * self.curvature

    @property
    def clock(self) -> Clock:
        """One step is one unit of time."""
        return Clock(1.0, "1")

    def _law(self, steps: Any, x0: Any) -> AdditiveLaw:
        x0 = real_number("x0", x0)
        if steps is None and x0:
            raise InvalidInput(f"x0 is {x0:g}, but the stationary law knows no start: pass steps too")
        count = None if steps is None else whole_number("steps", steps)
        return AdditiveLaw(self.step_size * self.curvature, -self.step_size, self._noise, count, x0)

    def characteristic_function(self, t: Any, steps: int | None = None, x0: float = 0.0) -> np.ndarray:
        """E exp(i t x), as a product of that of the noise.

        Parameters
        ----------
        t : array
        steps : int, optional
            Number of steps from `x0`; default: the stationary law.
        x0 : float

        Returns
        -------
        array of complex numbers of the shape of t
            To about 1e-16 times the number of factors; where the noise is a distribution without a closed form here, to
            the accuracy of a quadrature of its quantile function.

        Raises
        ------
        InvalidInput
            If an argument cannot be used, or the step size is so small that too many factors are needed.
        """
        return self._law(steps, x0).characteristic_function(finite_array("t", t))

    def cumulants(self, order: int, steps: int | None = None, x0: float = 0.0) -> np.ndarray:
        """Cumulants of x of orders 1 (mean), 2 (variance), ..., `order`.

        Parameters
        ----------
        order : int
            At most 20.
        steps, x0
            As in `characteristic_function`.

        Raises
        ------
        InvalidInput
            If one of them is infinite or not known, because the noise's is.
        """
        order, law = whole_number("order", order, 1, HIGHEST), self._law(steps, x0)
        if law.draws == 0:
            return np.r_[law.centre, np.zeros(order - 1)]
        if order > law.cumulants.size:
            raise InvalidInput(
                f"cumulants up to order {order} were asked for, but of the noise {self._noise.label} only "
                f"{law.cumulants.size} are known and finite: {self._noise.why_no_more}"
            )
        return law.cumulants[:order]

    def stationary(self) -> StationaryLaw:
        """Mean (1,), covariance (1, 1) and E L of the stationary law, L = curvature x^2 / 2; more of it by `cumulants`,
        `distribution` and `characteristic_function`.

        Raises
        ------
        InvalidInput
            If the variance is infinite or not known.
        """
        mean, variance = (float(value) for value in self.cumulants(2))
        risk = self.curvature * (variance + mean**2) / 2
        return StationaryLaw(np.array([mean]), np.array([[variance]]), risk, np.zeros((1, 0)))

    def distribution(
        self, points: Any, steps: int | None = None, x0: float = 0.0, method: str | None = None
    ) -> Distribution:
        """P(x <= point) at each point, with an error.

        Parameters
        ----------
        points : array
        steps, x0
            As in `characteristic_function`.
        method : {"inversion", "recursion"}, optional
            Default: inversion of the characteristic function where the noise is continuous and the function decays;
            else the recursion of the distribution function, which brackets any law, or all atoms where they are few.
            At small step sizes an inversion is nearer for atoms too, but its error is then an estimate.

        Returns
        -------
        Distribution
            Its `values`, `errors`, `method`, and whether the errors are `proved`. At an atom that is known only up to
            rounding the error is half of the jump.

        Raises
        ------
        InvalidInput
            If an argument cannot be used, or nothing but a characteristic function that does not decay is known.
        """
        checked = None if method is None else one_of("method", method, METHODS)
        return distribution(self._law(steps, x0), finite_array("points", points), checked)

    def distance_to_gaussian(
        self, gaussian: str = "same moments", steps: int | None = None, x0: float = 0.0, method: str | None = None
    ) -> GaussianDistance:
        """Kolmogorov and Wasserstein-1 distance of the law of x to a Gaussian law.

        Parameters
        ----------
        gaussian : {"same moments", "Ornstein-Uhlenbeck"}
            The Gaussian law with the mean and variance of x, or that of the Ornstein-Uhlenbeck limit
            dX = -(curvature X + E xi) dt + sqrt(step_size Var xi) dB at time step_size * steps, stationary by default.
        steps, x0
            As in `characteristic_function`.
        method
            As in `distribution`.

        Returns
        -------
        GaussianDistance
            Its `ks` and `w1` with `ks_error` and `w1_error`, the `method`, and whether the errors are `proved`.

        Raises
        ------
        InvalidInput
            If an argument cannot be used, or the noise has no finite known variance.
        """
        one_of("gaussian", gaussian, GAUSSIANS)
        checked = None if method is None else one_of("method", method, METHODS)
        law = self._law(steps, x0)
        mean, variance = law.centre, law.variance if law.draws else 0.0
        if gaussian == "Ornstein-Uhlenbeck" and self._noise.cumulants.size > 1:
            decay = 0.0 if law.steps is None else math.exp(-self.curvature * self.step_size * law.steps)
            rest = -float(self._noise.cumulants[0]) / self.curvature
            mean = rest + (law.x0 - rest) * decay
            variance = self.step_size * float(self._noise.cumulants[1]) / (2 * self.curvature) * (1 - decay**2)
        return gaussian_distance(law, gaussian, mean, variance, checked)

    def simulate(self, x0: Any, steps: int, paths: int, **options: Any) -> xarray.Dataset:
        """Simulate independent paths, each noise variable from one uniform number by the quantile function.

        Parameters
        ----------
        x0 : float, array (1,) or (paths, 1), Gaussian, or tuple (mean, covariance)
        steps, paths, **options
            As in `discrete.simulate`.

        Raises
        ------
        InvalidInput
            If the noise is given by its characteristic function alone, or an argument cannot be used.
        """
        if self._noise.quantile is None:
            raise InvalidInput("noise is a characteristic function, from which nothing is drawn: pass a distribution")
        start = np.atleast_1d(np.asarray(x0, float)) if np.ndim(x0) == 0 and isinstance(x0, (int, float)) else x0
        return simulate(self, start, steps, paths, **options)

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        """Positions (P, 1)."""
        return np.array(x0)

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        """Positions after step k."""
        if self._noise.quantile is None:
            raise InvalidInput("noise is a characteristic function, from which nothing is drawn: pass a distribution")
        draw = self._noise.quantile(noise.uniforms(Purpose.LABEL_NOISE, k, 1))
        return self.multiplier * state - self.step_size * draw

    def position(self, state: np.ndarray) -> np.ndarray:
        """Positions (P, 1)."""
        return state

"""Pearson diffusions: linear drift and a squared noise that is quadratic, in one dimension; their exact laws.

Homogenized SGD is one of them in one dimension. In more, each of its coordinates lies above one in convex order, which
bounds its tail index from above; `convex_order` checks that step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from sgdlimits.ensembles.initial import moment_steps, recorded_steps
from sgdlimits.ensembles.results import moments_dataset
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import (
    InvalidInput,
    axes,
    finite_array,
    instance_of,
    non_negative,
    points,
    real_number,
    whole_number,
)
from sgdlimits.exact.moment_exponents import LinearNoise
from sgdlimits.exact.multivariate_t import MultivariateT
from sgdlimits.exact.pearson_law import PearsonLaw, check_noise
from sgdlimits.exact.polynomial_moments import PolynomialMoments
from sgdlimits.exact.tail_index import TailIndex

from .array_form import ArrayForm
from .homogenized import HomogenizedSGD
from .homogenized_modes import HomogenizedModes
from .integration import integrate
from .linear_forms import level_times_spread, linear_drift
from .tails import linear_noise

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class PearsonDiffusion:
    """dY = -rate Y dt + sqrt(quadratic Y^2 + slope Y + floor) dW; one step is one unit of time.

    Its stationary law is Pearson's type IV, a skewed Student t, with the tail index 1 + 2 rate / quadratic.

    Parameters
    ----------
    rate : float
    quadratic, slope, floor : float
        A square that is nowhere negative, and not zero everywhere.
    label : str

    Raises
    ------
    InvalidInput
        If the squared noise is negative somewhere.
    """

    rate: float
    quadratic: float
    slope: float = 0.0
    floor: float = 1.0
    label: str = "Pearson diffusion"

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "stationary law of Pearson's type IV with tail index 1 + 2 rate / quadratic",
            ("rate > -quadratic / 2", "noise that does not vanish at 0"),
            "derived",
        ),
    )
    dimension: ClassVar[int] = 1
    centre: ClassVar[tuple[float]] = (0.0,)
    noise_dimension: ClassVar[int] = 1
    noise_type: ClassVar[str] = "diagonal"

    def __post_init__(self) -> None:
        for name in ("rate", "slope"):
            object.__setattr__(self, name, real_number(name, getattr(self, name)))
        for name in ("quadratic", "floor"):
            object.__setattr__(self, name, non_negative(name, getattr(self, name)))
        check_noise(self.quadratic, self.slope, self.floor)

    @classmethod
    def of(cls, process: HomogenizedSGD, mode: int = 0) -> Self:
        """What lies below coordinate `mode` of homogenized SGD in the eigenbasis, about the minimiser, in convex order.

        Eigenvalues descend. The noise of that coordinate is at least what its own square and the least risk give; in
        one dimension it is just that, and the two are the same process.
        """
        instance_of("process", process, HomogenizedSGD)
        noise, problem = linear_noise(process), process.quadratic
        assert isinstance(noise, LinearNoise)  # as of every homogenized SGD
        mode = whole_number("mode", mode, 0, noise.dimension - 1)
        spread, coupling = float(noise.spread[mode]), float(noise.coupling[mode])
        offset = float(problem.offset_modes[mode])
        # coupling = eigenvalue / B; the level is counted from the least point of the risk.
        least = (2 * problem.least_risk + process.label_noise**2) / process.batch_size
        return cls(
            float(noise.rates[mode]), spread * coupling, 2 * spread * coupling * offset,
            spread * (least + coupling * offset**2), f"Pearson diffusion below mode {mode}",
        )  # fmt: skip

    @property
    def clock(self) -> Clock:
        """One step is one unit of time."""
        return Clock(1.0, "1")

    @cached_property
    def _modes(self) -> HomogenizedModes:
        constants = {
            "rates": np.array([self.rate]), "spread": np.ones(1), "floor": self.floor, "zero": 0.0,
            "slope": np.array([self.slope]), "coupling": np.array([self.quadratic]),
        }  # fmt: skip
        form = ArrayForm(1, 1, self.noise_type, "diagonal", linear_drift, level_times_spread, constants)
        return HomogenizedModes.of(form, np.array([self.rate]), self.label)

    @property
    def linear(self) -> np.ndarray:
        """The rate (1,), for schemes that solve the drift exactly."""
        return self._modes.linear

    def array_form(self) -> ArrayForm:
        """Coefficients for any array namespace."""
        return self._modes.form

    def drift(self, t: Any, y: np.ndarray) -> np.ndarray:
        """-rate y, at y (P, 1)."""
        return self._modes.drift(t, points("y", y, 1, finite=False))

    def diffusion(self, t: Any, y: np.ndarray) -> np.ndarray:
        """sqrt(quadratic y^2 + slope y + floor) (P, 1)."""
        return self._modes.diffusion(t, points("y", y, 1, finite=False))

    def derivative(self, t: Any, y: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Derivative of the diffusion along v (P, 1)."""
        return self._modes.derivative(t, y, v)

    def ito_correction(self, t: Any, y: np.ndarray) -> np.ndarray:
        """Half the diffusion times its derivative (P, 1)."""
        return self._modes.ito_correction(t, y)

    def drift_flow(self, t: Any, y: np.ndarray, span: Any) -> np.ndarray:
        """Exact flow of the Stratonovich drift."""
        return self._modes.drift_flow(t, y, span)

    def noise_flows(self, t: Any, y: np.ndarray, w: np.ndarray, forward: np.ndarray) -> np.ndarray:
        """Exact flow along the noise over w (P, 1)."""
        return self._modes.noise_flows(t, y, w, forward)

    def tail_index(self) -> TailIndex:
        """1 + 2 rate / quadratic; the law's refusals as in `stationary`."""
        law = self.stationary()
        note = "" if self.quadratic else "the noise is additive and the law normal: every moment is finite"
        return TailIndex(law.index, 0.0, "closed form, one dimension", -self.rate - self.quadratic / 2, 0.0, note)

    def stationary(self) -> PearsonLaw:
        """The stationary law: density, distribution function, quantiles, moments.

        Raises
        ------
        PositiveLyapunovExponent
            If paths part.
        InvalidInput
            If the noise vanishes at 0, where the process ends.
        """
        return PearsonLaw(self.rate, self.quadratic, self.slope, self.floor)

    def power_moments(self, x0: float, times: Sequence[float] | np.ndarray, order: int = 4) -> np.ndarray:
        """Exact E Y_t^j (times, order + 1), j = 0..order, at increasing times from the point x0. All are finite."""
        order = whole_number("order", order, 0)
        one, start = np.ones(1), _point(x0)
        moments = PolynomialMoments(
            self.rate * one, one, self.slope * one, self.quadratic * one, self.floor, max(order, 2)
        )
        found = moments.at(start, finite_array("times", times, ndim=1))
        return found[:, np.argsort(moments.exponents[:, 0])][:, : order + 1]

    def moments(self, x0: float, steps: int, record: int | Sequence[int] | None = None) -> xarray.Dataset:
        """Exact `mean(step, coordinate)` and `covariance(step, coordinate, coordinate_2)` from the point x0."""
        kept = moment_steps(record, steps)
        found = self.power_moments(x0, kept, 2)
        variance = np.maximum(found[:, 2] - found[:, 1] ** 2, 0.0)
        return moments_dataset(
            kept, found[:, 1, None], variance[:, None, None], None, None, {"process": self.label}, self.clock.time(kept)
        )

    def simulate(
        self,
        x0: Any,
        steps: int,
        paths: int,
        observables: Any = "state",
        record: int | Sequence[int] | None = None,
        seed: int = 0,
        solver: Any = "ninomiya_victoir",
        substeps: int = 1,
        **options: Any,
    ) -> xarray.Dataset:
        """Simulate independent paths, with dims (path, step[, coordinate]); `options` as in `diffusions.integrate`.

        The default splits into exact flows, and has the tail index of the diffusion at every step length.
        """
        steps, substeps = whole_number("steps", steps, 1), whole_number("substeps", substeps, 1)
        kept = recorded_steps(record, steps)
        run = integrate(
            self, x0 if axes(x0) else _point(x0), float(steps), 1 / substeps, paths, solver, seed,
            observables=observables, record=kept.astype(float), **options,
        )  # fmt: skip
        return run.assign_coords(step=("time", kept)).swap_dims(time="step")


def isotropic_law(process: HomogenizedSGD) -> MultivariateT:
    """The stationary law of homogenized SGD whose eigenvalues are all equal: Student's t in d dimensions. Derived.

    With the squared noise spread (floor + coupling |z|^2) in all directions alike, the flux vanishes for the density
    (floor + coupling |z|^2)^(-1 - rate / (spread coupling)).

    Raises
    ------
    InvalidInput
        If eigenvalues differ, or in two and more dimensions a ridge moves the minimiser off the least risk: the law is
        then not the same in all directions.
    PositiveLyapunovExponent
        If there is no stationary law.
    """
    instance_of("process", process, HomogenizedSGD)
    noise, problem = linear_noise(process), process.quadratic
    assert isinstance(noise, LinearNoise)
    if not noise.isotropic or noise.dimension < problem.dimension:
        raise InvalidInput(
            f"the eigenvalues of the Hessian lie between {problem.eigenvalues.min():g} and "
            f"{problem.eigenvalues.max():g}: the law is Student's t in all dimensions only where they are equal"
        )
    if np.abs(problem.risk_slope).max() > 1e-12 * max(1.0, math.sqrt(process.floor)):
        raise InvalidInput(
            "the ridge moves the minimiser away from the least point of the risk, so the law is skewed along that "
            "direction; take ridge 0, or PearsonDiffusion.of(process) in one dimension"
        )
    index = process.tail_index()
    if math.isinf(index.index):
        raise InvalidInput(f"there is no law about the minimiser: {index.note}")
    scale = math.sqrt(process.floor / process.batch_size / (float(noise.coupling[0]) * index.index))
    return MultivariateT(problem.minimiser, scale, index.index)


def _point(x0: Any) -> np.ndarray:
    """(1,) from a number or one of length 1."""
    return finite_array("x0", np.atleast_1d(finite_array("x0", x0)), shape=(1,))

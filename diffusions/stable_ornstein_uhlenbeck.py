"""An Ornstein-Uhlenbeck process driven by a stable Levy process: a rival of diffusions with multiplicative noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

import numpy as np

from sgdlimits.ensembles.initial import initial_moments, moment_steps
from sgdlimits.ensembles.results import moments_dataset
from sgdlimits.ensembles.simulators import ArraySimulator, rotated
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.errors import (
    InvalidInput,
    PositiveLyapunovExponent,
    axes,
    finite_array,
    flag,
    non_negative,
    points,
    positive,
    text,
)
from sgdlimits.exact.noise_maps import ConstantNoise
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stable_convolution import StableConvolution
from sgdlimits.exact.stable_law import StableLaw, stable_index
from sgdlimits.exact.tail_index import TailIndex

from .ornstein_uhlenbeck import OrnsteinUhlenbeck
from .stable_noise import StableProcess, noise_columns, noise_steps, stated_length

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class StableOrnsteinUhlenbeck(StableProcess):
    """dX = -K (X - centre) dt + S dL, with L symmetric stable: E exp(i u . L_t) = exp(-t |u|^index).

    |u|^index is the sum of |u_j|^index for independent coordinates of L, and (u . u)^(index / 2) for isotropic ones.
    At index 2 both are Brownian: S dL is then sqrt(2) S dW, so sigma dW has the scale sigma / sqrt(2). The process is
    sampled exactly, whatever the step, where its law over a step is a matrix times one stable vector: where every
    column of S is an eigenvector of K (for isotropic noise, where K is a multiple of the identity), and at index 2.
    Its law along a direction is known for every K.

    Parameters
    ----------
    rates : float, (d,) or (d, d) array
        K: a multiple of the identity, a diagonal or a matrix.
    scale : float, (d,) or (d, m) array
        S, in the same way; a matrix may have any signs.
    index : float
        Above 0, at most 2.
    centre : (d,) array, optional
        Default: the origin.
    isotropic : bool
        Whether L is rotation invariant (sub-Gaussian) rather than of independent coordinates.
    step_size : float
        The process's time in one step.
    label : str

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    """

    rates: Any
    scale: Any
    index: float
    centre: Any = None
    isotropic: bool = False
    step_size: float = 1.0
    label: str = "stable Ornstein-Uhlenbeck"

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "the law at every time is stable of the same index, about the solution without noise, and so is the "
            "stationary law",
            ("linear drift", "additive stable noise"),
            "derived",
        ),
    )

    def __post_init__(self) -> None:
        d = stated_length(self.rates, self.scale, self.centre)
        k = finite_array("rates", self.rates)
        shape = (d, d) if k.ndim == 2 else (d,)
        k = finite_array("rates", np.broadcast_to(k, d) if k.ndim == 0 else k, shape=shape)
        fields = {
            "rates": np.diag(k) if k.ndim == 1 else k.copy(),
            "scale": noise_columns(self.scale, d),
            "index": stable_index(self.index),
            "centre": np.zeros(d) if self.centre is None else finite_array("centre", self.centre, shape=(d,)).copy(),
            "isotropic": flag("isotropic", self.isotropic),
            "step_size": positive("step_size", self.step_size),
            "label": text("label", self.label),
        }
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, sgd: Any, index: float) -> Self:
        """What an SGD would be if the noise of its steps were stable, in gradient-flow time, about the minimiser.

        Drift: the gradient of the objective (of a smooth loss, its quadratic about a minimum). Noise: independent along
        the eigenvectors of the Hessian; there the increment of one step has the interquartile range of the normal law
        with the variance of one SGD step at the minimiser, label noise included. So the scale grows with step_size to
        the power 1 - 1 / index. Correlations between those eigenvectors are left out. At index 2 it is
        `OrnsteinUhlenbeck.of(sgd)`, but for those.

        Raises
        ------
        InvalidInput
            If the SGD is none that `OrnsteinUhlenbeck.of` takes, its step size is a schedule, or it has no noise there.
        """
        gaussian, index = OrnsteinUhlenbeck.of(sgd), stable_index(index)
        if isinstance(gaussian.step_size, StepSizes):
            raise InvalidInput(
                f"step_size is the schedule {gaussian.step_size!r}, and {cls.__name__} takes one number: pass "
                "dataclasses.replace(sgd, step_size=...) with the step size that is meant"
            )
        problem, size = gaussian.quadratic, float(gaussian.step_size)
        deviations = np.sqrt(np.maximum(np.diag(cast(ConstantNoise, gaussian.noise_map).covariance), 0.0))
        normal, stable = (law.ppf(np.array([0.75]))[0] for law in (StableLaw(2.0, math.sqrt(0.5)), StableLaw(index)))
        scales = size ** (1 - 1 / index) * normal / stable * deviations
        vectors = problem.eigenvectors
        drift = (vectors * (gaussian.rates / size)) @ vectors.T
        return cls(drift, vectors * scales, index, problem.minimiser, step_size=size)

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return len(self.centre)

    @cached_property
    def _convolution(self) -> StableConvolution:
        return StableConvolution(self.rates, self.scale, self.index, self.isotropic)

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray:
        """-K (x - centre) at x (P, d)."""
        return -(points("x", x, self.dimension, finite=False) - self.centre) @ self.rates.T

    def law(self, time: float, x0: Any, direction: Any = None) -> StableLaw:
        """The exact law of direction . X at a time, from the point x0 (d,); `direction` (d,) may be left out on a line.

        Where there is no closed form its scale is a quadrature to a relative 1e-9.
        """
        time, u = non_negative("time", time), self._direction(direction)
        start = finite_array("x0", np.atleast_1d(finite_array("x0", x0)), shape=(self.dimension,))
        middle = self.centre + self._convolution.flow(time) @ (start - self.centre)
        return StableLaw(self.index, self._convolution.scale(time, u), float(u @ middle))

    def stationary(self, direction: Any = None) -> StableLaw:
        """The exact stationary law of direction . X; on a line its scale is S / (index K)^(1 / index).

        Raises
        ------
        PositiveLyapunovExponent
            If the drift does not pull back.
        """
        self._settles()
        u = self._direction(direction)
        return StableLaw(self.index, self._convolution.scale(math.inf, u), float(u @ self.centre))

    def tail_index(self) -> TailIndex:
        """The index, infinite at 2; the refusal as in `stationary`."""
        exponent = self._settles()
        normal = self.index == 2
        note = "the law is normal: every moment is finite" if normal else ""
        return TailIndex(
            math.inf if normal else self.index, 0.0, "closed form: linear drift leaves a stable law stable", exponent,
            0.0, note,
        )  # fmt: skip

    def moments(self, x0: Any, steps: int, record: int | Sequence[int] | None = None) -> xarray.Dataset:
        """Exact `mean(step, coordinate)`; at index 2 also `covariance(step, coordinate, coordinate_2)`.

        Raises
        ------
        InvalidInput
            At index 1 and below, where there is no mean. Below 2 no covariance is finite, and none is returned.
        """
        if self.index <= 1:
            raise InvalidInput(
                f"a stable law of index {self.index:g} has no mean: take law(time, x0, direction) and its quantiles"
            )
        kept, (mean, covariance) = moment_steps(record, steps), initial_moments(x0, self.dimension)
        times = self.clock.time(kept.astype(float))
        flows = [self._convolution.flow(time) for time in times]
        means = np.array([self.centre + flow @ (mean - self.centre) for flow in flows])
        covariances = None
        if self.index == 2:
            roots = [self._convolution.matrix(time) for time in times]
            covariances = np.array([flow @ covariance @ flow.T + 2 * r @ r.T for flow, r in zip(flows, roots)])
        return moments_dataset(kept, means, covariances, None, None, {"process": self.label}, times)

    def scheme(self) -> dict[str, Any]:
        """None: the law of a step is exact."""
        return {}

    def simulator(self) -> ArraySimulator:
        """What the engine advances: the exact law of a step."""
        if not self._convolution.closed:
            kind = "K is no multiple of the identity" if self.isotropic else "a column of scale is no eigenvector of K"
            raise InvalidInput(
                f"{kind}, so that the law of a step is not sampled exactly: take StableLangevin with this drift, scale "
                "and index, whose law tends to it with substeps, or law(time, x0, direction), which is exact"
            )
        decay, columns = self._convolution.flow(self.step_size), self._convolution.matrix(self.step_size)
        decay, columns = np.ascontiguousarray(decay), np.ascontiguousarray(columns)

        def move(x: np.ndarray, k: int) -> np.ndarray:
            return self.centre + rotated(x - self.centre, decay)

        return ArraySimulator(self.label, self.dimension, noise_steps(move, columns, self.index, self.isotropic))

    def _direction(self, direction: Any) -> np.ndarray:
        if direction is None and self.dimension == 1:
            return np.ones(1)
        if direction is None or axes(direction) != 1:
            raise InvalidInput(f"direction must be {self.dimension} numbers: the law of direction . X is given")
        return finite_array("direction", direction, shape=(self.dimension,))

    def _settles(self) -> float:
        """Lyapunov exponent per step."""
        exponent = -self._convolution.slowest * self.step_size
        if exponent >= 0:
            raise PositiveLyapunovExponent(
                f"{self.label} has no stationary law: an eigenvalue of rates has the real part "
                f"{self._convolution.slowest:.4g}, and all must lie above 0",
                lyapunov_exponent=exponent,
            )
        return exponent

"""Underdamped Langevin: the limit of momentum where 1 - momentum and the root of the step size fall together. Derived.

With h = sqrt(step_size), friction mu = (1 - momentum) / h and velocity V = -h m, heavy ball is V <- (1 - mu h) V - h g,
x <- x + h V. One step moves (x, V) by h F and a rest of order h^2, F = (V, -mu V - grad f): x takes h G more, with
G = -mu V - grad f for heavy ball and twice that for Nesterov. A diffusion with the drift F + h F_1 takes
h^2 (F_1 + F' F / 2) in the same time, so that F_1 = (G, 0) - F' F / 2 leaves h^3 to a step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, flag, real_number, whole_number
from sgdlimits.exact.ladders import Held, Ladder
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.numerical_derivatives import slope_along
from sgdlimits.exact.phase_space_moments import PhaseSpaceFlow
from sgdlimits.exact.schedules import STANDSTILL
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.second_moments import SecondMoments

from .optimiser_limit import OptimiserLimit

if TYPE_CHECKING:
    from collections.abc import Sequence

    import xarray


@dataclass(frozen=True, eq=False)
class UnderdampedLangevin(OptimiserLimit):
    """dX = V dt, dV = -(mu V + grad f(X)) dt + step_size^(1/4) sqrt(C(X)) dW; one step is sqrt(step_size).

    mu = (1 - momentum) / sqrt(step_size), and C is the covariance of the batch's gradient, label noise included. Order
    2 corrects the drift by sqrt(step_size) (a (mu V + grad f), (f'' V - mu^2 V - mu grad f) / 2), a = -1/2 for heavy
    ball and -3/2 for Nesterov, which are alike at order 1. The velocity starts at zero.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares, or a loss over stored samples
        Moments, stability and the stationary law are known for the first two; the others are simulated.
    step_size : float
    batch_size : int
    momentum : float
        At least 0 and below 1.
    nesterov : bool
    order : 1 or 2
    sampling : "with_replacement" or "without_replacement"
    label_noise : float

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    momentum: float = 0.9
    nesterov: bool = False
    order: int = 1
    sampling: str = "with_replacement"
    label_noise: float = 0.0

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "weak approximation of momentum in sqrt(step_size), at (1 - momentum) / sqrt(step_size) held fixed, of "
            "order 1, or 2 with the corrected drift (both orders are measured by compare.orders)",
            ("smooth loss with bounded growth", "independent batches", "a finite time sqrt(step_size) * steps"),
            "derived",
            1.0,
        ),
    )
    noise_type: ClassVar[str] = "commutative"  # noise enters the velocity alone, and depends on the position alone
    limit_of: ClassVar[str] = "momentum (heavy ball and Nesterov)"
    slots: ClassVar[int] = 1
    ladder: ClassVar[Ladder] = Ladder((Held("momentum", 0.5, complement=True),), 0.5)
    law_solver: ClassVar[str] = "heun"

    def __post_init__(self) -> None:
        momentum = real_number("momentum", self.momentum)
        if not 0 <= momentum < 1:
            raise InvalidInput(f"momentum must be at least 0 and below 1, got {momentum!r}")
        object.__setattr__(self, "momentum", momentum)
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))
        object.__setattr__(self, "order", whole_number("order", self.order, 1, 2))
        self.check_shared()

    @property
    def label(self) -> str:
        """Short name."""
        return "underdamped Langevin" + (", order 2" if self.order == 2 else "")

    @property
    def clock(self) -> Clock:
        """One step is sqrt(step_size)."""
        return Clock(1 / math.sqrt(self.step_size), "sqrt(step_size)")

    @property
    def weak_order(self) -> int:
        """Claimed weak order in sqrt(step_size)."""
        return self.order

    @property
    def friction(self) -> float:
        """mu."""
        return (1 - self.momentum) / math.sqrt(self.step_size)

    @property
    def _ahead(self) -> float:
        """a: what the position's correction of order 2 takes of mu V + grad f."""
        return -1.5 if self.nesterov else -0.5

    @classmethod
    def settings_of(cls, rule: Any) -> dict[str, Any]:
        return {"momentum": rule.momentum, "nesterov": rule.label.startswith("Nesterov")}

    def first_step(self, x: np.ndarray, gradient: np.ndarray) -> None:
        return None

    def start_slots(self) -> None:
        return None

    @cached_property
    def linear(self) -> np.ndarray | None:
        """-drift's matrix of (position, velocity) on least squares, per unit of the clock."""
        if not isinstance(self.problem, QuadraticProblem):
            return None
        d, vectors = self.dimension, self.problem.eigenvectors
        drifts = float(self.clock) * self.flow_at(self.step_size).drifts
        blocks = np.einsum("im,mab,jm->aibj", vectors, drifts, vectors)
        return np.ascontiguousarray(-blocks.reshape(2 * d, 2 * d))

    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift (P, 2 d) of (position, velocity)."""
        x, v = self.parts(z)
        mu, slope = self.friction, self.gradient.mean(x)
        pull = mu * v + slope
        if self.order == 1:
            return np.concatenate([v, -pull], axis=1)
        h, bent = math.sqrt(self.step_size), self._bent(x, v)
        return np.concatenate([v + h * self._ahead * pull, -pull + 0.5 * h * (bent - mu * pull)], axis=1)

    def _bent(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Hessian times velocity (P, d)."""
        if isinstance(self.problem, QuadraticProblem):
            return self.gradient.mean(self.problem.minimiser + v)
        size = np.linalg.norm(v, axis=1, keepdims=True)
        return size * slope_along(self.gradient.mean, x, v / np.where(size > 0, size, 1.0))

    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diffusion matrices (P, 2 d, m)."""
        return self.entering(1, self.step_size**0.25 * self.gradient.root(self.parts(z)[0]))

    def diffusion_product(self, t: Any, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times w (P, m)."""
        return self.entering(1, self.step_size**0.25 * self.gradient.noise(self.parts(z)[0], w))

    @property
    def quadratic(self) -> QuadraticProblem:
        """The problem, where it has closed moments."""
        if not isinstance(self.problem, QuadraticProblem):
            raise InvalidInput(
                f"{self.label} on {type(self.problem).__name__} has no closed form: this needs LeastSquares, "
                "StreamingLeastSquares or NoisyQuadratic; on other losses simulate"
            )
        return self.problem

    @cached_property
    def noise_map(self) -> NoiseMap:
        """Expected covariance (d, d) of the batch's gradient, in modes, from moments of the modes."""
        factor = self.quadratic.sampling_factor(self.batch_size, self.sampling)
        return self.quadratic.gradient_noise_map(factor, self.label_noise**2 / self.batch_size)

    def flow_at(self, step_size: float) -> PhaseSpaceFlow:
        """Its moment equations per step, at this step size and the same momentum."""
        h = math.sqrt(max(step_size, STANDSTILL))
        k, lost = self.quadratic.curvatures, 1 - self.momentum  # mu h
        drifts = np.zeros((k.size, 2, 2))
        drifts[:, 0, 1], drifts[:, 1, 0], drifts[:, 1, 1] = h, -h * k, -lost
        if self.order == 2:
            drifts[:, 0, 0] += self._ahead * h**2 * k
            drifts[:, 0, 1] += self._ahead * h * lost
            drifts[:, 1, 0] -= 0.5 * h * lost * k
            drifts[:, 1, 1] += 0.5 * (h**2 * k - lost**2)
        return PhaseSpaceFlow(drifts, np.array([0.0, 1.0]), h**2, self.noise_map)

    @property
    def second_moments(self) -> SecondMoments:
        """What its first two moments obey, per step."""
        problem = self.quadratic
        threshold = 0.0 if problem.curvatures.min() < 0 else self._mean_threshold()
        flow_at: Any = self.flow_at  # speaks the protocol of a MomentFlow
        return SecondMoments(problem, self.label, self.step_size, flow_at, threshold)

    def _mean_threshold(self) -> float:
        """Step size below which the mean settles: all at order 1; at 2 while each mode's drift has determinant > 0.

        With l = step_size * curvature that is l (1 + (1 - momentum) / 2 + a l / 2), and the trace is negative.
        """
        largest = float(self.quadratic.curvatures.max())
        if self.order == 1 or largest <= 0:
            return math.inf
        return (2 + (1 - self.momentum)) / (-self._ahead * largest)

    @property
    def moments_close(self) -> bool:
        """Whether `moments` has them."""
        return isinstance(self.problem, QuadraticProblem)

    def moments(
        self, x0: Any, steps: int, record: int | Sequence[int] | None = None, quantities: Sequence[str] | None = None,
        progress: Any = None,
    ) -> xarray.Dataset:  # fmt: skip
        """Exact mean, covariance and expected risk; no Monte Carlo. Arguments as in `Diffusion.moments`.

        Returns
        -------
        xarray.Dataset
            `mean(step, coordinate)`, `covariance(step, coordinate, coordinate_2)`, `risk(step)` of the position.
        """
        second = self.second_moments
        second.warn_if_unstable()
        return second.moments(x0, steps, record, quantities, self._attributes(), self.clock.time, progress)

    def stationary(self, settled_only: bool = False) -> StationaryLaw:
        """Exact mean, covariance and expected risk of the stationary law of the position.

        Per unit of a constant noise, entry (i, j) of the covariance is, with order 1, l = step_size, b = momentum and
        curvatures k, l / [(1 - b) (k_i + k_j) + l (k_i - k_j)^2 / (2 (1 - b))]; the noise is that of the whole law.

        Parameters
        ----------
        settled_only : bool
            As in `SGD.stationary`.

        Raises
        ------
        NoStationaryLaw
            If the mean does not settle.
        InfiniteVariance
            If the second moment does not settle; `.threshold` is the step size at which it ceases to.
        """
        return self.second_moments.stationary(settled_only)

    def stability(self) -> Stability:
        """Step sizes below which mean and second moment settle, at this momentum."""
        return self.second_moments.stability()

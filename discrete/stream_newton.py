"""Exact moments of stochastic Newton on Gaussian streams, from moments of inverse Wishart matrices. Derived.

Without damping and ridge, in coordinates in which features are standard normal. With the batch's own Hessian of
B > d + 1 samples, x' = (1 - size) x + size (X^T X)^-1 X^T noise, and E (X^T X)^-1 = I / (B - d - 1). With that of
another batch of b > d + 3, W = b H' Wishart, E W^-1 = I / (b - d - 1) and, for symmetric N,

    E W^-1 N W^-1 = (N + tr(N) I / (b - d - 1)) / ((b - d) (b - d - 3)).

With a damping and no ridge, single samples whose features are all alike: directions are uniform, and lengths are a
quadrature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, SgdlimitsError
from sgdlimits.exact.moment_growth import alike
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_maps import ConstantNoise, NoiseMap, RankOneNoise
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.streaming import StreamingLeastSquares

from .curved_tails import stream_index
from .exact_form import ExactForm, asked, refuse_schedule
from .newton_step import NewtonStep, proximal_stability
from .stationary_states import StationaryState, state_of

if TYPE_CHECKING:
    import xarray

    from .sgd import SGD


@dataclass(frozen=True, eq=False)
class StreamNewton(ExactForm):
    """Of a descent on a Gaussian stream.

    Attributes
    ----------
    sgd : SGD
    newton : NewtonStep
    """

    sgd: SGD
    newton: NewtonStep

    @property
    def problem(self) -> StreamingLeastSquares:
        """The stream."""
        problem = self.sgd.problem
        assert isinstance(problem, StreamingLeastSquares)
        return problem

    @cached_property
    def _rate_and_noise(self) -> tuple[float, NoiseMap]:
        """By what a step of size 1 shortens the mean, and the covariance of its direction, over 1 / (h_i h_j).

        Raises
        ------
        InvalidInput
            If damping or ridge leave no closed form.
        InfiniteVariance
            If a batch is so small that one step has none.
        """
        sgd, problem, newton = self.sgd, self.problem, self.newton
        h, single = problem.eigenvalues, newton.batch is None and sgd.batch_size == 1
        if single and newton.damping and not problem.ridge and h.min() > 0 and alike(h):
            return self._isotropic()
        if newton.damping or problem.ridge or h.min() <= 0:
            raise InvalidInput(
                f"exact moments of {sgd.label} on a stream are known without damping and ridge, and with features in "
                "every direction, or without ridge for single samples whose features are all alike: simulate, or take "
                "finite data"
            )
        d, size = problem.dimension, sgd.batch_size
        variance = problem.noise**2 + sgd.label_noise**2
        b = newton.batch
        if b is None:
            if size <= d + 1 and variance:
                self._refuse("batch_size", size, d + 1)
            return 1.0, ConstantNoise(np.diag(h * variance / max(size - d - 1, 1)))
        if b <= d + 3:
            self._refuse("hessian_batch_size", b, d + 3)
        rate = b / (b - d - 1)
        straight = b**2 / ((b - d) * (b - d - 3))
        traced = straight / (b - d - 1)
        coupling = straight / size + traced * (1 + (1 + d) / size)  # of the trace of the second moment
        floor = variance * (straight + d * traced) / size
        own = np.sqrt(straight * (1 + 1 / size) - rate**2)
        zero = np.zeros(d)
        return rate, RankOneNoise(h, coupling * h, zero, floor, own * h, zero)

    def _isotropic(self) -> tuple[float, NoiseMap]:
        """Of single samples a = R e whose direction e is uniform: means of R^2 / (R^2 + damping) and of its square."""
        problem, damping = self.problem, self.newton.damping
        d, h = problem.dimension, float(problem.eigenvalues[0])
        first, second, third = (_mean(d, damping / h, power) for power in ((1, 1), (2, 2), (1, 2)))
        rate, one = first / d, np.ones(d)
        own = np.sqrt(max(2 * second / (d * (d + 2)) - rate**2, 0.0)) if d > 1 else 0.0
        level = second / (d * (d + 2)) if d > 1 else second - rate**2
        floor = (problem.noise**2 + self.sgd.label_noise**2) * third / (h * d)
        return rate, RankOneNoise(h**2 * one, level * one, 0 * one, floor, own * h * one, 0 * one)

    def _refuse(self, name: str, size: int, least: int) -> None:
        raise InfiniteVariance(
            f"{name} is {size}, and the inverse of the Hessian of so few samples has no variance that {self.sgd.label} "
            f"could settle to at any step size: take {name} above {least}, or a damping",
            0.0,
        )

    def _equations(self, step_size: float) -> MomentMap:
        (rate, noise), h = self._rate_and_noise, self.problem.eigenvalues
        lost = np.full((h.size, 1, 1), step_size * rate)
        return MomentMap(1 - lost, np.array([-step_size]), noise, 1 / np.outer(h, h), lost=lost)

    @property
    def _second(self) -> SecondMoments:
        threshold = 2 / self._rate_and_noise[0]
        return SecondMoments(
            self.problem, self.sgd.label, self.newton.size, self._equations, threshold, settled_threshold=threshold
        )

    @property
    def closes(self) -> bool:
        try:
            _ = self._rate_and_noise
        except SgdlimitsError:
            return False
        return True

    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        chosen = asked(self.sgd.label, quantities)
        return self._second.moments(x0, steps, record, chosen, attributes, self.sgd._time, progress)

    def stationary(self, settled_only: bool) -> StationaryLaw:
        return self._second.stationary(settled_only)

    def state(self) -> StationaryState:
        law, equations = self.stationary(False), self._second.equations
        assert isinstance(equations, MomentMap)
        vectors = self.problem.eigenvectors
        return state_of(equations, vectors.T @ law.covariance @ vectors, vectors, law.mean)

    def stability(self) -> Stability:
        return proximal_stability(self.sgd) if self.newton.proximal else self._second.stability()

    def tail_index(self, **options: Any) -> TailIndex:
        refuse_schedule(self.newton.size)
        return stream_index(self.sgd, self.newton, **options)


def _mean(d: int, ratio: float, power: tuple[int, int]) -> float:
    """E X^m / (X + ratio)^n, X chi-squared of d degrees of freedom, by an integral over its root, to rounding."""
    from scipy.integrate import quad
    from scipy.special import gammaln

    scale = math.log(2) * (1 - d / 2) - gammaln(d / 2)

    def density(y: float) -> float:
        x = y * y
        return math.exp(scale + (d - 1) * math.log(y) - x / 2) * x ** power[0] / (x + ratio) ** power[1] if y else 0.0

    ends = [0.0, math.sqrt(ratio), math.sqrt(d), math.sqrt(d) + 12.0]
    ends = sorted({end for end in ends if end <= ends[-1]})
    return float(sum(quad(density, a, b, epsabs=0.0, epsrel=1e-13, limit=200)[0] for a, b in zip(ends, ends[1:])))

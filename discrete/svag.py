"""SVAG: small steps with amplified noise, on the way from SGD to the diffusion of its own step size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, instance_of, some_of, whole_number
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.problems.second_moments import QUANTITIES, SecondMoments

from . import moment_equations
from .rules import Plain, Rule
from .sgd import SGD
from .simulated import Simulated
from .sources import source_of
from .sources.sampled import Samples

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class _Weighted:
    """Steps of l^-1 step_size along weighted batches, as a compiled loop asks for them."""

    problem: Any
    sampling: str
    label_noise: float
    step_size: float
    batch_weights: np.ndarray

    @property
    def update_rule(self) -> Rule:
        return Plain()

    def step_sizes(self, first: int, last: int) -> np.ndarray:
        return np.array([self.step_size])


@dataclass(frozen=True, eq=False)
class SVAG(Simulated):
    """Stochastic variance amplified gradient: x <- x - (step_size / l) (c+ g1 + c- g2), l times for one step of SGD.

    g1 and g2 are gradients of independent batches and c+- = (1 +- sqrt(2 l - 1)) / 2: the mean gradient stays as it is,
    and its covariance is l times as large. l = 1 is SGD, to the bit; the larger l, the nearer to the diffusion that has
    SGD's own step size in its noise. Steps are counted as SGD's: step k is after k l increments. An increment draws two
    batches, so that a step costs 2 l of SGD's.

    On least squares the first two moments are exact, those of SGD with step size step_size / l whose noise is
    multiplied by l. Derived.

    Parameters
    ----------
    sgd : discrete.SGD
        Plain, with one step size and batches that are independent from step to step.
    l : int
        At least 1.

    Raises
    ------
    InvalidInput
        If the SGD has momentum, another rule, a schedule or reshuffled batches.
    """

    sgd: SGD
    l: int  # noqa: E741  # the name it has in the literature

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "weak approximation, of order 1 in 1/l, of the modified equation of order 1 with SGD's step size",
            ("smooth loss", "independent batches"),
            "li2021",
            1.0,
        ),
    )

    def __post_init__(self) -> None:
        instance_of("sgd", self.sgd, SGD, "SVAG amplifies the noise of a discrete.SGD")
        object.__setattr__(self, "l", whole_number("l", self.l, 1, 2**20))
        if self.sgd.rule is not None or self.sgd.momentum:
            raise InvalidInput(f"SVAG amplifies the noise of plain SGD, and this is {self.sgd.label}: leave it out")
        if isinstance(self.sgd.step_size, StepSizes):
            raise InvalidInput(f"SVAG takes one step size, and step_size is the schedule {self.sgd.step_size!r}")
        if self.sgd.sampling == "reshuffle":
            raise InvalidInput(
                "SVAG needs two independent batches an increment, and reshuffled ones are not: take "
                "sampling='with_replacement' or 'without_replacement'"
            )

    @property
    def problem(self) -> Any:
        """What is descended."""
        return self.sgd.problem

    @property
    def step_size(self) -> float:
        """SGD's; an increment is 1 / l of it."""
        return self.sgd.step_size

    @property
    def batch_size(self) -> int:
        """Of each of the two batches."""
        return self.sgd.batch_size

    @property
    def sampling(self) -> str:
        """As of SGD."""
        return self.sgd.sampling

    @property
    def label_noise(self) -> float:
        """As of SGD."""
        return self.sgd.label_noise

    @property
    def clock(self) -> Clock:
        """One step of SGD is one unit of time."""
        return Clock(1.0, "1")

    @property
    def label(self) -> str:
        """Short name."""
        return f"SVAG, l={self.l}"

    @property
    def draws(self) -> int:
        """Samples that a step draws: of 2 l batches."""
        return 2 * self.l * self.batch_size

    @property
    def coefficients(self) -> tuple[float, float]:
        """c+ and c-, of sum 1 and sum of squares l."""
        root = math.sqrt(2 * self.l - 1)
        return (1 + root) / 2, (1 - root) / 2

    @property
    def noise_map(self) -> NoiseMap:
        """Expected covariance (d, d) of the batch gradient of SGD in modes; an increment has l times as much."""
        return self.sgd.noise_map

    def moment_map(self, step_size: float | None = None) -> MomentMap:
        """One increment of the exact moment equations in modes, at this step size of SGD or another."""
        increment = (self.step_size if step_size is None else step_size) / self.l
        return replace(self.sgd.moment_map(increment), weights=np.full((1, 1), float(self.l)))

    @property
    def second_moments(self) -> SecondMoments:
        """What its first two moments obey, increment by increment, where they close."""
        second = moment_equations.second_moments(self.sgd)
        return SecondMoments(
            second.problem, self.label, self.step_size, self.moment_map, self.l * second.mean_threshold,
            increments=self.l,
        )  # fmt: skip

    @property
    def moments_close(self) -> bool:
        """As of SGD."""
        return self.sgd.moments_close

    def moments(
        self,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        quantities: Sequence[str] | None = None,
        progress: bool | Progress | None = None,
    ) -> xarray.Dataset:
        """Exact mean, covariance and expected risk after steps of SGD; as `SGD.moments`. Least squares.

        Raises
        ------
        InvalidInput
            If the problem has no closed moments, or an argument cannot be used.
        OutOfReach
            If what is asked for takes hours.

        Warns
        -----
        StabilityWarning
            If the step size is not below the threshold of the mean or of the second moment.
        """
        chosen, second = some_of("quantities", quantities, QUANTITIES), self.second_moments
        second.warn_if_unstable()
        return second.moments(x0, steps, record, chosen, self._attributes(), self._time, progress)

    def stationary(self) -> StationaryLaw:
        """Exact mean, covariance and expected risk of the stationary law; errors as of `SGD.stationary`."""
        return self.second_moments.stationary()

    def stability(self) -> Stability:
        """Step sizes of SGD below which mean and second moment settle, on the range of the data."""
        return self.second_moments.stability()

    def simulator(self) -> Simulator:
        """What the engine advances: a compiled loop over weighted batches where there is one."""
        if self.l == 1:
            return self.sgd.simulator()
        if not self.sgd.source.compiled or self.sampling != "with_replacement":
            return RecurrenceSimulator(self, self.problem.dimension, self.problem.risk)
        batch = self.batch_size
        weights = np.repeat(2 * np.array(self.coefficients), batch)
        source = source_of(self.problem, 2 * batch, self.sampling, self.label_noise)
        descent = _Weighted(self.problem, self.sampling, self.label_noise, self.step_size / self.l, weights)
        loop: Any = source.simulator(descent)
        return replace(loop, name=f"{loop.name}, amplified {self.l} times", substeps=self.l)

    @cached_property
    def _moves(self) -> tuple[float, float]:
        """What each of the two gradients is multiplied by in an increment."""
        plus, minus = self.coefficients
        return plus * self.step_size / self.l, minus * self.step_size / self.l

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        """Positions (P, d)."""
        return np.array(x0)

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        """State after the l increments of step k, in NumPy: the definition that the compiled loops must reproduce."""
        if self.l == 1:
            return state - self.step_size * self.sgd.source.gradient(k, state, noise)
        source = self.sgd.source
        for place in range(k * self.l, (k + 1) * self.l):
            if isinstance(source, Samples):
                state = state - source.combined((2 * place, 2 * place + 1), self._moves, state, noise)
                continue
            first, second = (source.gradient(2 * place + which, state, noise) for which in (0, 1))
            state = state - self._moves[0] * first - self._moves[1] * second
        return state

    def position(self, state: np.ndarray) -> np.ndarray:
        """Positions (P, d) of a state."""
        return state

    def _time(self, steps: np.ndarray) -> None:
        """No other clock than steps."""

    def _attributes(self) -> dict[str, Any]:
        return {
            "process": self.label, "problem": repr(self.problem), "step_size": self.step_size,
            "batch_size": self.batch_size, "sampling": self.sampling, "label_noise": self.label_noise, "l": self.l,
        }  # fmt: skip

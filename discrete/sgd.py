"""SGD: a source of gradients, an update rule and a step size; its exact moments where both are linear."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator, run
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.exact import fourth_moments, mean_square
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import (
    InvalidInput,
    StabilityWarning,
    flag,
    kind,
    non_negative,
    whole_number,
)
from sgdlimits.exact.moment_maps import MomentMap, gain_threshold
from sgdlimits.exact.outcomes import Stability, StationaryLaw
from sgdlimits.exact.schedules import StepSizes, elapsed, sizes_between, step_size_or_schedule
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.problem import Problem
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.second_moments import moments_of, stationary_of
from sgdlimits.problems.streaming import StreamingLeastSquares

from .rules import HeavyBall, Nesterov, Plain, Rule, find_rule
from .rules.momentum import check_momentum
from .sources import Source, drawn_rows, source_of

if TYPE_CHECKING:
    import xarray

BYTES_A_ROW = 16 * 17  # of the words and normals that a pack of paths draws for one row
NANOSECONDS_A_ROW = 13  # to draw a row and start a product with it
LONGEST_RUN = 1.0  # hours, of batches that are larger than the data

@dataclass(frozen=True, eq=False)
class SGD:
    """Stochastic gradient descent: x <- x - step_size * g, or with momentum as torch.optim.SGD (dampening 0).

    With the batch gradient g, momentum mu and step size eta: m <- mu m + g; then x <- x - eta m (heavy ball)
    or x <- x - eta (g + mu m) (Nesterov). The buffer m starts at zero.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares, Logistic, SampleLoss or Supervised
    step_size : float, or function of the step
        A function k -> step size of step k = 0, 1, ...; see `discrete.schedules`. As in torch.optim, it multiplies the
        move, not what goes into the momentum.
    batch_size : int
    sampling : {"with_replacement", "without_replacement", "reshuffle"}
        Fresh independent rows at every step, a fresh subset at every step, or one permutation an epoch of
        n // batch_size steps (rows past the last full batch rest for that epoch).
    momentum : float
        mu, at least 0 and below 1.
    label_noise : float
        Standard deviation of fresh Gaussian noise on every drawn label.
    nesterov : bool
    rule : name or object of discrete.rules, or a user's own object, optional
        Another update rule than these: `rules.Adam()`, "adam", `rules.Clipped(1.0)`, ... A user's has
        move(x (P, d), slots (P, m, d), gradient (P, d), step_size, k) -> (x, slots) and `slots` = m, or a compiled
        move, see `rules.UserRule`.

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    sampling: str = "with_replacement"
    momentum: float = 0.0
    label_noise: float = 0.0
    nesterov: bool = False
    rule: Any = None

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "mean, covariance and expected risk obey closed linear recurrences, so they are computed exactly",
            ("least squares", "batches independent from step to step"),
            "derived",
        ),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.problem, Problem):
            raise InvalidInput(
                f"problem must be one of sgdlimits.problems, got {kind(self.problem)}; "
                "LeastSquares, StreamingLeastSquares, Logistic, SampleLoss and Supervised can be used"
            )
        batch = self.problem.check_batch_size(self.batch_size, self.sampling)
        object.__setattr__(self, "step_size", step_size_or_schedule(self.step_size))
        object.__setattr__(self, "batch_size", batch)
        object.__setattr__(self, "momentum", check_momentum(self.momentum))
        object.__setattr__(self, "label_noise", non_negative("label_noise", self.label_noise))
        object.__setattr__(self, "nesterov", flag("nesterov", self.nesterov))
        self._settle_rule()
        if self.label_noise and not isinstance(self.problem, QuadraticProblem):
            raise InvalidInput(
                f"label_noise is {self.label_noise!r}, but only least squares has labels to add it to; "
                "write it into the loss instead"
            )

    def _settle_rule(self) -> None:
        """Bring momentum, nesterov and rule into one form: the built-in linear rules as the first two."""
        if self.rule is not None:
            if self.momentum or self.nesterov:
                raise InvalidInput(
                    f"both momentum={self.momentum:g}, nesterov={self.nesterov} and a rule are given: leave one out"
                )
            rule = find_rule(self.rule)
            if isinstance(rule, (HeavyBall, Nesterov)):
                object.__setattr__(self, "momentum", rule.momentum)
                object.__setattr__(self, "nesterov", isinstance(rule, Nesterov))
            linear = isinstance(rule, (Plain, HeavyBall, Nesterov))
            object.__setattr__(self, "rule", None if linear else rule)
        if self.nesterov and not self.momentum:
            raise InvalidInput("nesterov needs a momentum above zero, got momentum=0")

    @cached_property
    def update_rule(self) -> Rule:
        """The rule in use, whichever way it was given."""
        if self.rule is not None:
            return self.rule
        if not self.momentum:
            return Plain()
        return Nesterov(self.momentum) if self.nesterov else HeavyBall(self.momentum)

    @cached_property
    def source(self) -> Source:
        """Where the gradients come from."""
        return source_of(self.problem, self.batch_size, self.sampling, self.label_noise)

    def step_sizes(self, first: int, last: int) -> np.ndarray:
        """The one step size, (1,), or those of steps first..last-1."""
        return sizes_between(self.step_size, first, last)

    @property
    def clock(self) -> Clock:
        """One step is one unit of time."""
        return Clock(1.0, "1")

    @property
    def label(self) -> str:
        """Short name."""
        if self.rule is not None:
            return self.rule.label
        return f"SGD, {self.update_rule.label}" if self.momentum else "SGD"

    def noise_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Expected covariance (d, d) of the batch gradient in modes, from moments of the modes; derived.

        The covariance of one sample's gradient times the sampling factor, plus label_noise^2 H / batch_size:
        label noise is fresh at every draw, whatever the sampling.
        """
        factor = self._quadratic.sampling_factor(self.batch_size, self.sampling)
        noise = factor * self.problem.noise_covariance_map(second, mean)
        if self.label_noise:
            label_variance = self.label_noise**2 / self.batch_size
            noise[np.diag_indices_from(noise)] += label_variance * self.problem.eigenvalues
        return noise

    def moment_map(self, step_size: float | None = None) -> MomentMap:
        """One step of the exact moment equations in modes, at this step size or another."""
        eta = float(self.step_size) if step_size is None else step_size
        kept, entry = self._linear(eta)
        transition = np.repeat(kept[None], self._quadratic.dimension, axis=0)
        transition[:, :, 0] += self._quadratic.curvatures[:, None] * entry  # the gradient of a mode
        return MomentMap(transition, entry, self.noise_map, np.ones((1, 1)))

    def moments(
        self,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        quantities: Sequence[str] | None = None,
    ) -> xarray.Dataset:
        """Exact mean, covariance and expected risk; no Monte Carlo. Least squares, independent batches.

        Parameters
        ----------
        x0 : array (d,) or (paths, d), Gaussian, or tuple (mean, covariance)
        steps : int
        record : None, int or sequence of int
            Steps to keep, 0 always among them: None for all of at most 1000 steps, about 200 of more.
        quantities : names among "mean", "covariance", "risk", optional
            What the result holds; all by default. Leave out the covariances where d or the number of steps is large.

        Returns
        -------
        xarray.Dataset
            `mean(step, coordinate)`, `covariance(step, coordinate, coordinate_2)`, `risk(step)` (without the
            ridge term), in original coordinates. Moments past the range of floating-point numbers are inf.

        Raises
        ------
        InvalidInput
            If the problem or the sampling has no closed moments, or an argument cannot be used.

        Warns
        -----
        StabilityWarning
            If the step size is not below the threshold of the mean or of the second moment.
        """
        problem, scheduled = self._quadratic, isinstance(self.step_size, StepSizes)
        problem.sampling_factor(self.batch_size, self.sampling)
        map_ = self.moment_map(self.step_size(0)) if scheduled else self.moment_map()
        self._warn_if_unstable()

        def propagate(mean: np.ndarray, covariance: np.ndarray, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return map_.propagate(mean, covariance, kept, self._map_of_step() if scheduled else None)

        return moments_of(problem, propagate, x0, steps, record, quantities, self._attributes(), self._time)

    def stationary(self) -> StationaryLaw:
        """Exact mean, covariance and expected risk of the stationary law.

        Raises
        ------
        NoStationaryLaw
            If the mean does not settle; `.threshold` is the step size at which it ceases to.
        InfiniteVariance
            If the mean settles but the second moment does not.
        InvalidInput
            If the problem or the sampling has no closed moments.
        """
        if isinstance(self.step_size, StepSizes):
            raise InvalidInput(
                f"step_size is the schedule {self.step_size!r}, so there is no stationary law: take the one of a "
                "constant step size, dataclasses.replace(sgd, step_size=...)"
            )
        return stationary_of(
            self._quadratic, self.stability(), lambda: self.moment_map().stationary_covariance(), self.label
        )

    def _map_of_step(self) -> Callable[[int], MomentMap]:
        """The moment map of each step of a schedule; equal step sizes in a row share one."""
        last: list[tuple[float, MomentMap]] = []

        def map_of(k: int) -> MomentMap:
            size = self.step_size(k)
            if not last or last[0][0] != size:
                last[:] = [(size, self.moment_map(size))]
            return last[0][1]

        return map_of

    def _time(self, steps: np.ndarray) -> np.ndarray | None:
        """Sum of the step sizes before each step, where they follow a schedule."""
        return elapsed(self.step_size, steps) if isinstance(self.step_size, StepSizes) else None

    def stability(self) -> Stability:
        """Step sizes below which mean and second moment settle, on the range of the data.

        The mean: 2 (1 + mu) / k_max, Nesterov 2 (1 + mu) / ((1 + 2 mu) k_max), k_max the largest curvature.
        The second moment: the root of the noise gain, to about 1e-12. Derived.
        """
        problem = self._quadratic
        problem.sampling_factor(self.batch_size, self.sampling)
        mean_threshold = self._mean_threshold()
        threshold = gain_threshold(self.moment_map, mean_threshold)
        return Stability(mean_threshold, threshold, float(self.step_size))

    def fourth_moments_settle(self) -> bool:
        """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found.

        At d up to 6 by the map of fourth moments, else by norms; momentum, other rules and schedules are not treated.
        Derived.
        """
        if self.rule is not None or isinstance(self.step_size, StepSizes):
            return False
        problem = self._quadratic
        if self.momentum or self.sampling == "reshuffle" or problem.curvatures.min() < 0:
            return False
        if self.step_size >= self._mean_threshold():
            return False
        moving = problem.eigenvalues > 0
        h, small = problem.eigenvalues[moving], moving.sum() <= fourth_moments.LARGEST_TENSORS
        if isinstance(problem, StreamingLeastSquares):
            if fourth_moments.gaussian_norm_settles(h, self.step_size, problem.ridge):
                return True
            law = fourth_moments.gaussian_samples(h) if small else None
        else:
            assert isinstance(problem, LeastSquares)  # the only other leaf
            rows = problem.augmented_modes[:, :-1][:, moving]
            law = rows, np.full(len(rows), 1 / len(rows))
            if fourth_moments.norm_settles(*law, self.step_size, problem.ridge):
                return True
        if law is None or not small:
            return False
        radius = fourth_moments.radius(*law, self.step_size, problem.ridge, self.batch_size)
        return radius < 1 - fourth_moments.MARGIN

    def _mean_threshold(self) -> float:
        smallest, largest = self.problem.curvatures.min(), self.problem.curvatures.max()
        if smallest < 0:
            return 0.0
        if largest == 0:
            return np.inf
        mu = self.momentum
        return float(2 * (1 + mu) / ((1 + 2 * mu if self.nesterov else 1.0) * largest))

    def _settles_plainly(self) -> bool:
        """Whether a bound shows that second moments settle, or to know it would cost more than a warning is worth."""
        problem = self.problem
        if not isinstance(problem, LeastSquares):
            return False
        if not self.momentum:
            h, factor = problem.eigenvalues[: problem.rank], problem.sampling_factor(self.batch_size, self.sampling)
            weight = self.step_size**2 * factor
            kept = (1 - self.step_size * (h + problem.ridge)) ** 2 - weight * h**2
            if mean_square.settles(problem.range_modes, kept, weight):
                return True
        return problem.noise_map_cost > mean_square.TOO_DEAR

    def _warn_if_unstable(self) -> None:
        """Warn past a known threshold; the second moment's is computed only once it is known to be passed."""
        if not isinstance(self.problem, QuadraticProblem) or self.sampling == "reshuffle":
            return
        if self.rule is not None or isinstance(self.step_size, StepSizes):
            return
        threshold, what = self._mean_threshold(), "mean"
        if self.step_size < threshold:
            if self._settles_plainly() or self.moment_map().settles():
                return
            threshold, what = gain_threshold(self.moment_map, threshold), "second moment"
        warnings.warn(
            f"step_size is {self.step_size:g}, but the {what} of {self.label} settles "
            f"only below {threshold:.6g}",
            StabilityWarning,
            stacklevel=3,
        )

    def _check_cost(self, steps: int, paths: int, threads: int | None) -> None:
        """Refuse batches far larger than the data: drawing with replacement costs as many products as rows."""
        threads = (os.cpu_count() or 1) if threads is None else whole_number("threads", threads, 1)
        rows, samples = self.batch_size, getattr(self.problem, "samples", None)
        check_memory(
            f"drawing batches of {rows} rows", BYTES_A_ROW * rows * threads,
            "lower batch_size; moments() are exact at any batch size",
        )  # fmt: skip
        if samples is None or rows <= samples:
            return
        steps, paths = whole_number("steps", steps, 0), whole_number("paths", paths, 1)
        hours = 1e-9 * paths * steps * rows * (NANOSECONDS_A_ROW + 0.3 * self.problem.dimension) / threads / 3600
        if hours > LONGEST_RUN:
            raise InvalidInput(
                f"batches of {rows} rows from {samples}, with replacement, would take about {hours:.2g} hours: lower "
                "batch_size, steps or paths, or take sampling='without_replacement'; moments() are exact at any batch "
                "size where they close"
            )

    def simulate(
        self,
        x0: Any,
        steps: int,
        paths: int,
        observables: Any = ("risk", "norm"),
        record: int | Sequence[int] | None = None,
        seed: int = 0,
        quality: str = "float32",
        threads: int | None = None,
        chunk: int | None = None,
        progress: bool | Progress | None = None,
        first_path: int = 0,
        keep_state: bool = False,
    ) -> xarray.Dataset:
        """Simulate independent paths; arguments and errors as in `sgdlimits.ensembles.run`.

        Returns
        -------
        xarray.Dataset
            One variable an observable, with dims (path, step[, coordinate]); the same bits for the same seed,
            whatever the threads and (for compiled problems) the chunk size.

        Warns
        -----
        StabilityWarning
            If the problem is least squares and the step size is past a threshold.
        OverflowedPaths
            If a path overflowed.
        """
        self._check_cost(steps, paths, threads)
        self._warn_if_unstable()
        ensemble = run(
            self.simulator(), x0, paths=paths, steps=steps, record=record, observables=observables, seed=seed,
            quality=quality, threads=threads, chunk=chunk, progress=progress, first_path=first_path,
            keep_state=keep_state,
        )  # fmt: skip
        return ensemble_dataset(ensemble, self._attributes(), self._time(ensemble.record))

    def simulator(self) -> Simulator:
        """What the engine advances: a compiled loop where the problem and the rule have one."""
        if self.source.compiled and self.update_rule.kernel is not None:
            return self.source.simulator(self)
        return RecurrenceSimulator(self, self.problem.dimension, self.problem.risk)

    def initial_state(self, x0: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions (P, d) and what the rule keeps beside them, (P, m, d), zero."""
        paths, dimension = np.shape(x0)
        return np.array(x0), np.zeros((paths, self.update_rule.slots, dimension))

    def step(
        self, k: int, state: tuple[np.ndarray, np.ndarray], noise: Noise
    ) -> tuple[np.ndarray, np.ndarray]:
        """State after step k, in NumPy: the definition that the compiled kernels must reproduce."""
        x, slots = state
        gradient = self.source.gradient(k, x, noise)
        return self.update_rule.move(x, slots, gradient, float(self.step_sizes(k, k + 1)[0]), k)

    def position(self, state: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Positions (P, d) of a state."""
        return state[0]

    def batch(self, k: int, noise: Noise) -> np.ndarray:
        """Rows (P, batch_size) that the paths draw at step k."""
        return drawn_rows(k, noise, self.batch_size, self.problem.samples, self.sampling)

    @property
    def _quadratic(self) -> QuadraticProblem:
        if not isinstance(self.problem, QuadraticProblem):
            raise InvalidInput(
                f"{type(self.problem).__name__} has no closed moments; LeastSquares and "
                "StreamingLeastSquares have them, for other losses use simulate"
            )
        self._linear(1.0)
        return self.problem

    def _linear(self, step_size: float) -> tuple[np.ndarray, np.ndarray]:
        """The rule's matrices at a step size."""
        linear = self.update_rule.linear(step_size)
        if linear is None:
            raise InvalidInput(
                f"{self.label} has no closed moments, because its step is not linear in the gradient: use simulate"
            )
        return linear

    def _attributes(self) -> dict[str, Any]:
        return {
            "process": self.label, "problem": repr(self.problem),
            "step_size": repr(self.step_size) if isinstance(self.step_size, StepSizes) else self.step_size,
            "batch_size": self.batch_size, "sampling": self.sampling, "momentum": self.momentum,
            "label_noise": self.label_noise, "nesterov": int(self.nesterov),
            "rule": None if self.rule is None else repr(self.rule),
        }  # fmt: skip

"""SGD: a source of gradients, an update rule and a step size; its exact moments where both are linear."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, flag, kind, non_negative
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.schedules import StepSizes, elapsed, sizes_between, step_size_or_schedule
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.exact.tail_claims import SGD_TAILS
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.even_moments import even_moments, even_order
from sgdlimits.problems.problem import Problem
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.sensitivities import sensitivities

from . import closures, moment_equations
from . import tail_index as tail_indices
from .even_moments import even_moments as even_equations
from .lyapunov import lyapunov_threshold
from .closures import Closure
from .curved_form import compiled_twin, curved_form
from .exact_form import ExactForm
from .preconditioned import PlainCoordinates
from .rules import CurvedRule, HeavyBall, Nesterov, Plain, Preconditioned, Rule, find_rule
from .rules.momentum import check_momentum, momentum_rule
from .simulated import Simulated
from .sources import Source, drawn_rows, source_of

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class SGD(Simulated):
    """Stochastic gradient descent: x <- x - step_size * g, or with momentum as torch.optim.SGD (dampening 0).

    With the batch gradient g, momentum mu and step size eta: m <- mu m + g; then x <- x - eta m (heavy ball)
    or x <- x - eta (g + mu m) (Nesterov). The buffer m starts at zero.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares, NoisyQuadratic, Logistic, SampleLoss or Supervised
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
    preconditioner : array (d, d) or (d,), optional
        Symmetric positive definite; the gradient is multiplied by it, so that step_size * preconditioner is a step size
        that is a matrix. Short for rule=rules.Preconditioned(preconditioner, ...).
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
    preconditioner: Any = field(default=None, repr=False)

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "mean, covariance and expected risk obey closed linear recurrences, so they are computed exactly",
            ("least squares", "batches independent from step to step"),
            "derived",
        ),
    )
    tail_claims: ClassVar[tuple[Claim, ...]] = SGD_TAILS

    def __post_init__(self) -> None:
        if not isinstance(self.problem, Problem):
            raise InvalidInput(
                f"problem must be one of sgdlimits.problems, got {kind(self.problem)}; "
                "LeastSquares, StreamingLeastSquares, NoisyQuadratic, Logistic, SampleLoss and Supervised can be used"
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
        if self.preconditioner is not None:
            self._settle_preconditioner()
        if self.rule is not None:
            if self.momentum or self.nesterov:
                raise InvalidInput(
                    f"both momentum={self.momentum:g}, nesterov={self.nesterov} and a rule are given: leave one out"
                )
            rule = find_rule(self.rule)
            if isinstance(rule, (HeavyBall, Nesterov)):
                object.__setattr__(self, "momentum", rule.momentum)
                object.__setattr__(self, "nesterov", isinstance(rule, Nesterov))
            if isinstance(rule, Preconditioned):
                rule.check_dimension(self.problem.dimension)
            linear = isinstance(rule, (Plain, HeavyBall, Nesterov))
            object.__setattr__(self, "rule", None if linear else rule)
        if isinstance(self.rule, CurvedRule):
            self.rule.check(self.source, float(self.step_sizes(0, 1)[0]))
        if self.nesterov and not self.momentum:
            raise InvalidInput("nesterov needs a momentum above zero, got momentum=0")

    def _settle_preconditioner(self) -> None:
        """Into the rule; a copy has it there already."""
        if isinstance(self.rule, Preconditioned) and self.rule.matrix is self.preconditioner:
            return
        if self.rule is not None:
            raise InvalidInput(
                "both a preconditioner and a rule are given: leave one out, or pass rules.Preconditioned(matrix, rule)"
            )
        rule = Preconditioned(self.preconditioner, momentum_rule(self.momentum, self.nesterov))
        for name, value in (("rule", rule), ("preconditioner", rule.matrix), ("momentum", 0.0), ("nesterov", False)):
            object.__setattr__(self, name, value)

    def in_plain_coordinates(self) -> SGD:
        """A preconditioned descent of x as the plain one, or that with momentum, of y: x = root y, root^2 the matrix.

        Its limits are taken and compared there: `rule.root` leads back. Least squares without a ridge stays least
        squares; with one, what is descended of y is a quadratic whose `risk` includes the ridge.

        Raises
        ------
        InvalidInput
            If nothing is preconditioned, or the problem is no quadratic.
        """
        if self._plain_coordinates is None:
            raise InvalidInput(f"{self.label} has no preconditioner, so that its coordinates are plain already")
        return self._plain_coordinates.plain

    @cached_property
    def _plain_coordinates(self) -> PlainCoordinates | None:
        """Where a preconditioned descent is plain; None where nothing is preconditioned."""
        return PlainCoordinates(self) if isinstance(self.rule, Preconditioned) else None

    @cached_property
    def _exact_form(self) -> ExactForm | None:
        """Where its exact moments are computed, of a rule with a matrix; None of the others."""
        return curved_form(self) if isinstance(self.rule, CurvedRule) else self._plain_coordinates

    @cached_property
    def update_rule(self) -> Rule:
        """The rule in use, whichever way it was given."""
        return momentum_rule(self.momentum, self.nesterov) if self.rule is None else self.rule

    @cached_property
    def source(self) -> Source:
        """Where the gradients come from."""
        return source_of(self.problem, self.batch_size, self.sampling, self.label_noise)

    @property
    def draws(self) -> int:
        """Samples that a step draws."""
        return self.batch_size

    @property
    def batch_weights(self) -> np.ndarray:
        """Weights (batch_size,) of a batch's samples: 1."""
        return np.ones(self.batch_size)

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

    @property
    def noise_map(self) -> NoiseMap:
        """Expected covariance (d, d) of the batch gradient in modes, from moments of the modes."""
        return moment_equations.noise_map(self)

    def moment_map(self, step_size: float | None = None) -> MomentMap:
        """One step of the exact moment equations in modes, at this step size or another."""
        return moment_equations.moment_map(self, float(self.step_size) if step_size is None else step_size)

    @property
    def second_moments(self) -> SecondMoments:
        """What its first two moments obey, where they close."""
        return moment_equations.second_moments(self)

    def moments(
        self,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        quantities: Sequence[str] | None = None,
        progress: bool | Progress | None = None,
    ) -> xarray.Dataset:
        """Exact mean, covariance and expected risk; no Monte Carlo. Least squares, independent batches.

        Parameters
        ----------
        x0 : array (d,) or (paths, d), Gaussian, or tuple (mean, covariance)
        steps : int
        record : None, int or sequence of int
            Steps to keep, 0 always among them: None for all of at most 1000 steps, about 200 of more.
        quantities : names, optional
            What the result holds: "mean", "covariance", "risk" by default. Without the covariances none is kept; on a
            stream none is computed. "risk_second_moment" (E L^2) and "risk_standard_deviation" on request: plain SGD,
            on a stream in any dimension, on finite data in some ten.
        progress : bool or object with update(n) and close(), optional
            As in `simulate`.

        Returns
        -------
        xarray.Dataset
            `mean(step, coordinate)`, `covariance(step, coordinate, coordinate_2)`, `risk(step)` (without the
            ridge term), in original coordinates; what else was asked for as (step). Moments past the range of
            floating-point numbers are inf.

        Raises
        ------
        InvalidInput
            If the problem or the sampling has no closed moments, or an argument cannot be used.
        OutOfReach
            If what is asked for takes hours.

        Warns
        -----
        StabilityWarning
            If the step size is not below the threshold of the mean or of the second moment.
        """
        if self._exact_form is not None:
            return self._exact_form.moments(x0, steps, record, quantities, self._attributes(), progress)
        second = self.second_moments
        second.warn_if_unstable()
        return second.moments(x0, steps, record, quantities, self._attributes(), self._time, progress)

    def even_moments(
        self, x0: Any, steps: int, order: int = 4, record: int | Sequence[int] | None = None
    ) -> xarray.Dataset:
        """Exact E |x - minimiser|^p for p = 2, 4, ..., `order`, below the tail index and above it; no Monte Carlo.

        Least squares, independent batches, linear rules; derived (module `sgdlimits.exact.even_moments`). k(p) is the
        spectral radius of E[A^(x)p] on symmetric tensors, A the linear part of a step. A stream with equal variances is
        no matter of the dimension; without a ridge order 4 reaches some hundred directions of a stream, on finite data
        some ten.

        Parameters
        ----------
        x0 : array (d,), or (paths, d) over which is averaged
        steps : int
        order : int
            Even.
        record : None, int or sequence of int
            As in `moments`.

        Returns
        -------
        xarray.Dataset
            `norm_moment(order, step)`; `rate(order)`: k(p), by which the moment grows per step where it is above 1;
            `bounded(order)`: whether k(p) < 1, that is p below the tail index; `stationary(order)`, inf where it is
            not. Distances are taken in the range of the data. Moments past the range of numbers are inf.

        Raises
        ------
        InvalidInput
            If the moments do not close, or an argument cannot be used.
        OutOfReach
            If there are too many of them.
        """
        return even_moments(
            moment_equations.quadratic_of(self), lambda: even_equations(self, even_order(order)), x0, steps, record,
            self._attributes(), self._time,
        )  # fmt: skip

    def sensitivities(
        self,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        parameters: Sequence[str] | None = None,
    ) -> xarray.Dataset:
        """Exact expected risk and its derivatives in step size, ridge and batch size. Least squares, as `moments`.

        From the linearised moment equations; derived. The batch size counts as a real number, of which the sampling
        factor 1/B, or (n - B) / (B (n - 1)), is a smooth function.

        Parameters
        ----------
        x0, steps, record
            As in `moments`.
        parameters : names among "step_size", "ridge", "batch_size", optional
            All by default; each costs less than two runs of moments.

        Returns
        -------
        xarray.Dataset
            `risk(step)`, without the ridge term, and `sensitivity(parameter, step)`: its derivatives.

        Raises
        ------
        InvalidInput
            If the problem or the sampling has no closed moments, the step size follows a schedule, or an argument
            cannot be used.
        OutOfReach
            If the way to the last step is too dear.

        Warns
        -----
        StabilityWarning
            If the step size is not below the threshold of the mean or of the second moment.
        """
        second = self.second_moments
        second.warn_if_unstable()
        return sensitivities(
            second, lambda: moment_equations.directions(self), x0, steps, record, parameters, self._attributes(),
            self._time,
        )  # fmt: skip

    def stationary(self, settled_only: bool = False) -> StationaryLaw:
        """Exact mean, covariance and expected risk of the stationary law.

        Parameters
        ----------
        settled_only : bool
            Where noise is additive and some directions have no positive curvature: the law of the projection on the
            others. `.unsettled_directions` are those left out.

        Raises
        ------
        NoStationaryLaw
            If the mean does not settle; `.threshold` is the step size at which it ceases to, `.directions` are those in
            which nothing settles at any.
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
        if self._exact_form is not None:
            return self._exact_form.stationary(settled_only)
        return self.second_moments.stationary(settled_only)

    def closure(self, form: str | None = None) -> Closure:
        """An approximate stationary covariance of a rule whose law does not close: its matrix frozen at its mean.

        Natural gradient with the Fisher matrix of all samples on a stream (read in the paper; with noise on labels, or
        uncentred, derived), Adam and RMSProp on quadratic problems (derived). `compare.closure` puts it beside paths.

        Parameters
        ----------
        form : {None, "2021"}
            Of natural gradient, the older closure without the trace of the second moment.

        Raises
        ------
        InvalidInput
            If none is known.
        """
        return closures.closure(self, form)

    def _time(self, steps: np.ndarray) -> np.ndarray | None:
        """Sum of the step sizes before each step, where they follow a schedule."""
        return elapsed(self.step_size, steps) if isinstance(self.step_size, StepSizes) else None

    def stability(self) -> Stability:
        """Step sizes below which mean and second moment settle, on the range of the data.

        The mean: 2 (1 + mu) / k_max, Nesterov 2 (1 + mu) / ((1 + 2 mu) k_max), k_max the largest curvature.
        The second moment: where the noise feeds itself by the whole, to about 1e-12. Derived. Of the Lyapunov exponent,
        past which no law is stationary, when `.lyapunov_threshold` is read.
        """
        if self._exact_form is not None:
            return self._exact_form.stability()
        return replace(self.second_moments.stability(), lyapunov=lambda: lyapunov_threshold(self))

    def tail_index(self, **options: Any) -> TailIndex:
        """Tail index of the stationary law: P(|x| > t) falls as t^-index. Least squares: exact, by Kesten's theorem.

        On a line and for isotropic Gaussian features by quadrature, for momentum on a line, for two unlike Gaussian
        features and for three within a factor of ten by a transfer operator, refined until `error` is what is left.
        Else, and where that does not settle or even moments contradict it, by populations, whose `error` is half a
        95 % interval; `method` says which. inf where no step expands.
        Gaussian noise added to the step (SGLD) leaves the index as it is, except that noise which would die out no
        longer does.

        A power of the tail may begin far out: `note` names data of which one sample dominates large moments, whose
        tail falls in stairs that samples of a million do not see past.

        With other rules inf where steps are bounded and lead inward, with other losses where gradients are bounded:
        `note` derives it, and `proved` is False where the drift inward was only seen in a simulation.

        Parameters
        ----------
        **options
            Of the populations, where they are used: paths, generations, groups, seed, threads.

        Raises
        ------
        NoStationaryLaw
            If the Lyapunov exponent is not below 0; the sentence has it.
        OutOfReach
            If the index is larger than the method can see, or steps are bounded and no drift inward is seen.
        InvalidInput
            If the step size follows a schedule, or nothing is known of the rule or the loss.
        """
        if self._exact_form is not None:
            return self._exact_form.tail_index(**options)
        return tail_indices.tail_index(self, **options)

    def fourth_moments_settle(self) -> bool:
        """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found."""
        return moment_equations.fourth_moments_settle(self)

    def simulator(self) -> Simulator:
        """What the engine advances: a compiled loop where the problem and the rule have one."""
        twin = compiled_twin(self) if isinstance(self.rule, CurvedRule) else self
        if twin is not None and self.source.compiled and twin.update_rule.kernel is not None:
            return self.source.simulator(twin)
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
        rule, size = self.update_rule, float(self.step_sizes(k, k + 1)[0])
        if isinstance(rule, CurvedRule):
            gradient = rule.direction(self.source, k, x, noise, size)
        else:
            gradient = self.source.gradient(k, x, noise)
        return rule.move(x, slots, gradient, size, k)

    def position(self, state: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Positions (P, d) of a state."""
        return state[0]

    def batch(self, k: int, noise: Noise) -> np.ndarray:
        """Rows (P, batch_size) that the paths draw at step k."""
        return drawn_rows(k, noise, self.batch_size, self.problem.samples, self.sampling)

    def _attributes(self) -> dict[str, Any]:
        return {
            "process": self.label, "problem": repr(self.problem),
            "step_size": repr(self.step_size) if isinstance(self.step_size, StepSizes) else self.step_size,
            "batch_size": self.batch_size, "sampling": self.sampling, "momentum": self.momentum,
            "label_noise": self.label_noise, "nesterov": int(self.nesterov),
            "rule": None if self.rule is None else repr(self.rule),
        }  # fmt: skip

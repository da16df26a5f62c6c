"""SGD: a source of gradients, an update rule and a step size; its exact moments where both are linear."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.recurrences import RecurrenceSimulator
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, flag, kind, non_negative
from sgdlimits.exact.schedules import StepSizes, sizes_between, step_size_or_schedule
from sgdlimits.exact.tail_claims import SGD_TAILS
from sgdlimits.problems.problem import Problem
from sgdlimits.problems.quadratic import QuadraticProblem

from .curved_form import compiled_twin, curved_form
from .exact_form import ExactForm
from .known_laws import KnownLaws
from .linear_law import LinearLaw
from .preconditioned import PlainCoordinates
from .rules import CurvedRule, HeavyBall, Nesterov, Plain, Preconditioned, Rule, find_rule
from .rules.momentum import check_momentum, momentum_rule
from .simulated import Simulated
from .sources import Source, drawn_rows, source_of

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class SGD(KnownLaws, Simulated):
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
                object.__setattr__(self, "preconditioner", rule.matrix)
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
                "both a preconditioner and a rule are given: leave one out, or pass rules.Preconditioned(matrix, "
                "rule); a copy by dataclasses.replace keeps what is not named, so name both there: preconditioner=None "
                "with another rule, rule=None with another preconditioner"
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
    def _exact_form(self) -> ExactForm:
        """What stands for it where its exact moments are computed."""
        return curved_form(self) if isinstance(self.rule, CurvedRule) else self._plain_coordinates or LinearLaw(self)

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

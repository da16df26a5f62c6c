"""Stochastic modified equations of SGD, with the true covariance of the batch gradient."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.exact import fourth_moments
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock, SummedClock, gradient_flow_clock
from sgdlimits.ensembles.random import INDEPENDENT
from sgdlimits.exact.errors import InvalidInput, one_of, whole_number
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .array_form import ArrayForm, FormDiffusion
from .diffusion import Diffusion, check_settings
from .gradient_noise import BatchGradient, batch_gradient
from .linear_forms import (
    frozen_at,
    is_quadratic,
    linear_form,
    loss_form,
    risk_level,
    root_of,
    sampled_gradients,
    samples,
    stream,
    tabulated,
)
from .simulators import (
    common_simulator,
    covariance_simulator,
    covariance_table,
    dense_simulator,
    sample_simulator,
    sampled_simulator,
)
from .even_moments import WithEvenMoments
from .tails import diffusion_tail_index

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class ModifiedEquation(WithEvenMoments, Diffusion):
    """dX = -grad f(X) dt + sqrt(eta C(X) / B) dW in gradient-flow time: one step is eta, the step size.

    C is the covariance of one sample's gradient (and of its label noise). Order 2 has the drift
    -grad(f + (eta / 4) |grad f|^2). The batch is taken with replacement; of a loss over samples that is no least
    squares also without, when C / B stands for C (n - B) / (B (n - 1)). Of reshuffled batches, which are not
    independent, `of` gives the equation of batches with replacement.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares, NoisyQuadratic, Logistic or SampleLoss
        Moments, stability and the stationary law are known for the first three; the others are simulated.
    step_size : float, or function of the step
    batch_size : int
    order : 1 or 2
    label_noise : float
        Standard deviation of fresh noise on every drawn label.
    sampling : "with_replacement" or "without_replacement"
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    order: int = 1
    label_noise: float = 0.0
    sampling: str = "with_replacement"

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "weak approximation of SGD of order 1, or 2 with the corrected drift, on finite gradient-flow time "
            "(both orders are measured by compare.orders)",
            ("smooth loss with bounded growth", "independent batches"),
            "li2019",
        ),
    )
    noise_type: ClassVar[str] = "general"
    solvers: ClassVar[tuple[str, ...]] = ("euler",)
    knows_samplings: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "order", whole_number("order", self.order, 1, 2))
        if not (self.problem.quadratic or self.problem.sampled):
            raise InvalidInput(
                f"{type(self.problem).__name__} has no gradients of single samples, which the covariance is made of; "
                "use LeastSquares, StreamingLeastSquares, Logistic, SampleLoss or Supervised"
            )
        if self.problem.sampled and self.problem.endless:
            raise InvalidInput(
                f"the noise of the modified equation is made of the gradients of all samples, and "
                f"{type(self.problem).__name__} on a stream has endless ones; use stored rows (problems.sources.Rows), "
                "or StreamingLeastSquares, whose covariance is known"
            )
        if self.label_noise and not self.problem.quadratic:
            raise InvalidInput(
                f"label_noise is {self.label_noise!r}, but only least squares has labels to add it to; write it into "
                "the loss instead"
            )
        one_of("sampling", self.sampling, INDEPENDENT)
        if self.sampling == "without_replacement":
            if self.problem.quadratic:
                raise InvalidInput(
                    "sampling is 'without_replacement', and the equation of least squares is that of batches with "
                    "replacement: leave it out; compare.laws counts the difference as its own part"
                )
            self.problem.check_batch_size(self.batch_size, self.sampling)

    @property
    def label(self) -> str:
        """Short name."""
        return f"modified equation, order {self.order}"

    @property
    def clock(self) -> Clock | SummedClock:
        """One step is step_size in gradient-flow time."""
        return gradient_flow_clock(self.step_size)

    @property
    def drift_order(self) -> int:
        """The order, which the drift carries."""
        return self.order

    @property
    def weak_order(self) -> int:
        """Claimed weak order in the step size."""
        return self.order

    @property
    def noise_dimension(self) -> int:
        """Brownian motions that drive it."""
        d, problem = self.dimension, self.problem
        if isinstance(problem, StreamingLeastSquares):
            return d + 1
        if self._tabulated or (problem.quadratic and problem.additive):
            return d
        return problem.samples + (d if self.label_noise else 0)

    @property
    def _tabulated(self) -> bool:
        """Whether there are so many samples that the covariance's d columns cost less than one column a sample."""
        return getattr(self.problem, "table_pays", False)

    @property
    def _covariance(self) -> np.ndarray:
        """Of the batch gradient (d, d), in modes, where it is the same everywhere."""
        return self.noise_map(np.zeros((0, 0)), np.zeros(0))

    def noise_of(self, factor: float, label_variance: float) -> NoiseMap:
        """Covariance of the batch gradient, drawn with replacement, in modes."""
        return self.quadratic.gradient_noise_map(factor, label_variance)

    @cached_property
    def gradient(self) -> BatchGradient:
        """The batch's gradient: mean, variances and noise."""
        return batch_gradient(self.problem, self.batch_size, self.sampling, self.label_noise)

    @property
    def diffusion_product(self) -> Callable[[Any, np.ndarray, np.ndarray], np.ndarray] | None:
        """(t, x (P, d), w (P, n)) -> the diffusion times w, without its matrices; None on least squares."""
        if is_quadratic(self):
            return None
        return lambda t, x, w: np.sqrt(self.step_size) * self.gradient.noise(x, w)

    def array_form(self) -> ArrayForm:
        """Drift, and sqrt(eta / B) times a root (P, d, m) of the covariance.

        One column a sample; of many samples, d columns by Cholesky; of a stream, d + 1.
        """
        problem, d, scale = self.problem, self.dimension, np.sqrt(self.step_size / self.batch_size)
        if not is_quadratic(self):
            return loss_form(self, self.noise_dimension, sampled_gradients)
        if problem.additive:
            return linear_form(self, d, "matrix", frozen_at, root=np.sqrt(self.step_size) * root_of(self._covariance))
        roots = np.diag(np.sqrt(problem.eigenvalues))
        if isinstance(problem, StreamingLeastSquares):
            return linear_form(
                self, d + 1, "matrix", stream, pull=scale * problem.eigenvalues, offsets=problem.offset_modes,
                spread=scale * roots, **risk_level(problem, self.label_noise),
            )  # fmt: skip
        if self._tabulated:
            table = covariance_table(problem, self.label_noise)
            return linear_form(self, d, "matrix", tabulated, table=table, scale=scale, eye=np.eye(d))
        rows = problem.augmented_modes
        own = scale * self.label_noise * roots if self.label_noise else np.zeros((d, 0))
        return linear_form(
            self, self.noise_dimension, "matrix", samples, rows=rows[:, :-1], offsets=rows[:, -1], own=own,
            scale=scale / np.sqrt(problem.samples),
        )  # fmt: skip

    def in_modes(self) -> FormDiffusion | None:
        """The process in the eigenbasis of least squares."""
        return FormDiffusion.of(self._form, float(self.clock) * self.rates, self.label) if is_quadratic(self) else None

    def fourth_moments_settle(self) -> bool:
        """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found."""
        if isinstance(self.step_size, StepSizes):
            return False
        problem = self.quadratic
        if problem.additive:
            return bool(problem.curvatures.min() >= 0)
        moving = problem.eigenvalues > 0
        h = problem.eigenvalues[moving]
        if isinstance(problem, StreamingLeastSquares):
            spread, push = np.diag(h**2 + h.sum() * h), np.diag(2 * h.max(initial=0.0) * h)
        else:
            assert isinstance(problem, LeastSquares)  # the only other leaf
            rows = problem.augmented_modes[:, :-1][:, moving]
            push = (rows * np.square(rows).sum(axis=1)[:, None]).T @ rows / problem.samples
            spread = push - np.diag(h**2)
        settles = fourth_moments.diffusion_settles(
            self.rates[moving], spread, push, self.step_size**2 / self.batch_size
        )
        return settles and problem.curvatures.min() >= 0

    def tail_index(self, seed: int = 0, threads: int | None = None) -> TailIndex:
        """Tail index of the stationary law, as `HomogenizedSGD.tail_index`. Derived.

        On finitely many samples the spectrum resolves it in few modes, and in any number where the index is 2 or 4;
        between, populations of many modes take minutes.

        Raises
        ------
        PositiveLyapunovExponent
            If paths do not settle; `.lyapunov_exponent` holds the rate.
        NoStationaryLaw
            If coordinates without data run away under a negative ridge.
        InvalidInput
            If there are no data, or the step size is a schedule.
        OutOfReach
            If the covariance of finitely many samples, or the sampling, takes hours.
        """
        return diffusion_tail_index(self, seed, threads)

    def simulator(self, solver: str = "euler", substeps: int = 1, size: float | None = None) -> Simulator:
        """What the engine advances: Euler-Maruyama with one normal a sample, or Gaussian features' noise."""
        if not isinstance(self.problem, QuadraticProblem):
            return sampled_simulator(self, whole_number("substeps", substeps, 1))
        step = self.modal_step(solver, substeps, size)
        if self.problem.additive:
            root = root_of(step.weights * self._covariance)
            return dense_simulator(f"{self.label} by {solver}", self.problem, substeps, step.decay_after_noise, root)
        scale = float(np.sqrt(step.weights[0, 0] / self.batch_size))
        kind: Any = covariance_simulator if self._tabulated else sample_simulator
        if isinstance(self.problem, StreamingLeastSquares):
            kind = common_simulator
        name = f"{self.label} by {solver}"
        return kind(name, self.problem, substeps, step.decay_after_noise, scale, self.label_noise)

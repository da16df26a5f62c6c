"""Exact moments of stochastic Newton and proximal steps on finite least squares, over the list of all batches."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.initial import moment_steps
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw
from sgdlimits.exact.listed_steps import LARGEST, ListedSteps
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_maps import NoiseMap, Structure
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR, Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.samplings import all_batches, number_of_batches
from sgdlimits.problems.second_moments import start_moments

from .curved_tails import expands_nothing, listed_index, nonexpansive
from .exact_form import ExactForm, asked, labelled, law_of_modes, refuse_schedule, refuse_unsettled
from .newton_step import NewtonStep, proximal_stability
from .stationary_states import StationaryState, state_of

if TYPE_CHECKING:
    import xarray

    from .sgd import SGD

MOST_BATCHES = 4000  # that are listed


@dataclass(frozen=True, eq=False)
class ListedNoise(NoiseMap):
    """Of the direction of a step, in the modes of its mean."""

    steps: ListedSteps
    structure: ClassVar[Structure] = Structure.GENERAL

    def __call__(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        _, out, back = self.steps.modes
        return back @ self.steps.spread(out @ second @ out.T, out @ mean) @ back.T


@dataclass(frozen=True, eq=False)
class ListedBatches(ExactForm):
    """Of a descent on finite least squares whose batches are few.

    Attributes
    ----------
    sgd : SGD
    newton : NewtonStep
    """

    sgd: SGD
    newton: NewtonStep

    @property
    def problem(self) -> LeastSquares:
        """The data."""
        problem = self.sgd.problem
        assert isinstance(problem, LeastSquares)
        return problem

    def _steps(self, directions: int) -> ListedSteps:
        """In the first so many modes: all, or those that the data move."""
        problem, newton, sgd = self.problem, self.newton, self.sgd
        rows, one = problem.augmented_modes[:, :directions], np.eye(directions)
        pulls, pushes, weights = self._batches(rows, sgd.batch_size)
        pushes = pushes - problem.ridge * problem.minimiser_modes[:directions]
        added = sgd.label_noise**2 / sgd.batch_size
        shift = problem.ridge + newton.damping
        if newton.batch is None:
            inverses = np.linalg.inv(pulls + shift * one)
            noise = added * np.einsum("m,mij->ij", weights, inverses @ pulls @ inverses)
            pushed = np.einsum("mij,mj->mi", inverses, pushes)
            return ListedSteps(inverses @ (pulls + problem.ridge * one), pushed, weights, noise, one[None], np.ones(1))
        others, _, other_weights = self._batches(rows, newton.batch)
        noise = added * np.einsum("m,mij->ij", weights, pulls)
        return ListedSteps(
            pulls + problem.ridge * one, pushes, weights, noise, np.linalg.inv(others + shift * one), other_weights
        )

    def _batches(self, rows: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Hessians (m, q, q) without the ridge, what pushes from the minimiser (m, q), and probabilities (m,)."""
        problem, sgd = self.problem, self.sgd
        if isinstance(self.newton.size, StepSizes):
            raise InvalidInput(
                f"step_size is the schedule {self.newton.size!r}, and exact moments of {sgd.label} over a list of "
                "batches are known for one step size: take dataclasses.replace(sgd, step_size=...), or simulate"
            )
        count = number_of_batches(size, sgd.sampling, problem.samples)
        if count > MOST_BATCHES:
            raise InvalidInput(
                f"exact moments of {sgd.label} go through all batches, and here are {count:.3g}, over {MOST_BATCHES}: "
                "take batch_size=1, or simulate"
            )
        chosen, weights = all_batches(size, sgd.sampling, problem.samples)
        part = rows[chosen]
        pushes = -np.einsum("mbi,mb->mi", part, problem.residuals_at_minimiser[chosen]) / size
        return np.einsum("mbi,mbj->mij", part, part) / size, pushes, weights

    @cached_property
    def moving(self) -> ListedSteps:
        """In the modes that something moves."""
        problem = self.problem
        return self._steps(problem.dimension if problem.ridge else problem.rank)

    @property
    def closes(self) -> bool:
        newton, sgd, problem = self.newton, self.sgd, self.problem
        if isinstance(newton.size, StepSizes) or problem.dimension > LARGEST:
            return False
        largest = max(sgd.batch_size, newton.batch or 1)
        return bool(number_of_batches(largest, sgd.sampling, problem.samples) <= MOST_BATCHES)

    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        problem, chosen = self.problem, asked(self.sgd.label, quantities)
        mean, covariance = start_moments(x0, problem.dimension)
        kept, vectors = moment_steps(record, steps), problem.eigenvectors
        spread = np.zeros((mean.size,) * 2) if covariance is None else vectors.T @ covariance @ vectors
        found = self._steps(problem.dimension).moments(self.newton.size, problem.to_modes(mean), spread, kept)
        return labelled(problem, kept, *found, chosen, attributes, self.sgd._time)

    def stationary(self, settled_only: bool) -> StationaryLaw:
        problem, moving = self.problem, self.moving
        if self.newton.proximal:
            self._refuse_growing_proximal()
        else:
            refuse_unsettled(self.sgd.label, self.stability())
        d, q = problem.dimension, moving.dimension
        mean, spread = np.zeros(d), np.zeros((d, d))
        mean[:q], spread[:q, :q] = moving.centre, moving.stationary_covariance(self.newton.size)
        return law_of_modes(problem, mean, spread, np.arange(d) >= q)

    def state(self) -> StationaryState:
        law, steps, problem = self.stationary(False), self._steps(self.problem.dimension), self.problem
        rates, out, back = steps.modes
        lost = (self.newton.size * rates)[:, None, None]
        equations = MomentMap(
            1 - lost, np.array([-self.newton.size]), ListedNoise(steps), np.ones((1, 1)), lost=lost
        )  # fmt: skip
        vectors, back = problem.eigenvectors @ out, back @ problem.eigenvectors.T
        return state_of(equations, back @ law.covariance @ back.T, vectors, law.mean)

    def _refuse_growing_proximal(self) -> None:
        """With a negative ridge a step may expand; else none does, and the mean of the modes that move shrinks."""
        ridge, moving = self.problem.ridge, self.moving
        if ridge >= 0:
            return
        for settles, error, what in (
            (lambda: moving.mean_threshold > 1 + THRESHOLD_ERROR, NoStationaryLaw, "mean"),
            (lambda: moving.feedback(1.0) < 1 - THRESHOLD_ERROR, InfiniteVariance, "second moment"),
        ):
            if not settles():
                raise error(
                    f"step_size is {self.sgd.step_size:g}, and the {what} of {self.sgd.label} does not settle with the "
                    f"ridge {ridge:g}: raise the ridge"
                )

    def stability(self) -> Stability:
        if self.newton.proximal:
            return proximal_stability(self.sgd)
        return Stability(self.moving.mean_threshold, self.moving.mean_square_threshold, float(self.sgd.step_size))

    def tail_index(self, **options: Any) -> TailIndex:
        refuse_schedule(self.newton.size)
        if expands_nothing(self.sgd, self.newton):
            return nonexpansive(self.sgd, self.newton)
        return listed_index(self.sgd, self.moving, self.newton.size, **options)

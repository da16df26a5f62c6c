"""Where the law of a rule that divides by a matrix of its source closes: the one choice of the form."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem

from .exact_form import ExactForm
from .listed_batches import ListedBatches
from .newton_step import newton_step
from .open_law import OpenLaw
from .preconditioned import PlainCoordinates
from .rules import CurvedRule, Preconditioned, Proximal
from .scaled_rows import ScaledRows, rows_can_be_scaled, scaled_rows
from .stationary_states import StationaryState
from .stream_newton import StreamNewton

if TYPE_CHECKING:
    import xarray

    from .sgd import SGD


def constant_matrix(sgd: SGD) -> np.ndarray | None:
    """The matrix (d, d) that the rule multiplies by at every step and position; None where it changes."""
    rule, problem = sgd.update_rule, sgd.problem
    if not isinstance(rule, CurvedRule) or not isinstance(problem, QuadraticProblem):
        return None
    if isinstance(rule, Proximal) and isinstance(sgd.step_size, StepSizes):
        return None
    asks, damping = rule.asks, rule.damping_at(float(sgd.step_sizes(0, 1)[0]))
    if asks.matrix in ("hessian", "expected") and (asks.samples == "all" or problem.additive):
        values, vectors = problem.eigenvalues + (problem.ridge + damping), problem.eigenvectors
        return vectors / values @ vectors.T
    if asks.matrix == "centred" and problem.additive:
        covariance = problem.gradient_noise_covariance(problem.minimiser)
        inverse = np.linalg.inv(covariance + damping * np.eye(problem.dimension))
        return (inverse + inverse.T) / 2
    return None


@dataclass(frozen=True, eq=False)
class ConstantMatrix(ExactForm):
    """Of a rule whose matrix is the same everywhere: a preconditioned descent.

    Attributes
    ----------
    sgd : SGD
    matrix : (d, d) array
    """

    sgd: SGD
    matrix: np.ndarray

    @cached_property
    def preconditioned(self) -> SGD:
        """The same steps."""
        rule = self.sgd.update_rule
        assert isinstance(rule, CurvedRule)
        size = 1.0 if isinstance(rule, Proximal) else self.sgd.step_size
        return replace(self.sgd, rule=Preconditioned(self.matrix, rule.inner), step_size=size)

    @cached_property
    def _coordinates(self) -> PlainCoordinates:
        return PlainCoordinates(self.preconditioned)

    @property
    def closes(self) -> bool:
        return self._coordinates.closes

    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        return self._coordinates.moments(x0, steps, record, quantities, attributes, progress)

    def stationary(self, settled_only: bool) -> StationaryLaw:
        return self._coordinates.stationary(settled_only)

    def state(self) -> StationaryState:
        return self._coordinates.state()

    def stability(self) -> Stability:
        if isinstance(self.sgd.update_rule, Proximal):
            threshold = math.inf if self.sgd.problem.curvatures.min() >= 0 else 0.0
            return Stability(threshold, threshold, float(self.sgd.step_size))
        return self._coordinates.stability()

    def tail_index(self, **options: Any) -> TailIndex:
        return self._coordinates.tail_index(**options)

    def fourth_moments_settle(self) -> bool:
        return self._coordinates.fourth_moments_settle()


def curved_form(sgd: SGD) -> ExactForm:
    """The form of a descent by such a rule.

    Raises
    ------
    InvalidInput
        If its law does not close, with the reason.
    """
    matrix = constant_matrix(sgd)
    if matrix is not None:
        return ConstantMatrix(sgd, matrix)
    newton = newton_step(sgd) if isinstance(sgd.problem, QuadraticProblem) else None
    if newton is None:
        return OpenLaw(sgd)
    problem = sgd.problem
    problem.sampling_factor(sgd.batch_size, sgd.sampling)  # refuses reshuffled epochs
    if not isinstance(problem, LeastSquares):
        return StreamNewton(sgd, newton)
    if sgd.batch_size == 1 and rows_can_be_scaled(problem, newton):
        return ScaledRows(sgd, newton)
    return ListedBatches(sgd, newton)


def compiled_twin(sgd: SGD) -> SGD | None:
    """A descent with a compiled loop that takes the same steps on the same draws; None where there is none."""
    matrix = constant_matrix(sgd)
    if matrix is not None:
        return ConstantMatrix(sgd, matrix).preconditioned
    single = isinstance(sgd.problem, LeastSquares) and sgd.batch_size == 1 and not sgd.label_noise
    if not single or isinstance(sgd.update_rule, Proximal) and isinstance(sgd.step_size, StepSizes):
        return None
    newton = newton_step(sgd)
    return scaled_rows(sgd, newton) if newton and rows_can_be_scaled(sgd.problem, newton) else None

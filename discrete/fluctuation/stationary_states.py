"""The stationary covariance of everything a linear descent keeps: position and momentum, in modes. Derived.

At stationarity the noise has one covariance N, whatever it depends on, so that the state of a pair of modes solves
V_ij = F_i V_ij F_j^T + N_ij e e^T; and the mean of what comes n steps later, given the state, is F^n times it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.matrix_equations import solve_modal_stein
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.problems.quadratic import QuadraticProblem

if TYPE_CHECKING:
    from ..sgd import SGD


@dataclass(frozen=True, eq=False)
class StationaryState:
    """A descent at stationarity, in modes about the minimiser.

    Attributes
    ----------
    descent : SGD
        It, in the coordinates in which nothing is preconditioned.
    problem : QuadraticProblem
        In those coordinates.
    equations : MomentMap
    noise : (d, d) array
        Covariance of the batch gradient.
    covariance : (s, s, d, d) array
        Of the s numbers of each mode: the position first, then the momentum buffer.
    vectors : (d, d) array
        From modes to positions.
    """

    descent: SGD
    problem: QuadraticProblem
    equations: MomentMap
    noise: np.ndarray
    covariance: np.ndarray
    vectors: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """Covariance (d, d) of the positions, in modes."""
        return self.covariance[0, 0]

    @property
    def step_size(self) -> float:
        """Of the descent."""
        return float(self.descent.step_size)

    @property
    def overdamped_rates(self) -> np.ndarray:
        """Per step, of the modes (d,) of the Ornstein-Uhlenbeck limit: step_size k / (1 - momentum)."""
        return self.step_size * self.problem.curvatures / (1 - self.descent.momentum)

    @cached_property
    def overdamped_covariance(self) -> np.ndarray:
        """Stationary covariance (d, d), in modes, of that limit, with the noise of the minimiser."""
        d = self.problem.dimension
        noise = self.equations.noise(np.zeros((d, d)), np.zeros(d))
        push = self.step_size / (1 - self.descent.momentum)
        return solve_modal_stein(self.overdamped_rates, push**2 * noise, 0.0)

    def out(self, modes: np.ndarray) -> np.ndarray:
        """A matrix (..., d, d) of modes as one of positions."""
        return self.vectors @ modes @ self.vectors.T


def stationary_state(sgd: SGD) -> StationaryState:
    """The state; a preconditioned descent in the coordinates in which it is plain.

    Raises
    ------
    NoStationaryLaw, InfiniteVariance
        As `SGD.stationary`.
    InvalidInput
        If the moments do not close.
    """
    if sgd.preconditioner is not None:
        inner, root = stationary_state(sgd.in_plain_coordinates()), sgd.update_rule.root  # type: ignore[attr-defined]
        return replace(inner, vectors=root @ inner.vectors)
    law = sgd.stationary()
    second = sgd.second_moments
    problem, equations = second.problem, second.equations
    if not isinstance(equations, MomentMap):
        raise InvalidInput(f"{sgd.label} is no recurrence in steps: pass a discrete.SGD")
    vectors, d, s = problem.eigenvectors, problem.dimension, equations.numbers
    noise = equations.weights * equations.noise(vectors.T @ law.covariance @ vectors, np.zeros(d))
    covariance, moving = np.zeros((s, s, d, d)), equations.moving
    covariance[..., moving[:, None], moving] = equations.states_of(moving[:, None], moving)
    covariance *= noise
    return StationaryState(sgd, problem, equations, noise, covariance, vectors)


def check_least_risk(sgd: SGD) -> None:
    """Raise InvalidInput if the risk, without the ridge, has no least value."""
    problem = sgd.problem
    if isinstance(problem, QuadraticProblem) and (lowest := float(problem.eigenvalues.min())) < 0:
        raise InvalidInput(
            f"without the ridge the risk has the curvature {lowest:.3g}, so that it has no least value to compare "
            "with: take stationary().risk"
        )

"""The stationary covariance of everything a descent keeps whose step is affine: position and momentum, in modes.

At stationarity the noise has one covariance N, whatever it depends on, so that the state of a pair of modes solves
V_ij = F_i V_ij F_j^T + N_ij e e^T; and the mean of what comes n steps later, given the state, is F^n times it. Derived.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.matrix_equations import solve_modal_stein
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.problems.quadratic import QuadraticProblem

if TYPE_CHECKING:
    from .sgd import SGD


@dataclass(frozen=True, eq=False)
class StationaryState:
    """A descent at stationarity, in modes about its mean.

    Attributes
    ----------
    equations : MomentMap
        Of a step in those modes.
    noise : (d, d) array
        Covariance of what the gradient, or the direction that stands for it, adds at random.
    covariance : (s, s, d, d) array
        Of the s numbers of each mode: the position first, then the momentum buffer.
    vectors : (d, d) array
        From modes to positions.
    centre : (d,) array
        The mean position.
    """

    equations: MomentMap
    noise: np.ndarray
    covariance: np.ndarray
    vectors: np.ndarray
    centre: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """Covariance (d, d) of the positions, in modes."""
        return self.covariance[0, 0]

    @cached_property
    def _slow(self) -> tuple[np.ndarray, float]:
        """Rates (d,) of the positions while the buffer follows them, and what the noise is multiplied by.

        Of momentum: step_size k / (1 - momentum) and step_size / (1 - momentum).
        """
        lost, entry = self.equations.lost, self.equations.entry
        if entry.size == 1:
            return lost[:, 0, 0], float(entry[0])
        follows = lost[:, 0, 1] / lost[:, 1, 1]
        return lost[:, 0, 0] - follows * lost[:, 1, 0], float(entry[0] - follows[0] * entry[1])

    @property
    def overdamped_rates(self) -> np.ndarray:
        """Per step, of the modes (d,) of the Ornstein-Uhlenbeck limit."""
        return self._slow[0]

    @cached_property
    def overdamped_covariance(self) -> np.ndarray:
        """Stationary covariance (d, d), in modes, of that limit, with the noise of the mean position."""
        rates, push = self._slow
        d = rates.size
        noise = self.equations.weights * self.equations.noise(np.zeros((d, d)), np.zeros(d))
        return push**2 * solve_modal_stein(rates, noise, 0.0)

    @cached_property
    def long_run(self) -> np.ndarray:
        """Sum (d, d) of the autocovariances of the positions over all lags, in modes; zero where nothing acts."""
        rates, push = self._slow
        acts = rates != 0
        inverse = np.where(acts, push / np.where(acts, rates, 1.0), 0.0)
        return inverse[:, None] * self.noise * inverse

    def out(self, modes: np.ndarray) -> np.ndarray:
        """A matrix (..., d, d) of modes as one of positions."""
        return self.vectors @ modes @ self.vectors.T


def state_of(
    equations: MomentMap, positions: np.ndarray, vectors: np.ndarray, centre: np.ndarray
) -> StationaryState:
    """From the covariance (d, d) of the positions, in modes."""
    d, s, moving = len(positions), equations.numbers, equations.moving
    noise = equations.weights * equations.noise(positions, np.zeros(d))
    covariance = np.zeros((s, s, d, d))
    covariance[..., moving[:, None], moving] = equations.states_of(moving[:, None], moving)
    return StationaryState(equations, noise, covariance * noise, vectors, centre)


def check_least_risk(sgd: SGD) -> None:
    """Raise InvalidInput if the risk, without the ridge, has no least value."""
    problem = sgd.problem
    if isinstance(problem, QuadraticProblem) and (lowest := float(problem.eigenvalues.min())) < 0:
        raise InvalidInput(
            f"without the ridge the risk has the curvature {lowest:.3g}, so that it has no least value to compare "
            "with: take stationary().risk"
        )

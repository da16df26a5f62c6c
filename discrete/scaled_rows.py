"""Stochastic Newton and proximal steps on single rows: SGD on rows of other lengths. Derived.

With s = ridge + damping a step on the row a with label y is

    x' = (1 - size ridge / s) x - size (damping / s) a (a . x) / (s + |a|^2) + size a y / (s + |a|^2),

by Sherman and Morrison: SGD of step size `size`, ridge / s for a ridge, on the row a r / sqrt(s + |a|^2) with the label
y / (r sqrt(s + |a|^2)), r^2 = damping / s. Without a ridge that is normalised least mean squares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.least_squares import LeastSquares

from .curved_tails import linear_part_decides
from .exact_form import ExactForm, asked, with_risk
from .newton_step import NewtonStep, proximal_stability
from .stationary_states import StationaryState

if TYPE_CHECKING:
    import xarray

    from .sgd import SGD


def rows_can_be_scaled(problem: LeastSquares, newton: NewtonStep) -> bool:
    """Whether steps by single rows and their own Hessians are plain ones by other rows."""
    return newton.batch is None and newton.damping > 0 and problem.ridge + newton.damping > 0


def scaled_rows(sgd: SGD, newton: NewtonStep) -> SGD:
    """The plain descent that takes the same steps on the same draws; without its label noise."""
    problem = sgd.problem
    shift = problem.ridge + newton.damping
    kept, lengths = math.sqrt(newton.damping / shift), np.sqrt(shift + np.square(problem.features).sum(axis=1))
    rows = LeastSquares(
        problem.features * (kept / lengths)[:, None], problem.targets / (kept * lengths), problem.ridge / shift,
        problem.coordinates,
    )  # fmt: skip
    return replace(sgd, problem=rows, step_size=newton.size, rule=None, label_noise=0.0)


@dataclass(frozen=True, eq=False)
class ScaledRows(ExactForm):
    """Of a descent by single rows, with a damping above 0.

    Attributes
    ----------
    sgd : SGD
    newton : NewtonStep
    """

    sgd: SGD
    newton: NewtonStep

    @cached_property
    def plain(self) -> SGD:
        """Of the same mean and covariance: noise on labels is put as two rows for each, a standard deviation apart."""
        found, noise = scaled_rows(self.sgd, self.newton), self.sgd.label_noise
        if not noise:
            return found
        rows, targets = found.problem.features, found.problem.targets
        problem = self.sgd.problem
        shift = problem.ridge + self.newton.damping
        scale = math.sqrt(self.newton.damping / shift) * np.sqrt(shift + np.square(problem.features).sum(axis=1))
        both = LeastSquares(
            np.concatenate([rows, rows]), np.concatenate([targets - noise / scale, targets + noise / scale]),
            found.problem.ridge, problem.coordinates,
        )  # fmt: skip
        return replace(found, problem=both)

    @property
    def closes(self) -> bool:
        return self.plain.moments_close

    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        problem, chosen = self.sgd.problem, asked(self.sgd.label, quantities)
        inner = chosen if "risk" not in chosen else tuple({"mean", "covariance", *chosen} - {"risk"})
        found = self.plain.moments(x0, steps, record, inner, progress).assign_attrs(attributes)
        if "risk" in chosen:
            found = with_risk(problem, found)
        return found[list(chosen)]

    def stationary(self, settled_only: bool) -> StationaryLaw:
        law = self.plain.stationary(settled_only)
        return replace(law, risk=float(self.sgd.problem.risk_of_positions(law.mean, law.covariance)))

    def state(self) -> StationaryState:
        return self.plain._exact_form.state()

    def stability(self) -> Stability:
        return proximal_stability(self.sgd) if self.newton.proximal else self.plain.stability()

    def tail_index(self, **options: Any) -> TailIndex:
        return linear_part_decides(self.plain.tail_index(**options))

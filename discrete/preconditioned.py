"""Exact moments of preconditioned SGD: it is plain in the coordinates y in which x = root y, root^2 the matrix.

y' = y - step_size root g(root y), and root g is the gradient of the problem as a function of y. With a ridge the
problem of y has a quadratic penalty that is not a multiple of |y|^2. Derived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.initial import Gaussian
from sgdlimits.exact.errors import NoStationaryLaw
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.second_moments import start_moments
from sgdlimits.problems.transformed import transformed

from .exact_form import ExactForm, asked, refuse_schedule, with_risk
from .kesten import Populations
from .moment_equations import quadratic_of
from .preconditioned_tails import index_with_ridge
from .rules import HeavyBall, Nesterov, Preconditioned
from .stationary_states import StationaryState

if TYPE_CHECKING:
    import xarray

    from .sgd import SGD

ROOM = 1e-12  # of a mean or covariance: what rounding the change of coordinates may leave


@dataclass(frozen=True, eq=False)
class PlainCoordinates(ExactForm):
    """A preconditioned descent in the coordinates in which it is plain, and the way back.

    Attributes
    ----------
    sgd : SGD
        Of x.
    """

    sgd: SGD

    @property
    def problem(self) -> QuadraticProblem:
        """Of x."""
        if not isinstance(self.sgd.problem, QuadraticProblem):
            quadratic_of(self.sgd)  # says so
        return self.sgd.problem

    @property
    def rule(self) -> Preconditioned:
        """The preconditioned rule."""
        rule = self.sgd.update_rule
        assert isinstance(rule, Preconditioned)
        return rule

    @cached_property
    def plain(self) -> SGD:
        """The descent of y."""
        inner = self.rule.rule
        return replace(
            self.sgd, problem=transformed(self.problem, self.rule.root), rule=None, preconditioner=None,
            momentum=inner.momentum if isinstance(inner, (HeavyBall, Nesterov)) else 0.0,
            nesterov=isinstance(inner, Nesterov),
        )  # fmt: skip

    @property
    def closes(self) -> bool:
        """As of the plain one."""
        return self.plain.moments_close

    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        """As `SGD.moments`."""
        root, problem = self.rule.root, self.problem
        mean, covariance = start_moments(x0, problem.dimension)
        inverse = np.linalg.inv(root)
        start: Any = inverse @ mean
        if covariance is not None and covariance.any():
            start = Gaussian(start, inverse @ covariance @ inverse)
        wanted = asked(self.sgd.label, quantities)
        same = not problem.ridge and "covariance" not in wanted
        inner = wanted if same else ("mean", "covariance")
        found = self.plain.moments(start, steps, record, inner, progress)
        found = found.assign_attrs(attributes).assign_coords(
            {name: list(problem.coordinates) for name in ("coordinate", "coordinate_2") if name in found.coords}
        )
        if "mean" in found:
            found["mean"] = found["mean"].dims, _within(found["mean"].values, lambda means: means @ root)
        if "covariance" in found:
            turned = _within(found["covariance"].values, lambda covariances: root @ covariances @ root)
            found["covariance"] = found["covariance"].dims, turned
        if "risk" in wanted and not same:
            found = with_risk(problem, found)
        return found[[name for name in found if name in wanted]]

    def stationary(self, settled_only: bool) -> StationaryLaw:
        """As `SGD.stationary`."""
        root, problem = self.rule.root, self.problem
        try:
            law = self.plain.stationary(settled_only)
        except NoStationaryLaw as error:
            if error.directions is None:
                raise
            raise self._unsettled(error) from None
        covariance = root @ law.covariance @ root
        risk = float(problem.risk_of_positions(problem.minimiser, covariance))
        return StationaryLaw(
            problem.minimiser.copy(), covariance, risk, _orthonormal(root @ law.frozen_directions),
            _orthonormal(root @ law.unsettled_directions) if law.unsettled_directions.size else np.zeros((0, 0)),
        )  # fmt: skip

    def state(self) -> StationaryState:
        """In the modes of y."""
        root, inner = self.rule.root, self.plain._exact_form.state()
        return replace(inner, vectors=root @ inner.vectors, centre=self.problem.minimiser.copy())

    def _unsettled(self, error: NoStationaryLaw) -> NoStationaryLaw:
        """The same of x: what stands in the error is of y."""
        directions, problem, cure = error.directions, self.problem, "raise the ridge"
        assert directions is not None
        count, least = directions.shape[1], float(problem.curvatures.min())
        if problem.additive and count < problem.dimension:
            cure += ", or take stationary(settled_only=True) for the law of the other directions"
        what = f"the negative curvature {least:.6g}" if least < 0 else "no curvature where there is noise"
        return NoStationaryLaw(
            f"the descended objective has {what}, so {self.sgd.label} does not settle along {count} direction(s) "
            f"at any step size; {cure}", error.threshold, _orthonormal(self.rule.root @ directions),
        )  # fmt: skip

    def stability(self) -> Stability:
        """As `SGD.stability`: step sizes, in front of the matrix."""
        return self.plain.stability()

    def tail_index(self, **options: Any) -> TailIndex:
        """As `SGD.tail_index`: an index knows no coordinates."""
        sizes, problem = Populations.of(options), self.problem
        refuse_schedule(self.sgd.step_size)
        if not problem.ridge or problem.additive:
            return self.plain.tail_index(**options)
        inner = self.plain  # momentum and the like, as of the descent of y
        return index_with_ridge(replace(inner, problem=problem), inner, self.rule.root, sizes)

    def fourth_moments_settle(self) -> bool:
        """As `SGD.fourth_moments_settle`: a linear map keeps moments finite."""
        return self.plain.fourth_moments_settle()


def _within(values: np.ndarray, turn: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Values (steps, ...) turned, inf at steps past the range of numbers."""
    found = np.full(values.shape, np.inf)
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    with np.errstate(over="ignore", invalid="ignore"):
        found[finite] = turn(values[finite])
    return np.where(np.isnan(found), np.inf, found)


def _orthonormal(directions: np.ndarray) -> np.ndarray:
    return np.linalg.qr(directions)[0] if directions.shape[1] else directions

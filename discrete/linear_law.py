"""Plain descent and momentum where their moments close; of every other rule, the sentence that says why they do not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.quadratic import QuadraticProblem

from .exact_form import ExactForm
from .moment_equations import fourth_moments_settle
from .moment_threshold import moment_threshold
from .stationary_states import StationaryState, state_of
from .tail_index import tail_index

if TYPE_CHECKING:
    import xarray

    from .sgd import SGD


@dataclass(frozen=True, eq=False)
class LinearLaw(ExactForm):
    """Of a descent in its own modes.

    Attributes
    ----------
    sgd : SGD
    """

    sgd: SGD

    @property
    def closes(self) -> bool:
        sgd = self.sgd
        known = isinstance(sgd.problem, QuadraticProblem) and sgd.update_rule.linear(1.0) is not None
        return known and sgd.sampling != "reshuffle"

    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        second = self.sgd.second_moments
        second.warn_if_unstable()
        return second.moments(x0, steps, record, quantities, attributes, self.sgd._time, progress)

    def stationary(self, settled_only: bool) -> StationaryLaw:
        return self.sgd.second_moments.stationary(settled_only)

    def state(self) -> StationaryState:
        law, second = self.stationary(False), self.sgd.second_moments
        problem, equations = second.problem, second.equations
        assert isinstance(equations, MomentMap)
        vectors = problem.eigenvectors
        return state_of(equations, vectors.T @ law.covariance @ vectors, vectors, law.mean)

    def stability(self) -> Stability:
        return replace(self.sgd.second_moments.stability(), lyapunov=lambda: moment_threshold(self.sgd, 0.0))

    def tail_index(self, **options: Any) -> TailIndex:
        return tail_index(self.sgd, **options)

    def fourth_moments_settle(self) -> bool:
        return fourth_moments_settle(self.sgd)

"""Rules that divide by a matrix of the position: no law closes, and of tails something is known."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .exact_form import ExactForm, refuse_schedule
from .kesten import Populations
from .light_tails import light_tail_index
from .moment_equations import quadratic_of
from .rules import NaturalGradient
from .stationary_states import StationaryState

if TYPE_CHECKING:
    import xarray

    from .sgd import SGD


@dataclass(frozen=True, eq=False)
class OpenLaw(ExactForm):
    """Of a descent whose moments do not close.

    Attributes
    ----------
    sgd : SGD
    """

    sgd: SGD

    def _refuse(self) -> NoReturn:
        if not isinstance(self.sgd.problem, QuadraticProblem):
            quadratic_of(self.sgd)  # says so
        raise InvalidInput(
            f"the law of {self.sgd.label} does not close, because its matrix depends on the position (or momentum "
            "carries steps of other matrices): simulate, or take closure() where there is one, which is an "
            "approximation"
        )

    @property
    def closes(self) -> bool:
        return False

    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        self._refuse()

    def stationary(self, settled_only: bool) -> StationaryLaw:
        self._refuse()

    def state(self) -> StationaryState:
        self._refuse()

    def stability(self) -> Stability:
        self._refuse()

    def tail_index(self, **options: Any) -> TailIndex:
        sgd = self.sgd
        sizes = Populations.of(options)
        refuse_schedule(sgd.step_size)
        rule, problem = sgd.update_rule, sgd.problem
        stream = isinstance(problem, StreamingLeastSquares) and not problem.ridge and problem.eigenvalues.min() > 0
        if isinstance(rule, NaturalGradient) and rule.samples == "all" and not rule.momentum and stream:
            return natural_index(sgd, problem, rule)
        return light_tail_index(sgd, sizes.seed)


def natural_index(sgd: SGD, problem: StreamingLeastSquares, rule: NaturalGradient) -> TailIndex:
    """Of a Fisher matrix made of gradients, which grows like |x|^2. Derived.

    Far out a step is of the size of 1 / |x|, and |x|^2 falls by a constant in the mean. Undamped and without noise on
    labels a step from near the truth is of the size of 1 / |x - truth| as well: where the density there is positive,
    jumps beyond t come at a rate of the order of t^-d, and each takes of the order of t^2 steps to come back.

    Raises
    ------
    NoStationaryLaw
        If that takes for ever in the mean.
    """
    d = problem.dimension
    drift = "far out a step is of the size of 1 / |x|, and |x|^2 falls by a constant in the mean"
    if rule.damping or problem.noise or sgd.label_noise:
        return TailIndex(
            math.inf, 0.0, "steps of the size of 1 / |x| far out, and a drift inward, proved",
            note=f"{drift}; near the truth the matrix is kept from 0, so every moment is finite",
        )  # fmt: skip
    jumps = f"near the truth a step is of the size of 1 / |x - truth|, so jumps beyond t come at a rate of order t^-{d}"
    if d <= 2:
        raise NoStationaryLaw(
            f"{sgd.label} has no stationary law in {d} parameter(s) without damping and label noise: {jumps}, and "
            "each takes of order t^2 steps to come back, for ever in the mean; state a damping"
        )
    return TailIndex(
        float(d - 2), 0.0, "closed form: returns from jumps out of the neighbourhood of the truth", proved=False,
        note=f"{jumps}, and each takes of order t^2 steps to come back, as {drift}; that the law has a positive "
        "density at the truth is assumed",
    )  # fmt: skip

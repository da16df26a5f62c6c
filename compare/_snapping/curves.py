"""The gap after a drop of the noise as a function of the steps since. Derived: formula snapping-gap.

After a drop of the batch size both runs have one mean path and one forcing, so that the difference D of their second
moments obeys D' = A D with the linear part A of the low run's moment equations: the gap keeps all its digits however
small it is. After a drop of the step size it is the difference of two exact risks, less that of gradient descent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.moment_states import (
    Curve,
    MomentState,
    leaps_far,
    states,
    weighted_variances,
    without_noise,
)
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.streaming import StreamingLeastSquares

from .arms import Arm, MapAt
from ..drops import BATCH
from .plan import Plan

DOUBLINGS = 10  # of the steps after the drop, after which a proof that the gap falls is given up
NEVER = -1


@dataclass(frozen=True, eq=False)
class GapCurve:
    """The gap.

    Attributes
    ----------
    values : callable
        At steps after the drop (k,).
    own : bool
        Whether it is a recurrence of its own, not a difference of risks.
    falls_from : int
        Step from which on its size is proved to fall; -1 without a proof.
    limit : int or None
        The last step at which it is known: under a schedule.
    leaps : bool
        Whether far steps cost no more than near ones.
    """

    values: Curve
    own: bool
    falls_from: int = NEVER
    limit: int | None = None
    leaps: bool = True


def gap_curve(asked: Plan, met: Mapping[str, MomentState]) -> GapCurve:
    """The gap, from the states of the arms where they meet."""
    weights, rest, own = asked.low.problem.eigenvalues, asked.steps - asked.drop_at, asked.kind == BATCH
    runs: list[tuple[MapAt, MomentState, float]]
    if own:
        difference = met["high"].spread - met["low"].spread
        sign = -1.0 if float(MomentState(np.zeros((1, 1)), difference).variances.sum()) < 0 else 1.0
        map_at = asked.low_map if asked.still else linear_part(asked.low).moment_map
        runs = [(map_at, MomentState(np.zeros_like(met["low"].means), sign * difference), sign)]
    else:
        low = asked.low_map
        runs = [(low, met["snapped"], 1.0), (low, met["low"], -1.0)]
        runs += [(_still(low), met["noiseless snapped"], -1.0), (_still(low), met["noiseless"], 1.0)]
    if not asked.has_one_size_after:
        every = np.zeros(rest + 1)
        for map_at, start, sign in runs:
            arm = Arm(asked.after(map_at, rest))
            every += sign * _levels(arm.states(start, np.arange(rest + 1)), weights)
        return GapCurve(lambda steps: every[np.asarray(steps)], own, NEVER, rest)
    size = float(asked.low.step_size)
    if own:
        ((map_at, start, sign),) = runs
        curve = weighted_variances(map_at(size), start.spread, weights)
        falls = falls_from(map_at(size), start)
        return GapCurve(lambda steps: sign * curve(steps), True, falls, leaps=leaps_far(map_at(size)))

    def values(steps: np.ndarray) -> np.ndarray:
        kept, back = np.unique(steps, return_inverse=True)
        found = np.zeros(len(kept))
        for map_at, start, sign in runs:
            found += sign * _levels(states(map_at(size), start, kept), weights)
        return found[back]

    return GapCurve(values, False, leaps=leaps_far(asked.low_map(size)))


def _levels(found: Iterable[MomentState], weights: np.ndarray) -> np.ndarray:
    return np.array([0.5 * weights @ state.variances for state in found])


def _still(map_at: MapAt) -> MapAt:
    return lambda size: without_noise(map_at(size))


def linear_part(sgd: SGD) -> SGD:
    """SGD with the same features and labels that the point 0 fits: its noise is what is linear in second moments."""
    problem = sgd.problem
    part: LeastSquares | StreamingLeastSquares
    if isinstance(problem, LeastSquares):
        part = LeastSquares(problem.features, np.zeros(problem.samples), problem.ridge)
    else:
        assert isinstance(problem, StreamingLeastSquares)  # the only other leaf
        part = StreamingLeastSquares(problem.given, 0.0, np.zeros(problem.dimension), problem.ridge)
    return replace(sgd, problem=part, label_noise=0.0)


def falls_from(equations: MomentMap, state: MomentState) -> int:
    """A step from which on the gap is proved not to grow; -1 where no proof is found.

    A maps positive semidefinite differences to such ones: where D - A D is one, all that follow are, and the gap is a
    positive sum over the entries of its diagonal.
    """
    now = 0
    for _ in range(DOUBLINGS + 1):
        (after,) = states(equations, state, [1])
        if _is_positive(state.spread - after.spread, state.spread):
            return now
        move = max(1, now)
        (state,) = states(equations, state, [move])
        now += move
    return NEVER


def _is_positive(difference: np.ndarray, scale: np.ndarray) -> bool:
    """Whether it is positive semidefinite, up to rounding of what it is the difference of."""
    s = difference.shape[0]
    if difference.ndim == 3:
        blocks = np.moveaxis(difference, -1, 0)
    else:
        d = difference.shape[-1]
        blocks = difference.transpose(2, 0, 3, 1).reshape(1, d * s, d * s)
    room = 1e-15 * float(np.abs(scale).max())
    return bool(np.linalg.eigvalsh(blocks).min() >= -room)

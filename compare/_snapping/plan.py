"""What was asked of compare.snapping, checked: the two runs, where the noise drops, and where they are matched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import (
    InfiniteVariance,
    InvalidInput,
    NoStationaryLaw,
    instance_of,
    whole_number,
)
from sgdlimits.exact.moment_states import without_noise
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR

from ..drops import BATCH, SIZE, is_everything, same
from .arms import Arm, MapAt, Piece, pieces_of, steps_within

USUAL = 4  # times the steps before the drop: a run
STEPS = "equal steps"
SUMS = "equal sums of step sizes, which coincide at a step of the low run"
CUT = "equal sums of step sizes, for which the low run takes one shorter step"


@dataclass(frozen=True, eq=False)
class Plan:
    """A drop of the noise.

    Attributes
    ----------
    high, low : SGD
        `low` has the settings after the drop; its noise counts only where not `still`.
    still : bool
        Whether there is no noise after the drop.
    kind : "batch size" or "step size"
    drop_at, steps : int
        Of the run whose noise drops.
    met_at : int
        Steps of the low run at the drop.
    cut : float
        Size of the shorter step that the low run takes just before; 0 without one.
    """

    high: SGD
    low: SGD
    still: bool
    kind: str
    drop_at: int
    steps: int
    met_at: int
    cut: float

    @property
    def matched(self) -> str:
        """At what the snapped run is compared with the low one."""
        if self.kind == BATCH:
            return STEPS
        return CUT if self.cut else SUMS

    @property
    def low_map(self) -> MapAt:
        """Moment equations after the drop, at a step size."""
        low = self.low
        return (lambda size: without_noise(low.moment_map(size))) if self.still else low.moment_map

    @property
    def has_one_size_after(self) -> bool:
        """Whether the step size after the drop is one number."""
        return not isinstance(self.low.step_size, StepSizes)

    def after(self, map_at: MapAt, steps: int) -> list[Piece]:
        """So many steps from the drop on, the same ones in both runs."""
        return pieces_of(map_at, self.low.step_size, self.met_at, self.met_at + steps)

    def arms(self) -> dict[str, Arm]:
        """The runs high, snapped and low, and gradient descent with the step sizes of the last two."""
        high, low, rest = self.high.moment_map, self.low_map, self.steps - self.drop_at
        before = pieces_of(high, self.high.step_size, 0, self.drop_at)
        first = pieces_of(low, self.low.step_size, 0, self.met_at - (self.cut > 0))
        if self.cut:
            first.append(Piece(low, self.cut, 1))
        snapped, whole = Arm([*before, *self.after(low, rest)]), Arm([*first, *self.after(low, rest)])
        return {
            "high": Arm(pieces_of(high, self.high.step_size, 0, self.steps)), "snapped": snapped, "low": whole,
            "noiseless": whole.noiseless(), "noiseless snapped": snapped.noiseless(),
        }  # fmt: skip

    def low_steps(self, record: np.ndarray) -> np.ndarray:
        """Steps of the low run for those of the snapped one: matched from the drop on, before it not later in time."""
        if self.kind == BATCH:
            return record
        early = record[record < self.drop_at]
        found = record - self.drop_at + self.met_at
        if early.size:
            times = Arm(pieces_of(self.high.moment_map, self.high.step_size, 0, self.drop_at)).elapsed(early)
            found[: early.size] = np.minimum(steps_within(self.low.step_size, times)[0], self.met_at)
        return found


def plan(sgd: Any, drop_at: int, batch_size: Any, step_size: Any, steps: int | None) -> Plan:
    """Check what was asked.

    Raises
    ------
    InvalidInput
        If moments do not close, or an argument cannot be used.
    NoStationaryLaw, InfiniteVariance
        If a step size is not below its threshold; `.threshold` has it.
    """
    instance_of("sgd", sgd, SGD, "the run before the drop")
    sgd.second_moments  # raises where they do not close
    sgd.problem.check_centre()
    drop_at = whole_number("drop_at", drop_at, 1)
    steps = USUAL * drop_at if steps is None else whole_number("steps", steps, 1)
    if not 0 < drop_at < steps:
        raise InvalidInput(
            f"drop_at is {drop_at}, of {steps} steps: the noise must drop after the first step and before the last, "
            f"take 1 to {steps - 1}" if steps > 1 else f"steps is {steps}: a drop needs steps before it and after it"
        )
    dropped = [not same(value) for value in (batch_size, step_size)]
    if sum(dropped) != 1:
        raise InvalidInput(
            "batch_size and step_size both change at the drop, and what each does could not be told: change one"
            if all(dropped) else "nothing drops: give the batch_size or the step_size after the drop"
        )
    _check_settles(sgd, "before the drop")
    if dropped[0]:
        still = is_everything(batch_size)
        low = sgd if still else replace(sgd, batch_size=batch_size)
        if not still:
            _check_settles(low, "after the drop")
        return Plan(sgd, low, still, BATCH, drop_at, steps, drop_at, 0.0)
    low = replace(sgd, step_size=step_size)
    _check_settles(low, "after the drop")
    before = Arm(pieces_of(sgd.moment_map, sgd.step_size, 0, drop_at)).elapsed(np.array([drop_at]))
    count, left = steps_within(low.step_size, before)
    cut = float(left[0])
    return Plan(sgd, low, False, SIZE, drop_at, steps, int(count[0]) + (cut > 0), cut)


def _check_settles(sgd: SGD, when: str) -> None:
    """Raise where second moments grow for ever; a schedule may do so for a while."""
    if isinstance(sgd.step_size, StepSizes):
        return
    second, size = sgd.second_moments, float(sgd.step_size)
    what = f"step_size is {size:g} and batch_size {sgd.batch_size} {when}"
    if not size < second.mean_threshold * (1 - THRESHOLD_ERROR):
        raise NoStationaryLaw(
            f"{what}, but the mean settles only below {second.mean_threshold:.6g}, so that no gap closes: lower the "
            "step size", second.mean_threshold,
        )  # fmt: skip
    if not second.equations.feedback.is_stable():
        threshold = second.mean_square_threshold()
        raise InfiniteVariance(
            f"{what}, but the second moment settles only below step size {threshold:.6g}, so that no gap closes: lower "
            "the step size or raise the batch size", threshold,
        )  # fmt: skip

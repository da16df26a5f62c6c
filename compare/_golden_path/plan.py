"""What was asked of compare.golden_path, checked: the runs, where the noise drops, where they are matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput, instance_of, positive, real_number, seed_number, whole_number
from sgdlimits.exact.schedules import StepSizes, elapsed
from sgdlimits.problems.sources import ENDLESS
from sgdlimits.problems.tasks import Task

from .._snapping.arms import steps_within
from ..drops import BATCH, RULE, SIZE, is_everything, same

FEWEST = 4  # seeds
LOOKS = 24  # recorded steps after the drop, unless said otherwise
EARLY = 14  # and before it
NEAR = 1e-9  # relative, within which a step is a whole number
LARGER = 8  # times the batches of the low run, where the noiseless one is of fresh batches
LEAST_LARGE, LARGE = 64, 1024  # at least and at most


@dataclass(frozen=True, eq=False)
class Plan:
    """A drop of the noise on a task.

    Attributes
    ----------
    task : Task
    high, low : SGD
        Before the drop, and with little noise throughout.
    given, then : SGD
        The low run as it was asked for, and what the snapped run goes on with, by its own count of steps.
    kind : "batch size", "step size" or "rule"
    drop_at, steps : int
        Of the run whose noise drops.
    met_at : int
        Steps of the low run at the drop.
    cut : float
        Size of the shorter step that the low run takes just before it, where sums of step sizes do not meet; else 0.
    after : (K,) array
        Recorded steps after the drop, 0 first.
    before : (K',) array
        Recorded steps of the high run before it; the low run is looked at the same parts of the way.
    seeds, seed : int
    margin, level, window : float
    """

    task: Task
    high: SGD
    low: SGD
    given: SGD
    then: SGD
    kind: str
    drop_at: int
    steps: int
    met_at: int
    cut: float
    after: np.ndarray
    before: np.ndarray
    seeds: int
    seed: int
    margin: float
    level: float
    window: float

    @property
    def matched(self) -> str:
        """At what the snapped run is compared with the low one."""
        if self.kind != SIZE:
            return "equal steps"
        return "equal sums of step sizes" + (", for which the low run takes one shorter step" if self.cut else "")

    @property
    def low_before(self) -> np.ndarray:
        """Steps (K',) of the low run at the recorded ones of the high run before the drop: not later in time."""
        if self.kind != SIZE:
            return self.before
        times = elapsed(self.high.step_size, self.before)
        return np.minimum(steps_within(self.given.step_size, times)[0], self.met_at)

    def noiseless(self, run: SGD) -> SGD:
        """A run without noise, or with less: by formula, the full batch, or large fresh batches."""
        large = larger(self.task, self.low.batch_size, self.steps + max(self.met_at - self.drop_at, 0))
        return replace(run, **self.task.noiseless(large))

    @property
    def times(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sums of step sizes: of the high run before the drop (K',); after it of the matched runs, and of high (K,)."""
        late, high = self.drop_at + self.after, self.high.step_size
        since = elapsed(self.then.step_size, late) - elapsed(self.then.step_size, late[:1])
        return elapsed(high, self.before), elapsed(high, late[:1]) + since, elapsed(high, late)

    @property
    def silent(self) -> bool:
        """The low run has no noise at all."""
        return whole_batch(self.low)

    @property
    def change(self) -> str:
        """What changes at the drop, from what to what."""
        if self.kind == BATCH:
            return f"{batch_of(self.high)} to {batch_of(self.low).removeprefix('batch size ')}"
        if self.kind == SIZE:
            return f"step size {self.high.step_size:g} to {self.low.step_size:g}"
        return f"{self.high.update_rule.label} to {self.low.update_rule.label}"

    @property
    def epochs(self) -> tuple[float, float]:
        """Of the high and the low run, at their ends; inf online."""
        if self.task.online:
            return np.inf, np.inf
        rows = self.task.problem.samples
        whole = self.steps - self.drop_at + self.met_at
        return self.steps * self.high.batch_size / rows, whole * self.low.batch_size / rows


@dataclass(frozen=True, repr=False)
class Matched:
    """A schedule some steps on, and with one step of another size.

    Attributes
    ----------
    sizes : float or StepSizes
    later : int
        Step k is its step k + later.
    at : int
        The step of another size; -1: none.
    cut : float
        That size.
    """

    sizes: float | StepSizes
    later: int = 0
    at: int = -1
    cut: float = 0.0

    def __call__(self, k: int) -> float:
        if k == self.at:
            return self.cut
        return self.sizes(max(k + self.later, 0)) if isinstance(self.sizes, StepSizes) else self.sizes

    def __repr__(self) -> str:
        return repr(self.sizes)


def larger(task: Task, batch_size: int, steps: int) -> int:
    """Fresh batches that stand for no noise beside this batch size; of stored samples as large as they last."""
    return _lasting(task, max(batch_size, min(max(LARGER * batch_size, LEAST_LARGE), LARGE)), steps)


def _lasting(task: Task, batch_size: int, steps: int) -> int:
    return max(1, min(batch_size, task.problem.samples // steps)) if task.problem.single_pass else batch_size


def check_samples(task: Task, batch_size: int, steps: int) -> None:
    """Refuse steps of so large batches, and of larger ones that stand for no noise, if the samples run out."""
    if task.problem.single_pass:
        least = max(batch_size, min(2 * batch_size, LARGE))  # without noise
        if least * steps > task.problem.samples:
            raise InvalidInput(
                f"the data run out: each sample is met once, and {steps} steps need {least * steps} (batches of "
                f"{batch_size}, and of at least {least} for the run without noise); there are {task.problem.samples}: "
                "give that many, or take fewer steps or smaller batches"
            )
    elif task.online and batch_size * steps > ENDLESS:
        raise InvalidInput(
            f"a run draws {batch_size * steps:.3g} samples, and a stream has {ENDLESS:.3g} before it repeats: take "
            "fewer steps or smaller batches"
        )


def batch_of(sgd: SGD) -> str:
    """The batch of a run in a few words."""
    return "no noise" if whole_batch(sgd) else f"batch size {sgd.batch_size}"


def told(sgd: SGD) -> str:
    """Settings of a run in a few words."""
    rule = "" if sgd.rule is None and not sgd.momentum else f", {sgd.update_rule!r}"
    size = f"{sgd.step_size}" if isinstance(sgd.step_size, float) else repr(sgd.step_size)
    return f"{batch_of(sgd)}, step size {size}{rule}"


def whole_batch(sgd: SGD) -> bool:
    """Every step takes all samples, or the expectation: there is no noise."""
    return sgd.sampling != "with_replacement" and sgd.batch_size == sgd.problem.samples


def plan(
    task: Any, sgd: Any, drop_at: Any, batch_size: Any, step_size: Any, rule: Any, steps: Any, record: Any, seeds: Any,
    seed: Any, margin: Any, level: Any, window: Any,
) -> Plan:  # fmt: skip
    """Check what was asked.

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    """
    instance_of("task", task, Task, "take one of problems.tasks, or build a Task of your own problem")
    instance_of("sgd", sgd, SGD, "the run before the drop")
    if sgd.problem is not task.problem:
        raise InvalidInput("sgd descends another problem than the task's: use discrete.SGD(task.problem, ...)")
    drop_at = whole_number("drop_at", drop_at, 1)
    steps = whole_number("steps", steps, 1)
    if drop_at >= steps:
        raise InvalidInput(f"drop_at is {drop_at}, of {steps} steps: the noise must drop before the last step")
    dropped = {name: value for name, value in
               (("batch_size", batch_size), ("step_size", step_size), ("rule", rule)) if not same(value)}  # fmt: skip
    if len(dropped) != 1:
        raise InvalidInput(
            f"{' and '.join(dropped) or 'nothing'} changes at the drop: change one of batch_size, step_size and rule, "
            "so that what it does can be told"
        )
    name, value = next(iter(dropped.items()))
    if name == "batch_size" and is_everything(value):
        given = replace(sgd, **task.noiseless(_lasting(task, LARGE, 2 * steps)))
    elif name == "rule":
        given = replace(sgd, rule=value, momentum=0.0, nesterov=False)
    else:
        given = replace(sgd, **dropped)
    kind = {"batch_size": BATCH, "step_size": SIZE, "rule": RULE}[name]
    if kind == BATCH and given.batch_size < sgd.batch_size and not whole_batch(given):
        raise InvalidInput(
            f"batch_size is {sgd.batch_size} before the drop and {given.batch_size} after it, which is more noise: "
            "take a larger one after it, or None for no noise"
        )
    numbers = isinstance(sgd.step_size, float) and isinstance(given.step_size, float)
    if kind == SIZE and numbers and given.step_size > sgd.step_size:
        raise InvalidInput(
            f"step_size is {sgd.step_size:g} before the drop and {given.step_size:g} after it, which is more noise: "
            "take a smaller one after it"
        )
    met_at, cut, low, then = _met(sgd, given, drop_at) if kind == SIZE else (drop_at, 0.0, given, given)
    check_samples(task, max(sgd.batch_size, low.batch_size), steps + max(met_at - drop_at, 0))
    seeds = whole_number("seeds", seeds, 1)
    if seeds < FEWEST:
        raise InvalidInput(f"seeds is {seeds}, and a mean with its error over seeds needs {FEWEST} at least")
    level = real_number("level", level)
    if not 0 < level < 0.5:
        raise InvalidInput(f"level must be above 0 and below 0.5, got {level:g}")
    window = real_number("window", window)
    if not 0 < window < 1:
        raise InvalidInput(f"window is the last part of the steps after the drop, above 0 and below 1, got {window:g}")
    after = _looks(record, drop_at, steps)
    early = np.concatenate([[0], np.geomspace(1, drop_at, EARLY // 2), np.linspace(0, drop_at, EARLY // 2 + 1)])
    before = np.unique(early.astype(int))[:-1]
    return Plan(
        task, sgd, low, given, then, kind, drop_at, steps, met_at, cut, after, before, seeds, seed_number(seed),
        positive("margin", margin), level, window,
    )  # fmt: skip


def _met(high: SGD, given: SGD, drop_at: int) -> tuple[int, float, SGD, SGD]:
    """Where sums of step sizes meet, by a shorter step of the low run if need be; that run, and what follows the drop.

    A schedule after the drop is of the low run's steps, and both take the same ones from there.
    """
    sizes = given.step_size
    count, left = steps_within(sizes, elapsed(high.step_size, np.array([drop_at])))
    cut, met_at = float(left[0]), int(count[0]) + bool(left[0])
    low = replace(given, step_size=Matched(sizes, at=met_at - 1, cut=cut)) if cut else given
    moved = isinstance(sizes, StepSizes) and met_at != drop_at
    return met_at, cut, low, replace(given, step_size=Matched(sizes, later=met_at - drop_at)) if moved else given


def _looks(record: Any, drop_at: int, steps: int) -> np.ndarray:
    """Recorded steps after the drop: 0 first, evenly in their logarithm, and evenly in the last part."""
    length = steps - drop_at
    if record is None:
        early = np.geomspace(1, length, LOOKS // 2)
        return np.unique(np.concatenate([[0], early, np.linspace(0, length, LOOKS // 2 + 1)]).astype(int))
    if not isinstance(record, Sequence | np.ndarray):
        every = whole_number("record", record, 1)
        return np.unique([*range(0, length + 1, every), length])
    given = np.array([whole_number("record", each, drop_at, steps) for each in record]) - drop_at
    return np.unique([0, *given, length])

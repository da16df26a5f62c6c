"""What was asked of compare.golden_path, checked: the runs, where the noise drops, where they are matched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.exact.errors import InvalidInput, instance_of, positive, real_number, seed_number, whole_number
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.sources import ENDLESS
from sgdlimits.problems.tasks import Task

from ..drops import BATCH, RULE, SIZE, is_everything, same

FEWEST = 4  # seeds
LOOKS = 24  # recorded steps after the drop, unless said otherwise
EARLY = 14  # and before it
NEAR = 1e-9  # relative, within which a step is a whole number
LARGER = 8  # times the batches of the low run, where the noiseless one is of fresh batches, between
LEAST, LARGE = 64, 1024


@dataclass(frozen=True, eq=False)
class Plan:
    """A drop of the noise on a task.

    Attributes
    ----------
    task : Task
    high, low : SGD
        Before the drop, and with the settings after it.
    kind : "batch size", "step size" or "rule"
    drop_at, steps : int
        Of the run whose noise drops.
    ahead : int
        Steps that the low run is ahead at the drop.
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
    kind: str
    drop_at: int
    steps: int
    ahead: int
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
        return "equal sums of step sizes" if self.kind == SIZE else "equal steps"

    @property
    def met_at(self) -> int:
        """Steps of the low run at the drop."""
        return self.drop_at + self.ahead

    @property
    def noiseless(self) -> SGD:
        """The low run without noise, or with less: by formula, the full batch, or large fresh batches."""
        return replace(self.low, **self.task.noiseless(self._large))

    @property
    def noiseless_before(self) -> SGD:
        """The same of the high run."""
        return replace(self.high, **self.task.noiseless(self._large))

    @property
    def _large(self) -> int:
        """Batches that stand for no noise where no formula does."""
        return larger(self.low.batch_size)

    @property
    def silent(self) -> bool:
        """The low run has no noise at all."""
        return whole_batch(self.low)

    @property
    def epochs(self) -> tuple[float, float]:
        """Of the high and the low run, at their ends; inf online."""
        if self.task.online:
            return np.inf, np.inf
        rows = self.task.problem.samples
        return self.steps * self.high.batch_size / rows, (self.steps + self.ahead) * self.low.batch_size / rows


def larger(batch_size: int) -> int:
    """Fresh batches that stand for no noise beside this batch size."""
    return max(batch_size, min(max(LARGER * batch_size, LEAST), LARGE))


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
        low = replace(sgd, **task.noiseless())
    elif name == "rule":
        low = replace(sgd, rule=value, momentum=0.0, nesterov=False)
    else:
        low = replace(sgd, **dropped)
    kind = {"batch_size": BATCH, "step_size": SIZE, "rule": RULE}[name]
    ahead = _ahead(sgd, low, drop_at) if kind == SIZE else 0
    _check_samples(task, max(sgd.batch_size, low.batch_size) * (steps + max(ahead, 0)))
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
        task, sgd, low, kind, drop_at, steps, ahead, after, before, seeds, seed_number(seed),
        positive("margin", margin), level, window,
    )  # fmt: skip


def _ahead(high: SGD, low: SGD, drop_at: int) -> int:
    """Steps that the low run has taken more at the same sum of step sizes."""
    if isinstance(high.step_size, StepSizes) or isinstance(low.step_size, StepSizes):
        raise InvalidInput(
            "runs are matched at equal sums of step sizes, and here one is a schedule: change the batch size instead"
        )
    share = high.step_size / low.step_size
    met = drop_at * share
    if abs(met - round(met)) > NEAR * met:
        tried = np.arange(1, 10 * drop_at)
        fits = tried[np.abs(tried * share - np.round(tried * share)) < NEAR * tried * share]
        what = f"take {fits[np.argmin(np.abs(fits - drop_at))]}" if fits.size else "take step sizes in a whole ratio"
        raise InvalidInput(
            f"drop_at is {drop_at}, after which no step of the low run has the same sum of step sizes "
            f"({met:.6g} steps of {low.step_size:g}): {what}"
        )
    return round(met) - drop_at


def _check_samples(task: Task, drawn: int) -> None:
    if task.online and drawn > ENDLESS:
        raise InvalidInput(
            f"a run draws {drawn:.3g} samples, and a stream has {ENDLESS:.3g} before it repeats: take fewer "
            "steps or smaller batches"
        )


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

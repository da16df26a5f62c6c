"""The settings that the study tries: a task, a run with much noise, and what drops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sgdlimits.discrete import SGD, rules, schedules
from sgdlimits.problems.tasks import TASKS, Task
from sgdlimits.problems.tasks.characters import sonnets

QUICK = 4  # times fewer steps


@dataclass(frozen=True)
class Case:
    """One noise drop.

    Attributes
    ----------
    name : str
        What is told of it in a table.
    task : str
        A key of `problems.tasks.TASKS`.
    step_size : float
    batch_size : int
    drop_at, steps : int
    low : mapping
        What drops: `batch_size` (None: no noise), `step_size` or `rule`.
    options : mapping
        Of the task.
    rule : update rule, optional
    warm_up : int
        Steps of a linear rise of the step size, which then falls as a cosine; 0: a constant step size.
    more : int
        Times the seeds of the study, of cases that are cheap or spread widely.
    why : str
        What the case is there to show.
    make : function of the seed, optional
        Makes a task that is none of `TASKS`, of stored rows.
    """

    name: str
    task: str
    step_size: float
    batch_size: int
    drop_at: int
    steps: int
    low: Mapping[str, Any]
    options: Mapping[str, Any] = field(default_factory=dict)
    rule: Any = None
    warm_up: int = 0
    more: int = 1
    why: str = ""
    make: Callable[[int], Task] | None = None

    @property
    def online(self) -> bool:
        """Every sample is fresh."""
        return self.make is None and "rows" not in self.options

    def build(self, seed: int, quick: bool) -> tuple[Task, SGD, dict[str, Any]]:
        """Task, run before the drop, and the arguments of `compare.golden_path` behind these."""
        task = self.make(seed) if self.make else TASKS[self.task](seed=seed, **self.options)
        part = QUICK if quick else 1
        drop_at, steps, warm_up = self.drop_at // part, self.steps // part, self.warm_up // part
        step_size: Any = self.step_size
        if warm_up:
            # it ends past the run, so that the step size is not yet zero there
            step_size = schedules.WarmUp(self.step_size, warm_up, then=schedules.Cosine(self.step_size, 2 * steps))
        sgd = SGD(task.problem, step_size, batch_size=self.batch_size, rule=self.rule)
        return task, sgd, {"drop_at": drop_at, "steps": steps, **self.low}


TEXT = 1200  # characters, two sonnets: each place is a test row
SMALL_DIGITS = {"width": 16, "test_rows": 1000}
CASES = (
    Case(
        "linear regression, batch 4 to 64", "linear-regression", 0.05, 4, 200, 1200, {"batch_size": 64},
        {"dimension": 50}, more=12, why="exact theory: noise never helps, the gap closes by a power",
    ),
    Case(
        "logistic regression, step size 0.4 to 0.1", "logistic-regression", 0.4, 4, 200, 2000, {"step_size": 0.1},
        more=6, why="convex, not quadratic; a drop of the step size",
    ),
    Case(
        "diagonal network, online", "diagonal-network", 0.02, 1, 1000, 4000, {"batch_size": None},
        why="the same model as below on fresh samples",
    ),
    Case(
        "diagonal network, 40 rows", "diagonal-network", 0.02, 1, 1000, 4000, {"batch_size": None}, {"rows": 40},
        why="noise offline chooses another interpolator",
    ),
    Case(
        "ReLU regression, moderate", "relu-regression", 0.02, 4, 800, 2400, {"batch_size": 32}, {"noise": 0.3},
        more=2, why="noisy labels, small step size",
    ),
    Case(
        "ReLU regression, aggressive", "relu-regression", 0.05, 1, 1000, 2500, {"batch_size": 32}, {"noise": 0.0},
        more=3, why="no label noise, step size over batch size large",
    ),
    Case(
        "ReLU regression, 60 rows", "relu-regression", 0.05, 1, 1500, 3500, {"batch_size": None}, {"rows": 60},
        why="a network that interpolates",
    ),
    Case(
        "ReLU classification, SGD", "relu-classification", 0.2, 4, 300, 800, {"batch_size": 64},
        why="classes drawn from a teacher",
    ),
    Case(
        "ReLU classification, momentum", "relu-classification", 0.02, 4, 300, 800, {"batch_size": 64},
        rule=rules.HeavyBall(0.9), why="momentum, which is carried over the drop",
    ),
    Case(
        "ReLU classification, AdamW", "relu-classification", 0.005, 4, 300, 800, {"batch_size": 64},
        rule=rules.AdamW(weight_decay=0.01), warm_up=50, why="AdamW with warm-up and a cosine schedule",
    ),
    Case(
        "digits, changed at random", "digits", 0.1, 4, 250, 1300, {"batch_size": 32}, SMALL_DIGITS,
        why="images under a stream of augmentations",
    ),
    Case(
        "digits, 300 rows", "digits", 0.1, 4, 250, 750, {"batch_size": None}, {**SMALL_DIGITS, "rows": 300},
        why="the same images, drawn once",
    ),
    Case(
        "next character", "next-character", 0.5, 4, 250, 900, {"batch_size": 16},
        {"context": 2, "width": 16, "text": sonnets()[:TEXT]}, why="a small model of text",
    ),
)  # fmt: skip
TRIED = tuple(dict.fromkeys(case.task for case in CASES))

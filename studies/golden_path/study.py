"""The study of the golden path: which settings hold it, which do not, and what noise costs or brings in each."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sgdlimits.exact.errors import InvalidInput, one_of, positive, whole_number
from sgdlimits.studies.data_files import DataFileSettings
from sgdlimits.studies.options import option
from sgdlimits.studies.results import ResultOfStudy

if TYPE_CHECKING:

    from sgdlimits.compare import DoseResponse, GoldenPath, NoiseCost

    from sgdlimits.problems.tasks import Task

    from .cases import Case

FEWEST = 4  # seeds of a mean with an error
FILE = "SGD on the file"
QUARTER = 4


def task_names() -> tuple[str, ...]:
    """The tasks that the study knows settings of."""
    from .cases import TRIED

    return TRIED


@dataclass(frozen=True)
class GoldenPathStudy(DataFileSettings):
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    data, target, one_hot, drop, delimiter, decimal, complete_rows, data_sha256 : optional
        A CSV file as one more setting, before the named tasks; see `studies.data_files`. A target of texts is a
        classification.
    step_size : float
    batch_size, low_batch_size : int
        On the file, before and after the drop, a quarter of the steps into the run.
    steps : int
    width : int
        Hidden units of the network that learns the file; 0: a linear model.
    test_fraction : float
        Of the file's rows, held out.
    tasks : str, optional
        Names of tasks, separated by commas; None: all, or none with a file.
    seeds : int
        Of each setting; cheap ones take a stated number of times more.
    seed : int
    margin : float
        Within which gaps count as none.
    quick : bool
        A quarter of the steps.
    """

    name: ClassVar[str] = "golden-path"
    step_size: float = option(0.05, FILE, "step size")
    batch_size: int = option(4, FILE, "samples in a batch before the noise drops")
    low_batch_size: int = option(64, FILE, "samples in a batch after it, and of the run with little noise")
    steps: int = option(1000, FILE, "SGD steps; the noise drops after a quarter of them")
    width: int = option(32, FILE, "hidden ReLU units of the network; 0: a linear model")
    test_fraction: float = option(0.25, FILE, "part of the rows held out, on which losses are measured")
    tasks: str | None = option(
        None, "settings", lambda: f"tasks, separated by commas: {', '.join(task_names())}",
        shown="all, or none with --data",
        metavar="NAMES", allowed=task_names, several=True,
    )  # fmt: skip
    margin: float = option(0.05, "settings", "within which a gap counts as none: of that at the drop, or of the loss")
    seeds: int = option(16, "run", "runs of each setting; cheap ones take a stated number of times more")
    seed: int = option(0, "run", "of all random numbers: the same seed, the same bits")
    quick: bool = option(False, "run", "a quarter of the steps: too short for most verdicts, but all figures")

    def __post_init__(self) -> None:
        self.check_file()
        for name in self.chosen:
            one_of("tasks", name, list(task_names()))
        checked: dict[str, Any] = {
            "margin": positive("margin", self.margin),
            "seeds": whole_number("seeds", self.seeds, FEWEST),
            "seed": whole_number("seed", self.seed, 0, 2**32 - 1),
            "step_size": positive("step_size", self.step_size),
            "batch_size": whole_number("batch_size", self.batch_size, 1),
            "low_batch_size": whole_number("low_batch_size", self.low_batch_size, 1),
            "steps": whole_number("steps", self.steps, 2 * QUARTER**2),
            "width": whole_number("width", self.width, 0),
            "test_fraction": positive("test_fraction", self.test_fraction),
        }
        self.settle(checked)
        if checked["margin"] >= 1:
            raise InvalidInput(f"margin must be below 1, got {checked['margin']!r}")
        if checked["low_batch_size"] < checked["batch_size"]:
            raise InvalidInput(
                f"low_batch_size is {self.low_batch_size}, below the batch_size {self.batch_size}: it must be larger, "
                "so that the noise drops"
            )

    @property
    def chosen(self) -> list[str]:
        """The tasks."""
        if self.tasks is None:
            return [] if self.data is not None else list(task_names())
        return [name.strip() for name in self.tasks.split(",")]

    @property
    def cases(self) -> list[Case]:
        """The settings, the user's file first."""
        from .cases import CASES, Case

        found = [case for case in CASES if case.task in self.chosen]
        if self.data is None:
            return found
        mine = Case(
            os.path.basename(self.data), "", self.step_size, self.batch_size, self.steps // QUARTER, self.steps,
            {"batch_size": self.low_batch_size}, why="own data", make=self.task_of_file,
        )  # fmt: skip
        return [mine, *found]

    def task_of_file(self, seed: int) -> Task:
        """The task that the file is made of, rows held out by the seed.

        Raises
        ------
        InvalidInput
            If the file cannot be used.
        """
        from sgdlimits.problems import tasks

        path, target, form = self.checked_file()
        return tasks.from_csv(path, target, self.width, test_fraction=self.test_fraction, seed=seed, **form)

    def run(self, progress: Any = None, threads: int | None = None) -> GoldenPathResult:
        """Run every setting, then ladders of doses and samples to a loss.

        Parameters
        ----------
        progress : True, None, or object with update(n) and close()
        threads : int, optional
            Never changes a number.

        Raises
        ------
        InvalidInput
            If a setting cannot be used.
        """
        from sgdlimits.compare import golden_path
        from sgdlimits.ensembles.blas_threads import one_blas_thread
        from sgdlimits.ensembles.progress import KeptOpen, open_progress

        from . import ladders

        study, bar = self.pinned(), open_progress(progress, math.inf)
        try:
            with one_blas_thread():  # the same bits on any number of cores
                found = {}
                for case in study.cases:
                    task, sgd, asked = case.build(self.seed, self.quick)
                    found[case.name] = golden_path(
                        task, sgd, seeds=case.more * self.seeds, seed=self.seed, margin=self.margin, threads=threads,
                        progress=KeptOpen(bar), **asked,
                    )  # fmt: skip
                doses = ladders.doses(self, threads, KeptOpen(bar))
                costs = ladders.costs(self, threads, KeptOpen(bar))
        finally:
            bar.close()
        return GoldenPathResult(study, found, doses, costs)


@dataclass(frozen=True, eq=False, repr=False)
class GoldenPathResult(ResultOfStudy):
    """What a run of the study gave.

    Attributes
    ----------
    study : GoldenPathStudy
    drops : mapping from settings to compare.GoldenPath
    doses : mapping from ladders to compare.DoseResponse
    costs : mapping from tasks to compare.NoiseCost
        Samples and steps to a loss.
    """

    study: GoldenPathStudy
    drops: Mapping[str, GoldenPath]
    doses: Mapping[str, DoseResponse]
    costs: Mapping[str, NoiseCost]

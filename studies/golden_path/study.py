"""The study of the golden path: which settings hold it, which do not, and what noise costs or brings in each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sgdlimits.exact.errors import InvalidInput, one_of, positive, whole_number
from sgdlimits.studies.options import option
from sgdlimits.studies.results import ResultOfStudy
from sgdlimits.studies.settings import StudySettings

if TYPE_CHECKING:
    import xarray

    from sgdlimits.compare import DoseResponse, GoldenPath, NoiseCost
    from sgdlimits.compare.reports import Report

    from .cases import Case

FEWEST = 4  # seeds of a mean with an error


def task_names() -> tuple[str, ...]:
    """The tasks that the study knows settings of."""
    from .cases import TRIED

    return TRIED


@dataclass(frozen=True)
class GoldenPathStudy(StudySettings):
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    tasks : str, optional
        Names of tasks, separated by commas; None: all.
    seeds : int
        Of each setting; cheap ones take a stated number of times more.
    seed : int
    margin : float
        Within which gaps count as none.
    quick : bool
        A quarter of the steps.
    """

    name: ClassVar[str] = "golden-path"
    tasks: str | None = option(
        None, "settings", lambda: f"tasks, separated by commas: {', '.join(task_names())}", shown="all",
        metavar="NAMES", allowed=task_names, several=True,
    )  # fmt: skip
    margin: float = option(0.05, "settings", "within which a gap counts as none: of that at the drop, or of the loss")
    seeds: int = option(16, "run", "runs of each setting; cheap ones take a stated number of times more")
    seed: int = option(0, "run", "of all random numbers: the same seed, the same bits")
    quick: bool = option(False, "run", "a quarter of the steps: too short for most verdicts, but all figures")

    def __post_init__(self) -> None:
        if not (self.tasks is None or isinstance(self.tasks, str)):
            raise InvalidInput(f"tasks must be a text, got {self.tasks!r}")
        if not isinstance(self.quick, bool):
            raise InvalidInput(f"quick must be true or false, got {self.quick!r}")
        for name in self.chosen:
            one_of("tasks", name, list(task_names()))
        checked: dict[str, Any] = {
            "margin": positive("margin", self.margin),
            "seeds": whole_number("seeds", self.seeds, FEWEST),
            "seed": whole_number("seed", self.seed, 0, 2**32 - 1),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if checked["margin"] >= 1:
            raise InvalidInput(f"margin must be below 1, got {checked['margin']!r}")

    @property
    def chosen(self) -> list[str]:
        """The tasks."""
        return list(task_names()) if self.tasks is None else [name.strip() for name in self.tasks.split(",")]

    @property
    def cases(self) -> list[Case]:
        """The settings."""
        from .cases import CASES

        return [case for case in CASES if case.task in self.chosen]

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

        bar = open_progress(progress, math.inf)
        try:
            with one_blas_thread():  # the same bits on any number of cores
                found = {}
                for case in self.cases:
                    task, sgd, asked = case.build(self.seed, self.quick)
                    found[case.name] = golden_path(
                        task, sgd, seeds=case.more * self.seeds, seed=self.seed, margin=self.margin, threads=threads,
                        progress=KeptOpen(bar), **asked,
                    )  # fmt: skip
                doses = ladders.doses(self, threads, KeptOpen(bar))
                costs = ladders.costs(self, threads, KeptOpen(bar))
        finally:
            bar.close()
        return GoldenPathResult(self, found, doses, costs)


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

    def __str__(self) -> str:
        from .tables import text

        return text(self)

    @property
    def finding(self) -> str:
        """The result in a few sentences, computed from the data."""
        from .tables import finding

        return finding(self)

    @property
    def summary(self) -> xarray.Dataset:
        """All verdicts and doses as one dataset, whose shape depends on the tasks alone.

        Over (setting, criterion): value, interval and verdict, with a word where there is none. Over dose_row: the
        loss relative to that without noise, at the last step of each ladder.
        """
        from .summary import summary

        return summary(self)

    def table(self) -> list[dict[str, Any]]:
        """One dict a setting and criterion."""
        from .tables import rows

        return rows(self)

    def report(self) -> Report:
        """Everything that goes into the folder."""
        from .report import report

        return report(self)

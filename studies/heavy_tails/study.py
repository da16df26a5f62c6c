"""The study of heavy tails: the index against each parameter, and the table of the paper on homogenized SGD redone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sgdlimits.exact.errors import InvalidInput, non_negative, positive, whole_number
from sgdlimits.studies.data_files import NamedDataSettings, named_data
from sgdlimits.studies.options import option
from sgdlimits.studies.results import ResultOfStudy

if TYPE_CHECKING:
    import xarray

    from sgdlimits.problems import LeastSquares

    from .optimisers import OptimiserTail
    from .paper_table import TableRow

FRACTION = 0.9  # of SGD's mean-square threshold, by default
FEWEST = 500  # paths, of which a tail of any index can be fitted
FULL = {"paths": 128, "generations": 150, "groups": 4}  # populations behind each index of SGD in the table
QUICK = {"paths": 64, "generations": 80, "groups": 4}


@dataclass(frozen=True)
class HeavyTailsStudy(NamedDataSettings):
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    data, target, one_hot, drop, delimiter, decimal, complete_rows, data_sha256 : optional
        A CSV file as one more data set, before the named ones; see `studies.data_files`.
    datasets : str
        Names of data sets, separated by commas; "none": no other than the file. Random features are made of the first,
        the file where there is one. Gaussian rows come in addition.
    batch_sizes : str
        Whole numbers separated by commas.
    fraction : float, optional
        Step size over SGD's exact mean-square threshold, below 1. 0.9 unless a step size is given.
    step_size : float, optional
        Of every row, in place of a fraction.
    ridge : float
    paths : int
        Of each sample; of the optimisers at least 20 000.
    resamples : int
        Of each bootstrap.
    seed : int
    confidence : float
        Of each interval.
    quick : bool
        Fewer values in each sweep and smaller populations.
    """

    name: ClassVar[str] = "heavy-tails"
    datasets: str = named_data("diabetes,airfoil,concrete", "table", "named data sets of the table")
    batch_sizes: str = option("1,4", "table", "batch sizes of the table, separated by commas", metavar="NUMBERS")
    fraction: float | None = option(
        None, "table", "step size over SGD's exact mean-square threshold, below 1",
        shown=f"{FRACTION:g}, unless --step-size is given",
    )  # fmt: skip
    step_size: float | None = option(
        None, "table", "step size of every row", shown="from --fraction, in each row its own"
    )  # fmt: skip
    ridge: float = option(0.1, "table", "of the objective, at least 0: a stationary law is studied")
    paths: int = option(6000, "run", "of each sample, one end each; of the optimisers at least 20 000")
    resamples: int = option(99, "run", "of each bootstrap of a fitted law: at least 19")
    seed: int = option(0, "run", "of all random numbers: the same seed, the same bits")
    confidence: float = option(0.95, "run", "of each interval")
    quick: bool = option(False, "run", "fewer values in each sweep, smaller populations")

    def __post_init__(self) -> None:
        self.check_data()
        self.sizes  # noqa: B018 - refuses what is no number
        checked: dict[str, Any] = {
            "ridge": non_negative("ridge", self.ridge),
            "paths": whole_number("paths", self.paths, FEWEST),
            "resamples": whole_number("resamples", self.resamples, 19),
            "seed": whole_number("seed", self.seed, 0, 2**32 - 1),
            "confidence": positive("confidence", self.confidence),
        }
        if self.fraction is not None and self.step_size is not None:
            raise InvalidInput(
                f"give a fraction of the threshold or a step size, not both: got {self.fraction!r} and "
                f"{self.step_size!r}"
            )
        if self.step_size is not None:
            checked["step_size"] = positive("step_size", self.step_size)
        else:
            checked["fraction"] = FRACTION if self.fraction is None else positive("fraction", self.fraction)
        self.settle(checked)
        for name in ("fraction", "confidence"):
            if checked.get(name, 0) >= 1:
                raise InvalidInput(f"{name} must be below 1, got {checked[name]!r}")

    @property
    def sizes(self) -> list[int]:
        """The batch sizes."""
        words = [word.strip() for word in self.batch_sizes.split(",")]
        if not all(word.isdecimal() and int(word) > 0 for word in words):
            raise InvalidInput(
                f"batch_sizes must be whole numbers from 1, separated by commas, got {self.batch_sizes[:60]!r}"
            )
        return [int(word) for word in words]

    def chosen(self) -> dict[str, LeastSquares]:
        """The user's data, if given, and the named data sets.

        Raises
        ------
        InvalidInput
            If a file or a data set cannot be used.
        """
        from sgdlimits.problems import LeastSquares

        found = {}
        if self.data is not None:
            name = Path(self.data).name
            found[f"file {name}" if name in self.names else name] = self.read_file(self.ridge)
        return found | {name: LeastSquares.from_dataset(name, self.ridge) for name in self.names}

    def step_size_of(self, threshold: float) -> float:
        """Of a row whose mean-square threshold is this."""
        if self.step_size is not None:
            return self.step_size
        assert self.fraction is not None  # __post_init__ sets one of the two
        return self.fraction * threshold

    @property
    def step_size_in_words(self) -> str:
        """Which step size the rows have."""
        if self.step_size is not None:
            return f"step size {self.step_size:g}"
        return f"{self.fraction:g} of the mean-square threshold"

    def run(self, progress: Any = None, threads: int | None = None) -> HeavyTailsResult:
        """Compute the table and the sweeps.

        Parameters
        ----------
        progress : True, None, or object with update(n) and close()
        threads : int, optional
            Never changes a number.

        Raises
        ------
        InvalidInput
            If a setting or the data cannot be used.
        """
        from sgdlimits.ensembles.blas_threads import one_blas_thread
        from sgdlimits.ensembles.progress import KeptOpen, open_progress

        from . import optimisers, paper_table, sweeps

        problems = paper_table.data_sets(self.seed, self.ridge, self.chosen())  # wrong data are reported first
        study = self.pinned()
        cases = [
            (name, problem, batch_size, paper_table.threshold_of(problem, batch_size))
            for name, problem in problems.items()
            for batch_size in self.sizes
        ]
        bar = open_progress(progress, math.inf)
        try:
            with one_blas_thread():  # the same bits on any number of cores
                rows = tuple(
                    paper_table.table_row(
                        name, problem, batch_size, self.step_size_of(threshold), threshold, self.paths, self.resamples,
                        QUICK if self.quick else FULL, self.seed, self.confidence, threads, KeptOpen(bar),
                    )
                    for name, problem, batch_size, threshold in cases
                )  # fmt: skip
                along = {
                    name: sweeps.sweep_axis(
                        axis, self.paths, self.seed, axis.values[::2] if self.quick else None, self.confidence, threads
                    )
                    for name, axis in sweeps.axes().items()
                }  # fmt: skip
                tried = optimisers.optimiser_tails(
                    max(self.paths, optimisers.FEWEST), self.seed, threads, self.confidence
                )
        finally:
            bar.close()
        return HeavyTailsResult(study, rows, along, tried, paper_table.described(problems))


@dataclass(frozen=True, eq=False, repr=False)
class HeavyTailsResult(ResultOfStudy):
    """What a run of the study gave.

    Attributes
    ----------
    study : HeavyTailsStudy
    rows : tuple of TableRow
        The table on data.
    sweeps : mapping from parameters to xarray.Dataset
        See `sweeps.sweep_axis`.
    optimisers : tuple of OptimiserTail
        Which rules have a power tail, and why.
    data : tuple of str
        What the data sets of the table are.
    """

    study: HeavyTailsStudy
    rows: tuple[TableRow, ...]
    sweeps: Mapping[str, xarray.Dataset]
    optimisers: tuple[OptimiserTail, ...]
    data: tuple[str, ...] = ()

    @property
    def finding(self) -> str:
        """The result in a few sentences, computed from the data."""
        from .findings import finding

        return finding(self)

"""The study of heavy tails: the index against each parameter, and the table of the paper on homogenized SGD redone."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits.exact.errors import InvalidInput, non_negative, one_of, positive, whole_number
from sgdlimits.studies import settings as files
from sgdlimits.studies.options import dataset_names, option

if TYPE_CHECKING:
    import xarray

    from .paper_table import TableRow

NAME = "heavy-tails"
FEWEST = 500  # paths, of which a tail of any index can be fitted
FULL = {"paths": 128, "generations": 150, "groups": 4}  # populations behind each index of SGD in the table
QUICK = {"paths": 64, "generations": 80, "groups": 4}


@dataclass(frozen=True)
class HeavyTailsStudy:
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    datasets : str
        Names of data sets, separated by commas; random features are made of the first. Gaussian rows come in addition.
    batch_sizes : str
        Whole numbers separated by commas.
    fraction : float
        Step size over SGD's exact mean-square threshold, below 1.
    ridge : float
    paths : int
        Of each sample.
    resamples : int
        Of each bootstrap.
    seed : int
    confidence : float
        Of each interval.
    quick : bool
        Fewer values in each sweep and smaller populations.
    """

    datasets: str = option(
        "diabetes,airfoil,concrete", "table",
        lambda: f"data sets of the table, separated by commas: {', '.join(dataset_names())}", metavar="NAMES",
        allowed=dataset_names, several=True,
    )  # fmt: skip
    batch_sizes: str = option("1,4", "table", "batch sizes of the table, separated by commas", metavar="NUMBERS")
    fraction: float = option(0.9, "table", "step size over SGD's exact mean-square threshold, below 1")
    ridge: float = option(0.1, "table", "of the objective, at least 0: a stationary law is studied")
    paths: int = option(6000, "run", "of each sample, one end each")
    resamples: int = option(99, "run", "of each bootstrap of a fitted law: at least 19")
    seed: int = option(0, "run", "of all random numbers: the same seed, the same bits")
    confidence: float = option(0.95, "run", "of each interval")
    quick: bool = option(False, "run", "fewer values in each sweep, smaller populations")

    def __post_init__(self) -> None:
        for name in ("datasets", "batch_sizes"):
            if not isinstance(getattr(self, name), str):
                raise InvalidInput(f"{name} must be a text, got {getattr(self, name)!r}")
        if not isinstance(self.quick, bool):
            raise InvalidInput(f"quick must be true or false, got {self.quick!r}")
        for name in self.names:
            one_of("datasets", name, list(dataset_names()))
        self.sizes  # noqa: B018 - refuses what is no number
        checked: dict[str, Any] = {
            "fraction": positive("fraction", self.fraction),
            "ridge": non_negative("ridge", self.ridge),
            "paths": whole_number("paths", self.paths, FEWEST),
            "resamples": whole_number("resamples", self.resamples, 19),
            "seed": whole_number("seed", self.seed, 0, 2**32 - 1),
            "confidence": positive("confidence", self.confidence),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name in ("fraction", "confidence"):
            if checked[name] >= 1:
                raise InvalidInput(f"{name} must be below 1, got {checked[name]!r}")

    @property
    def names(self) -> list[str]:
        """The data sets."""
        return [name.strip() for name in self.datasets.split(",")]

    @property
    def sizes(self) -> list[int]:
        """The batch sizes."""
        words = [word.strip() for word in self.batch_sizes.split(",")]
        if not all(word.isdecimal() and int(word) > 0 for word in words):
            raise InvalidInput(
                f"batch_sizes must be whole numbers from 1, separated by commas, got {self.batch_sizes[:60]!r}"
            )
        return [int(word) for word in words]

    @classmethod
    def from_toml(cls, path: str | os.PathLike[str]) -> HeavyTailsStudy:
        """Read study.toml.

        Raises
        ------
        InvalidInput
            If the file is no settings file of this study, or a setting is not known or not allowed.
        """
        return cls(**files.read_settings(cls, NAME, path))

    def to_toml(self, names: Sequence[str] = ()) -> str:
        """Text of study.toml; `names`: the files of its folder."""
        from sgdlimits.compare.reports import versions

        return files.to_toml(NAME, files.stored(self, asdict(self)), versions(), names)

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

        from . import paper_table, sweeps

        problems = list(paper_table.data_sets(self.seed, self.ridge, self.names))  # wrong data are reported first
        bar = open_progress(progress, math.inf)
        try:
            with one_blas_thread():  # the same bits on any number of cores
                rows = tuple(
                    paper_table.table_row(
                        name, problem, batch_size, self.fraction, self.paths, self.resamples,
                        QUICK if self.quick else FULL, self.seed, self.confidence, threads, KeptOpen(bar),
                    )
                    for name, problem in problems
                    for batch_size in self.sizes
                )  # fmt: skip
                along = {
                    name: sweeps.sweep_axis(axis, self.paths, self.seed, axis.values[::2] if self.quick else None)
                    for name, axis in sweeps.axes().items()
                }
        finally:
            bar.close()
        return HeavyTailsResult(self, rows, along)


@dataclass(frozen=True, eq=False, repr=False)
class HeavyTailsResult:
    """What a run of the study gave.

    Attributes
    ----------
    study : HeavyTailsStudy
    rows : tuple of TableRow
        The table on data.
    sweeps : mapping from parameters to xarray.Dataset
        See `sweeps.sweep_axis`.
    """

    study: HeavyTailsStudy
    rows: tuple[TableRow, ...]
    sweeps: Mapping[str, xarray.Dataset]

    def __str__(self) -> str:
        from .tables import text

        return text(self)

    __repr__ = __str__

    @property
    def finding(self) -> str:
        """The result in a few sentences, computed from the data."""
        from .tables import finding

        return finding(self)

    @property
    def summary(self) -> xarray.Dataset:
        """The table as one dataset over row, whose shape depends on the number of data sets and batch sizes alone."""
        from .tables import summary

        return summary(self)

    def table(self) -> list[dict[str, Any]]:
        """One dict a row of the table."""
        from .tables import rows

        return rows(self)

    def write(
        self,
        folder: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Callable[[str], None] | None = None,
    ) -> Path:
        """Write the report; see `compare.reports.write`. None: results/heavy-tails-001, -002, ..."""
        from sgdlimits.compare.reports import write

        from .report import report

        return write(folder, report(self), NAME, overwrite, progress)

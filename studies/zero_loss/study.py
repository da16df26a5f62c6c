"""What noise does to gradient descent on a set of zero loss: limits, time scales, the interpolator it selects."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, positive, whole_number
from sgdlimits.studies.data_files import DataFileSettings
from sgdlimits.studies.options import dataset_names, option
from sgdlimits.studies.results import ResultOfStudy

if TYPE_CHECKING:
    import xarray

    from sgdlimits.compare import TimeScales

    from .clocks import Clocks
    from .path_convergence import PathConvergence
    from .sparse_regression import Task
    from .trajectories import Trajectories

FEWEST, MOST_PATHS = 4, 10**9  # a comparison of paths takes no fewer
SHARE = 12  # of the paths, a regression's: its networks are large
NETWORK_SHARE = 18  # of the paths, the two-layer network's: they go sixteen at a time


@dataclass(frozen=True)
class Sizes:
    """How much is computed beside `paths`: rungs of the ladders, looks at a run, steps of regressions and network."""

    rungs: int
    scale_rungs: int
    looks: int
    steps: int
    subsets: int
    network_steps: int


FULL, QUICK = Sizes(3, 4, 41, 8000, 50, 8000), Sizes(2, 3, 11, 1500, 5, 1500)


@dataclass(frozen=True)
class ZeroLossStudy(DataFileSettings):
    """Settings of the study; `run` computes it. A file of the user's is what the two-layer network learns.

    Attributes
    ----------
    dataset : str
        Named data set of the regression on real data.
    rows : int
        Training rows of that regression, drawn at random; the others judge it.
    network_dataset : str
        Named data set that a two-layer network learns; of the digits, two.
    network_rows : int
        Rows that the network interpolates; the others judge it.
    network_weights, network_starts : int
        About so many weights; interpolators from which every mechanism starts.
    paths : int
        Of each process on the small models; the regressions take a twelfth, the network an 18th, at least 4.
    seed : int
    tolerance, confidence : float
        Tolerance of the verdicts, relative to what a limit changes and at most 0.1; confidence of each interval.
    quick : bool
        Shorter ladders and runs.
    """

    name: ClassVar[str] = "zero-loss"
    dataset: str = option(
        "diabetes", "regression", lambda: f"data set of the regression on real data: {', '.join(dataset_names())}",
        metavar="NAME", allowed=dataset_names,
    )  # fmt: skip
    rows: int = option(20, "regression", "training rows of that regression, drawn at random; the others judge it")
    network_dataset: str = option(
        "digits", "network",
        "data set that the two-layer network learns unless --data is given; of the digits, a 3 against an 8",
        metavar="NAME", allowed=dataset_names,
    )  # fmt: skip
    network_rows: int = option(50, "network", "rows that it interpolates, drawn at random; the others judge it")
    network_weights: int = option(2000, "network", "about so many weights; 10000 take five times as long")
    network_starts: int = option(1, "network", "interpolators from which every mechanism starts")
    paths: int = option(
        300, "run", "paths of each process on the small models; the regressions take a twelfth, the network an 18th"
    )
    seed: int = option(0, "run", "of all random numbers: the same seed, the same bits")
    tolerance: float = option(0.05, "run", "of the verdicts, relative to what a limit changes: at most 0.1")
    confidence: float = option(0.95, "run", "of each interval")
    quick: bool = option(False, "run", "shorter ladders and runs, in about 60 % of the time")

    def __post_init__(self) -> None:
        from sgdlimits.compare.verdicts import relative_tolerance

        self.check_file()
        checked: dict[str, Any] = {
            "rows": whole_number("rows", self.rows, 4),
            "network_rows": whole_number("network_rows", self.network_rows, 4),
            "network_weights": whole_number("network_weights", self.network_weights, 1, 10**6),
            "network_starts": whole_number("network_starts", self.network_starts, 1, 1000),
            "paths": whole_number("paths", self.paths, FEWEST, MOST_PATHS),
            "seed": whole_number("seed", self.seed, 0, 2**32 - 1),
            "tolerance": relative_tolerance(self.tolerance),
            "confidence": positive("confidence", self.confidence),
        }
        self.settle(checked)
        if self.confidence >= 1:
            raise InvalidInput(f"confidence must be below 1, got {self.confidence!r}")

    @property
    def sizes(self) -> Sizes:
        """Ladders and lengths."""
        return QUICK if self.quick else FULL

    def run(self, progress: Any = None, threads: int | None = None) -> ZeroLossResult:
        """Compute trajectories, time scales, regressions and the two-layer network.

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

        from .network import named_table, network_task, width_of
        from .sparse_regression import real_task

        real_task(self.dataset, self.rows, self.seed)  # wrong data are reported before the long work
        study = self.pinned()
        table = named_table(study.network_dataset) if study.data is None else study.read_table()
        learned = network_task(table, study.network_rows, study.seed)
        width_of(learned, study.network_weights)
        bar = open_progress(progress, math.inf)  # how many steps the ladders need is found on the way
        try:
            with one_blas_thread():  # the same bits on any number of cores
                return study._run(learned, {"seed": self.seed, "threads": threads, "progress": KeptOpen(bar)})
        finally:
            bar.close()

    def _run(self, learned: Task, settings: dict[str, Any]) -> ZeroLossResult:
        from sgdlimits.compare import time_scales

        from . import network, path_convergence, sparse_regression, trajectories
        from .clocks import run_clocks
        from .time_scales import motions

        sizes = self.sizes
        judging: dict[str, Any] = {"tolerance": self.tolerance, "confidence": self.confidence}
        # First: only here can data of the user's turn out not to be interpolated.
        learning = network.run_network(
            learned, self.network_weights, self.network_starts, sizes.network_steps,
            max(FEWEST, self.paths // NETWORK_SHARE), **settings,
        )  # fmt: skip
        along = tuple(
            trajectories.run_scene(scene, sizes.looks, self.paths, sizes.rungs, settings, judging)
            for scene in trajectories.scenes()
        )
        scales = time_scales(
            motions(), rungs=sizes.scale_rungs, paths=self.paths, steps=sizes.steps, **settings, **judging
        )
        paths = path_convergence.run(self.paths, sizes.scale_rungs, settings, judging)
        tasks = (
            sparse_regression.synthetic_task(*sparse_regression.SYNTHETIC, self.seed),
            sparse_regression.real_task(self.dataset, self.rows, self.seed),
        )
        regressions = tuple(
            sparse_regression.run_task(task, sizes.steps, 12, max(4, self.paths // SHARE), **judging, **settings)
            for task in tasks
        )
        subsets = sparse_regression.random_subsets(self.dataset, self.rows, sizes.subsets, self.seed)
        clocks = run_clocks(self.paths, settings, sizes.looks)
        return ZeroLossResult(self, clocks, along, scales, paths, regressions, subsets, learning)


@dataclass(frozen=True, eq=False, repr=False)
class ZeroLossResult(ResultOfStudy):
    """What a run of the study gave.

    Attributes
    ----------
    study : ZeroLossStudy
    clocks : Clocks
        Every mechanism on one axis of steps, from the fall to the set on.
    trajectories : tuple of Trajectories
        One for each small model.
    scales : TimeScales
    paths : tuple of PathConvergence
        Paths beside their limits, and beside the gradient flow while they fall to the set.
    regressions : tuple of xarray.Dataset
        Of the synthetic and the real task; see `sparse_regression.run_task`.
    subsets : mapping of arrays
        Test errors on random subsets of the real rows, by what is selected.
    network : xarray.Dataset
        A two-layer network on real data; see `network.run_network`.
    """

    study: ZeroLossStudy
    clocks: Clocks
    trajectories: tuple[Trajectories, ...]
    scales: TimeScales
    paths: tuple[PathConvergence, ...]
    regressions: tuple[xarray.Dataset, ...]
    subsets: Mapping[str, np.ndarray]
    network: xarray.Dataset

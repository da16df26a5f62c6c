"""The study of exploration: basins, networks, the published grid and index maps, each with what is exact of it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, non_negative, one_of, positive, whole_number
from sgdlimits.exact.threads import threads_of
from sgdlimits.studies.data_files import NamedDataSettings, named_data
from sgdlimits.studies.options import option
from sgdlimits.studies.results import ResultOfStudy

if TYPE_CHECKING:
    from sgdlimits.problems import LeastSquares
    from sgdlimits.problems.tasks import Task
    from sgdlimits.studies.verdicts import Verdict

    from .basins import Basins, Setting
    from .index_map import IndexMap
    from .networks import Network
    from .published_grid import PublishedGrid

PARTS = ("basins", "networks", "grid", "map")
FEWEST_PATHS, FEWEST_RUNS = 64, 100
MOST_WORKERS = 8
RIDGE = 0.1  # of index maps: rows of data alone may leave directions without a law
QUICK_RUNS, QUICK_STEPS = 100, 400
MAP_BATCHES, MAP_SIZES, MAP_RANGE = (1, 2, 4, 8, 16), 7, (0.2, 1.6)  # step sizes over thresholds: least 2, largest 0
QUICK_BATCHES, QUICK_SIZES = (1, 4), 4
GENERATIONS, GROUPS = 120, 4  # of populations of index maps: smaller ones than usual, with their errors


def workers_for(threads: int | None) -> int:
    """Worker processes of a sweep, one a thread that may be used."""
    return min(threads_of(threads), MOST_WORKERS)


@dataclass(frozen=True)
class ExplorationStudy(NamedDataSettings):
    """Settings of the study; `run` computes it.

    Attributes
    ----------
    data, target, one_hot, drop, delimiter, decimal, complete_rows, data_sha256 : optional
        A CSV file: a network learns it, and where its target is a number the index map is of it; see
        `studies.data_files`.
    parts : str
        Of basins, networks, grid, map, separated by commas.
    widths : str
        Of the wells, side by side; numbers separated by commas. The narrowest is the start, the widest the target.
    barrier, step_size, multiplicative, additive, stable_index : float
        Of the wells and of the noise of descents on them.
    paths, steps : int
        Of each process among wells.
    datasets : str
        Data sets that networks learn, separated by commas; "none": no other than the file.
    width : int
        Hidden units.
    runs, updates : int
        Of a network: runs, and steps of each.
    seed : int
    quick : bool
        Coarser grids and fewer runs.
    """

    name: ClassVar[str] = "exploration"
    parts: str = option(
        ",".join(PARTS), "run", f"which parts are run, separated by commas: {', '.join(PARTS)}", metavar="NAMES",
        allowed=lambda: PARTS, several=True,
    )  # fmt: skip
    widths: str = option("1,2,3", "basins", "of the wells, separated by commas, at least two", metavar="NUMBERS")
    barrier: float = option(1.0, "basins", "between the wells")
    step_size: float = option(0.05, "basins", "on the wells")
    multiplicative: float = option(1.2, "basins", "multiplicative noise: a normal factor of the slope")
    additive: float = option(2.0, "basins", "its additive part, above 0, or nothing moves at a minimum")
    stable_index: float = option(1.7, "basins", "of the noise of stable Langevin, above 1 and below 2")
    paths: int = option(256, "basins", "of each process")
    steps: int = option(10_000, "basins", "of each path")
    datasets: str = named_data("digits,diabetes", "networks", "named data sets that networks learn")
    width: int = option(12, "networks", "hidden units")
    runs: int = option(200, "networks", "independent runs of a network, and of a cell of the published grid")
    updates: int = option(2000, "networks", "steps of each run")
    seed: int = option(0, "run", "of all random numbers: the same seed, the same bits")
    quick: bool = option(False, "run", "coarser grids, fewer runs and steps")

    def __post_init__(self) -> None:
        from .basins import stable_index_of

        self.check_kinds()
        for name in self.chosen:
            one_of("parts", name, list(PARTS))
        self.check_data("networks" in self.chosen)
        checked: dict[str, Any] = {
            "barrier": positive("barrier", self.barrier), "step_size": positive("step_size", self.step_size),
            "multiplicative": non_negative("multiplicative", self.multiplicative),
            "additive": positive("additive", self.additive),
            "stable_index": stable_index_of(self.stable_index),
            "paths": whole_number("paths", self.paths, FEWEST_PATHS), "steps": whole_number("steps", self.steps, 100),
            "width": whole_number("width", self.width, 1), "runs": whole_number("runs", self.runs, FEWEST_RUNS),
            "updates": whole_number("updates", self.updates, 100),
            "seed": whole_number("seed", self.seed, 0, 2**32 - 1),
        }  # fmt: skip
        self.settle(checked)
        if "basins" in self.chosen:
            self.setting()

    @property
    def chosen(self) -> list[str]:
        """The parts."""
        return [name.strip() for name in self.parts.split(",")]

    @property
    def sizes(self) -> list[float]:
        """Widths of the wells."""
        try:
            found = [float(text) for text in self.widths.split(",")]
        except ValueError:
            raise InvalidInput(f"widths must be numbers separated by commas, got {self.widths!r}") from None
        if not all(math.isfinite(width) and width > 0 for width in found) or len(found) < 2:
            raise InvalidInput(f"widths must be two or more numbers above zero, got {self.widths!r}")
        return found

    def setting(self) -> Setting:
        """Wells side by side with their noise."""
        from .basins import side_by_side

        return side_by_side(
            self.sizes, self.barrier, self.step_size, self.multiplicative, self.additive, self.stable_index
        )

    def tasks(self) -> Iterator[Task]:
        """What networks learn, the file first."""
        from sgdlimits.problems import tasks

        from .networks import named_tasks

        if self.data is not None:
            path, target, form = self.checked_file()
            name = Path(path).stem if Path(path).stem not in self.names else Path(path).name
            yield tasks.from_csv(path, target, self.width, seed=self.seed, name=name, **form)
        yield from named_tasks(self.names, self.width, self.seed)

    def mapped(self) -> tuple[str, LeastSquares]:
        """Name and least squares of the index map: the file; without one, or with many classes as target, diabetes."""
        from sgdlimits.problems import LeastSquares

        ending = ""
        if self.data is not None:
            name, table = Path(self.data).stem, self.read_table()
            if len(table.classes) <= 2:
                return name, LeastSquares.from_table(table, RIDGE)
            ending = f" ({self.target} of {name} is one of {len(table.classes)} classes)"
        return f"diabetes{ending}", LeastSquares.from_dataset("diabetes", ridge=RIDGE)

    def run(self, progress: Any = None, threads: int | None = None) -> ExplorationResult:
        """Compute every part that was chosen.

        Parameters
        ----------
        progress : True, None, or object with update(n) and close()
        threads : int, optional
            Never changes a number.

        Raises
        ------
        InvalidInput
            If the data or the landscape cannot be used.
        """
        from sgdlimits.ensembles.blas_threads import one_blas_thread
        from sgdlimits.ensembles.progress import open_progress
        from sgdlimits.studies._sweep.executors import one_pool

        study = self.pinned()
        if self.data is not None:  # a file that cannot be used is refused before minutes of other parts
            next(self.tasks())
            self.mapped()
        bar = open_progress(progress, math.inf, "parts")
        made: dict[str, Any] = {}
        try:
            # One BLAS thread: the same bits on any number of cores.
            with one_blas_thread(), one_pool(workers_for(threads)):
                for part in PARTS:
                    if part in self.chosen:
                        made |= getattr(study, f"_{part}")(threads, lambda: bar.update(1))
        finally:
            bar.close()
        return ExplorationResult(study, **made)

    def _basins(self, threads: int | None, done: Any) -> dict[str, Any]:
        from sgdlimits.studies._sweep.executors import side_by_side

        from . import basins, ladders

        own, workers = self.setting(), workers_for(threads)
        settings = [own] if self.quick else [own, basins.valley(self.stable_index)]
        inside = threads if workers == 1 else 1
        calls: list[Any] = [
            partial(basins.explore, setting, self.steps, self.paths, self.seed, inside) for setting in settings
        ]  # fmt: skip
        ends = [partial(ladders.exit_times, own, self.quick),
                partial(ladders.preference_or_why, own, min(self.sizes), max(self.sizes), self.barrier)]  # fmt: skip
        together = [*calls[::-1], *ends]  # the longest first
        *explored, (scaling, notes), (preference, why_not) = side_by_side(together, workers)
        done()
        found = {setting.name: one for setting, one in zip(settings, explored[::-1])}
        return {"basins": found, "scaling": scaling, "preference": preference, "notes": notes,
                "no_preference": why_not}

    def _networks(self, threads: int | None, done: Any) -> dict[str, Any]:
        from sgdlimits.studies._sweep.executors import side_by_side

        from .networks import Size, followed, look

        size = Size(self.runs, self.updates)
        if self.quick:
            size = Size(QUICK_RUNS, min(self.updates, QUICK_STEPS), 50, 100, 4, size.fractions[::2], (1, 8, 64))
        tasks, workers = list(self.tasks()), workers_for(threads)
        inside = threads if workers == 1 else 1
        ways = side_by_side([partial(followed, task, size, self.seed, inside) for task in tasks], workers)
        found = {}
        for task, way in zip(tasks, ways):
            found[task.name] = look(task, size, self.seed, threads, workers, way)
            done()
        return {"networks": found}

    def _grid(self, threads: int | None, done: Any) -> dict[str, Any]:
        from .published_grid import BATCH_SIZES, STEP_SIZES, published_grid

        grid = published_grid(
            STEP_SIZES[1::4] if self.quick else STEP_SIZES, BATCH_SIZES[::3] if self.quick else BATCH_SIZES,
            runs=QUICK_RUNS if self.quick else self.runs,
            steps=200 if self.quick else 1000, seed=self.seed, workers=workers_for(threads),
        )  # fmt: skip
        done()
        return {"grid": grid}

    def _map(self, threads: int | None, done: Any) -> dict[str, Any]:
        from sgdlimits.discrete import SGD

        from .index_map import index_map

        name, problem = self.mapped()
        batches, count = (QUICK_BATCHES, QUICK_SIZES) if self.quick else (MAP_BATCHES, MAP_SIZES)
        low, high = (
            part * SGD(problem, 1e-3, batch).stability().mean_square_threshold
            for part, batch in zip(MAP_RANGE, (batches[0], batches[-1]))
        )
        sizes = np.geomspace(low, high, count).tolist()
        found = index_map(
            problem, sizes, list(batches), workers=workers_for(threads), seed=self.seed,
            paths=64 if self.quick else 128, generations=GENERATIONS, groups=GROUPS,
        )  # fmt: skip
        done()
        return {"map": (name, found)}


@dataclass(frozen=True, eq=False, repr=False)
class ExplorationResult(ResultOfStudy):
    """What a run of the study gave; parts that were not chosen are empty.

    Attributes
    ----------
    study : ExplorationStudy
    basins : mapping from names of landscapes to Basins
    scaling : compare.ExitScaling, or None
    preference : compare.WidthPreference, or None
    notes : sequence of str
        On ladders that are left out.
    no_preference : str
        Why there is no `preference` though it was asked for.
    networks : mapping from names of tasks to Network
    grid : PublishedGrid, or None
    map : (name, IndexMap), or None
    """

    study: ExplorationStudy
    basins: Mapping[str, Basins] = field(default_factory=dict)
    scaling: Any = None
    preference: Any = None
    notes: Sequence[str] = ()
    no_preference: str = ""
    networks: Mapping[str, Network] = field(default_factory=dict)
    grid: PublishedGrid | None = None
    map: tuple[str, IndexMap] | None = None

    @cached_property
    def claims(self) -> list[Verdict]:
        """Claims with verdicts, computed from the parts."""
        from . import claims

        found: list[Verdict] = []
        for one in self.basins.values():
            found += claims.of_basins(one)
        if self.scaling is not None:
            found += claims.of_exit_times(self.scaling, self.notes)
        if self.preference is not None or self.no_preference:
            found.append(claims.of_width(self.preference, self.no_preference))
        found += claims.of_networks({name: one.correlation for name, one in self.networks.items()})
        if self.grid is not None:
            found += claims.of_grid(self.grid)
        if self.map is not None:
            found += [claims.ratio_alone(), claims.ridge_lightens()]
        return found

"""Two-layer networks: tails of the weights in which runs end, what steps stretch, and index against test error."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits import compare, discrete
from sgdlimits.compare.text_table import number
from sgdlimits.exact.errors import FailedCells, InvalidInput
from sgdlimits.problems import tasks
from sgdlimits.problems.datasets import dataset
from sgdlimits.problems.sources import Rows
from sgdlimits.problems.tasks import Task

if TYPE_CHECKING:
    import xarray

CLASSES = ("digits", "breast_cancer", "iris", "wine")  # whose target, a number, is a class
HELD_OUT = 0.25
BATCH = 4  # of the runs whose last iterates are looked at
FRACTION = 0.05  # of 2 / sharpness at the starts: their step size
FRACTIONS, BATCHES = tuple(np.geomspace(0.01, 0.16, 6)), (1, 4, 16, 64)
LOOKED = 4  # starts whose sharpness is taken
CELL_ESTIMATORS = ("corrected_hill", "hill", "moment")


@dataclass(frozen=True)
class Size:
    """How much is done of each network.

    Attributes
    ----------
    runs, steps : int
        Behind the last iterates.
    cell_runs, cell_steps : int
        Of a cell of the grid.
    spectra : int
        Runs along which singular values and exponents are taken.
    fractions, batches : sequences
        Step sizes of the grid over 2 / sharpness at the starts, and batch sizes.
    """

    runs: int
    steps: int
    cell_runs: int = 60
    cell_steps: int = 500
    spectra: int = 8
    fractions: Sequence[float] = FRACTIONS
    batches: Sequence[int] = BATCHES


@dataclass(frozen=True, eq=False)
class Network:
    """What was found of one network.

    Attributes
    ----------
    task : problems.tasks.Task
    sgd : discrete.SGD
    ends : compare.LastIterates
    stretching : compare.SingularValues
    exponents : compare.FiniteTimeExponents
    grid : xarray.Dataset
        Over step_size and batch_size, as of `compare.index_and_test_error`; nan where runs ran away: where their
        training risk ends above that of their starts.
    correlation : compare.RankCorrelation, or None where too few cells have numbers
    notes : sequence of str
    """

    task: Task
    sgd: Any
    ends: Any
    stretching: Any
    exponents: Any
    grid: xarray.Dataset
    correlation: Any
    notes: Sequence[str]


def named_tasks(names: Sequence[str], width: int, seed: int) -> Iterator[Task]:
    """Networks on named data sets: those of classes by cross-entropy, others as regressions on standardised targets."""
    for name in names:
        rows, test = Rows.from_table(dataset(name), test_fraction=HELD_OUT, seed=seed)
        assert test is not None
        classes = round(float(rows.labels.max())) + 1 if name in CLASSES else None
        if classes is None:
            centre, scale = rows.labels.mean(), rows.labels.std()
            rows, test = (Rows(part.inputs, (part.labels - centre) / scale, part.description) for part in (rows, test))
        yield tasks.from_rows(rows, test, width, classes, name)


@dataclass(frozen=True, eq=False)
class Followed:
    """Of `Network` what lies along one step size and batch size; `stable`: 2 / sharpness at the starts."""

    stable: float
    sgd: Any
    ends: Any
    stretching: Any
    exponents: Any


def followed(task: Task, size: Size, seed: int, threads: int | None = None) -> Followed:
    """Runs, and spectra along training; arguments and errors as in `look`."""
    stable = 2 / sharpness(task, seed)
    sgd = discrete.SGD(task.problem, FRACTION * stable, batch_size=BATCH)
    starts = task.starts(size.runs, seed)
    few, short = starts[: size.spectra], min(size.steps, 500)
    return Followed(
        stable, sgd, compare.last_iterates(sgd, starts, size.steps, size.runs, seed, threads=threads),
        compare.singular_values(sgd, few, short, runs=size.spectra, batches=8, seed=seed),
        compare.finite_time_exponents(sgd, few, short, runs=size.spectra, seed=seed),
    )  # fmt: skip


def look(
    task: Task, size: Size, seed: int, threads: int | None = None, workers: int | None = None,
    way: Followed | None = None,
) -> Network:  # fmt: skip
    """Runs, spectra along training, and the grid.

    Parameters
    ----------
    task : problems.tasks.Task
    size : Size
    seed : int
    threads, workers : int, optional
        Never change a number.
    way : Followed, optional
        What `followed` gave, of several networks side by side say.

    Raises
    ------
    InvalidInput
        If runs leave the range of numbers: the file's rows are far from mean 0 and variance 1.
    """
    from sgdlimits.studies import sweep

    way = followed(task, size, seed, threads) if way is None else way
    cell = partial(
        compare.index_and_test_error, task, steps=size.cell_steps, runs=size.cell_runs, estimators=CELL_ESTIMATORS,
        threads=threads if workers in (None, 1) else None,
    )  # fmt: skip
    sizes = [way.stable * part for part in size.fractions]
    over: dict[str, Sequence[Any]] = {"step_size": sizes, "batch_size": list(size.batches)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FailedCells)  # counted in the notes
        grid = sweep(cell, over, seed=seed, workers=workers)
    beginning = float(task.problem.risk(task.starts(size.runs, seed)).mean())
    away = ~(grid["training_risk"] <= beginning)
    numbers = [str(name) for name in grid.data_vars if grid[name].dtype.kind == "f"]
    grid = grid.assign({name: grid[name].where(~away) for name in numbers})
    lost = [text for text in grid["failure"].values.ravel().tolist() if text]
    notes = [f"{len(lost)} of {grid['failure'].size} cells of {task.name} have no numbers: {lost[0]}"] if lost else []
    ran = int(away.sum()) - len(lost)
    if ran:
        notes.append(
            f"{ran} of {away.size} cells of {task.name} are left out, as their runs ran away: their training risk ends "
            f"above {number(beginning, 3)}, that of the starts"
        )
    try:
        correlation = compare.rank_correlation(grid)
    except InvalidInput as error:
        correlation, notes = None, [*notes, f"no rank correlation of {task.name}: {error}"]
    return Network(task, way.sgd, way.ends, way.stretching, way.exponents, grid, correlation, notes)


def sharpness(task: Task, seed: int) -> float:
    """Median over starts of the largest eigenvalue of the Hessian."""
    found = [float(discrete.sharpness(task.problem, x).value) for x in task.starts(LOOKED, seed)]
    value = float(np.median(found))
    if not (math.isfinite(value) and value > 0):
        raise InvalidInput(
            f"the loss of {task.name} has no positive curvature at its starts ({number(value, 3)}), so that no step "
            "size can be chosen: standardise the rows"
        )
    return value


def lognormal(network: Network) -> dict[str, str]:
    """Layer to the verdict of the lognormal alternative on its weights."""
    data = network.ends.dataset
    return {str(layer): str(data["lognormal"].sel(layer=layer, sample="weights").item()) for layer in
            data["layer"].values}  # fmt: skip

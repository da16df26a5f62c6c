"""A sweep: each cell of a grid once, kept as soon as it is done, and one dataset of them all."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.ensembles.progress import Progress, open_progress
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import FailedCells, InvalidInput, flag, seed_number, whole_number

from .assembly import assembled
from .cells import Work, work_of
from .executors import Lost, check_executor, finished, opened
from .grid import Grid, grid_of
from .store import FORMAT, Cell, Folder, Memory, Piece
from .worker import Task, packed, run_cell

if TYPE_CHECKING:
    import xarray

Place = tuple[int, ...]
Job = tuple[Place, Piece]
BLOCK = 100_000  # paths of a piece
MOST_NAMED = 6  # cells that a sentence names


def sweep(
    cell: Any,
    over: Mapping[str, Sequence[Any]],
    store: str | os.PathLike[str] | None = None,
    seed: int = 0,
    *,
    paths: int | None = None,
    block: int = BLOCK,
    workers: int | None = None,
    executor: Executor | None = None,
    retry: bool = False,
    progress: bool | Progress | None = None,
) -> xarray.Dataset:
    """Run a function, a simulation or a study in every cell of a grid, and lose nothing of it.

    Parameters
    ----------
    cell : function, study, or name of a study
        A function takes the swept names, and returns a number, an array, a mapping of these, or an xarray object of the
        same shape in every cell; a lambda will do. One with an argument `seed` is given a seed of the cell's own, which
        depends on `seed` and the cell's settings alone. A study gives its `summary`.
    over : mapping from names to lists of values
        Numbers, texts, or objects such as noise mechanisms, which are told apart by what they hold. Attributes of an
        xarray.DataArray are kept.
    store : path, optional
        Folder in which finished cells are kept. The same sweep goes on there: what is missing is computed, and more
        values, or more `paths`, extend it. None: cells are kept in memory and end with the call.
    seed : int
    paths : int, optional
        The function simulates: it takes `paths` and `first_path`, and returns the dataset of `simulate`. Its paths are
        run in pieces and joined; more of them later extend what is there.
    block : int
        Paths of a piece, at most.
    workers : int, optional
        Worker processes, each with one thread; default this process, with all of them. Never changes a number.
    executor : concurrent.futures.Executor, optional
        Where cells run instead: a pool, or a Dask cluster's ``client.get_executor()``.
    retry : bool
        Run cells that failed before again.
    progress : bool or object with update(n) and close(), optional
        True: a bar with the time left, or lines where there is no terminal. Counted in cells that are missing, or
        pieces of them.

    Returns
    -------
    xarray.Dataset
        A dimension a name; `failure(...)`, the sentence with which a cell failed, empty where it did not;
        `warned(...)`, what it warned of; `platform(...)`, where it ran. A coordinate that differs from cell to cell
        becomes a variable `NAME_in_cell`. Bits depend on the settings and the seed alone, on one platform; between
        platforms they agree to rounding.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, the store holds another sweep, or workers were lost: what is finished is kept.
    StoreError
        If the disk is full; what is in the store is whole.

    Warns
    -----
    FailedCells
        If cells failed, with the first of their sentences.

    Examples
    --------
    >>> from sgdlimits import studies
    >>> result = studies.sweep(lambda a, b: a * b, over={"a": [1, 2, 3], "b": [10, 20]})
    >>> result["value"].sel(a=3, b=20).item()
    60
    """
    work, seed = work_of(cell), seed_number(seed)
    grid = grid_of(over, work.typed)
    work.check(grid)
    retry, block = flag("retry", retry), whole_number("block", block, 1)
    if paths is not None:
        paths = whole_number("paths", paths, 1)
        if not (work.takes("paths") and work.takes("first_path")):
            raise InvalidInput(
                f"paths = {paths} needs a cell that takes paths and first_path, such as lambda step_size, paths, "
                "first_path: SGD(problem, step_size).simulate(x0, steps, paths, first_path=first_path)"
            )
    check_executor(executor, workers)
    plan = Plan(work, grid, seed, paths, block)
    kept: Memory | Folder = Memory() if store is None else Folder(store)
    if isinstance(kept, Folder):
        kept.open(plan.identity)
    there = _fill(kept, plan, workers, executor, retry, progress)

    def cells(place: Place) -> list[tuple[Piece, Cell]]:
        key = grid.key(place)
        found = [(piece, kept.get(key, piece)) for piece in there.get(key, [])]
        return [(piece, cell) for piece, cell in found if cell is not None]

    result = assembled(grid, cells, paths, plan.identity)
    _warn(result)
    return result


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done: the work in each cell of a grid, all at once or by pieces of at most `block` paths."""

    work: Work
    grid: Grid
    seed: int
    paths: int | None
    block: int

    @cached_property
    def identity(self) -> dict[str, Any]:
        """What a store says of its sweep."""
        from sgdlimits import __version__

        names = self.grid.names
        return {
            "format": FORMAT, "sgdlimits": __version__, "seed": self.seed, "over": sorted(names),
            "in_pieces": self.paths is not None, **self.work.identity(names),
        }  # fmt: skip

    def settings(self, job: Job) -> dict[str, Any]:
        """What the work is called with: the swept values, a seed of the cell's own, and its paths."""
        place, piece = job
        settings = self.grid.settings(place)
        if "seed" not in settings and self.work.takes("seed"):
            # 62 bits: what a setting of a study may be
            settings["seed"] = child_seed(self.seed, "sweep", *self.grid.words(place)) >> 2
        if piece.count:
            settings |= {"paths": piece.count, "first_path": piece.first}
        return settings

    def task(self, payload: bytes, job: Job) -> Task:
        """A job as it is sent to another process."""
        return Task(payload, packed(self.settings(job)), self.grid.described(job[0]))

    def missing(self, place: Place, pieces: Sequence[Piece]) -> Iterator[Job]:
        """What has to be run for a cell of which pieces are there: all of it, or the paths that none holds."""
        if self.paths is None:
            if not pieces:
                yield place, Piece()
            return
        for first, end in gaps(pieces, self.paths):
            for begin in range(first, end, self.block):
                yield place, Piece(begin, min(self.block, end - begin))


def _fill(
    kept: Memory | Folder, plan: Plan, workers: Any, executor: Any, retry: bool, progress: bool | Progress | None
) -> dict[str, list[Piece]]:
    """Run what is missing; the pieces that are there in the end, by key."""
    there, jobs = _by_key(kept), list[Job]()
    for place in plan.grid.places():
        key = plan.grid.key(place)
        for piece in list(there.get(key, [])):
            cell = kept.get(key, piece)
            if cell is None or (retry and cell.failure):
                kept.drop(key, piece)
                there[key].remove(piece)
        jobs += plan.missing(place, there.get(key, []))
    unit, lost = "cells" if plan.paths is None else "pieces", list[tuple[Place, Lost]]()
    bar = open_progress(progress if jobs else None, len(jobs), unit)
    try:
        with opened(executor, workers) as pool:
            for (place, piece), done in _results(pool, plan, jobs):
                if isinstance(done, Lost):
                    lost.append((place, done))
                else:
                    key = plan.grid.key(place)
                    kept.put(key, piece, done)
                    there.setdefault(key, []).append(piece)
                bar.update(1)
    finally:
        bar.close()
    if lost:
        place, why = lost[0]
        others = f"the others are in the store {kept.shown}" if kept.shown else "name a store to keep the others"
        under_way = [f"({plan.grid.said(place)})" for place, why in lost if why.running][:MOST_NAMED]
        suspects = f"; if a cell brings its worker down, it is one of {', '.join(under_way)}: a Dask cluster goes on "
        raise InvalidInput(
            f"{len(lost)} of {len(jobs)} cells were lost with their workers, the first at {plan.grid.said(place)} "
            f"({why}): {others}; run the same again, with fewer workers if memory was short"
            + (suspects + "without it" if under_way else "")
        )
    return there


def _results(pool: Executor | None, plan: Plan, jobs: Sequence[Job]) -> Iterator[tuple[Job, Cell | Lost]]:
    if pool is None or not jobs:
        with one_blas_thread():  # once for all: setting it takes longer than a short cell
            for job in jobs:
                yield job, run_cell(plan.work, plan.settings(job), plan.grid.described(job[0]), False)
        return
    try:
        payload = packed(plan.work)
    except Exception as error:  # pickling raises of every kind
        raise InvalidInput(
            f"the cell cannot be sent to other processes ({type(error).__name__}: {str(error)[:200]}): leave workers "
            "and executor out, or make what it uses inside it"
        ) from None
    yield from finished(pool, jobs, partial(plan.task, payload))


def _by_key(kept: Memory | Folder) -> dict[str, list[Piece]]:
    found: dict[str, list[Piece]] = {}
    for key, piece in kept.pieces():
        found.setdefault(key, []).append(piece)
    return found


def gaps(pieces: Sequence[Piece], paths: int) -> list[tuple[int, int]]:
    """Windows of paths 0..paths - 1 that the pieces leave open; pieces do not overlap."""
    found, reached = [], 0
    for piece in sorted(pieces, key=lambda piece: piece.first):
        if piece.first > reached:
            found.append((reached, min(piece.first, paths)))
        reached = max(reached, piece.first + piece.count)
        if reached >= paths:
            break
    if reached < paths:
        found.append((reached, paths))
    return found


def _warn(result: Any) -> None:
    failed = [str(text) for text in result["failure"].values.flat if text]
    if failed:
        warnings.warn(
            f"{len(failed)} of {result['failure'].size} cells failed, the first with: {failed[0]}",
            FailedCells, stacklevel=3,
        )  # fmt: skip

"""Stores without the sweep that filled them: read as they are, and put together from several machines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from sgdlimits.exact.errors import InvalidInput

from .assembly import assembled
from .grid import Grid, grid_of
from .store import Cell, Folder, Piece

if TYPE_CHECKING:
    import xarray

PathLike = str | os.PathLike[str]


def merge_stores(into: PathLike, *others: PathLike) -> int:
    """Copy into a store the cells that only the others have.

    Cells of different platforms agree to rounding; each says in `platform` where it ran.

    Parameters
    ----------
    into : path
        A store.
    *others : paths
        Stores of the same sweep: of other values, other paths, or other machines.

    Returns
    -------
    int
        How many cells, or pieces of cells, were copied.

    Raises
    ------
    InvalidInput
        If one is no store, or of another sweep; nothing was copied from it.
    """
    if not others:
        raise InvalidInput("merge_stores needs at least one store to copy from")
    target = Folder(into)
    sources = [Folder(other) for other in others]
    for source in sources:
        target.check_same(source)
    return sum(target.merge(source) for source in sources)


def read_store(store: PathLike) -> xarray.Dataset:
    """What is in a store, finished or not, without computing anything.

    Returns
    -------
    xarray.Dataset
        As from `sweep`, over all values that a cell has; a cell that is not there has `failure` "it was not computed".
        Values that are objects stand there as texts. Of cells that are run in pieces the paths that all of them have.

    Raises
    ------
    InvalidInput
        If it is no store.
    """
    folder = Folder(Path(store))
    identity = folder.identity()
    found: dict[tuple[object, ...], list[tuple[Piece, Cell]]] = {}
    names: list[str] = list(identity["over"])
    for key, piece in folder.pieces():
        cell = folder.get(key, piece)
        if cell is not None:
            found.setdefault(tuple(cell.meta["labels"][name] for name in names), []).append((piece, cell))
    if not found:
        raise InvalidInput(f"the store {folder.shown} holds no cell yet")
    order = [_sorted({place[i] for place in found}) for i in range(len(names))]
    grid = grid_of(dict(zip(names, order, strict=True)))

    def cells(place: tuple[int, ...]) -> list[tuple[Piece, Cell]]:
        return found.get(tuple(grid.labels(place).values()), [])

    return assembled(grid, cells, _common_paths(grid, cells) if identity["in_pieces"] else None, identity)


def _sorted(values: set[object]) -> list[object]:
    return sorted(values, key=lambda value: (isinstance(value, str), value))


def _common_paths(grid: Grid, cells: object) -> int:
    ends = []
    for place in grid.places():
        reached = 0
        for piece, cell in sorted(cells(place), key=lambda pair: pair[0].first):  # type: ignore[operator]
            if piece.first <= reached and not cell.failure:
                reached = max(reached, piece.first + piece.count)
        if reached:
            ends.append(reached)
    return min(ends, default=1)

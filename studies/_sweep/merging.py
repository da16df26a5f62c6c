"""Stores without the sweep that filled them: read as they are, and put together from several machines."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits.exact.errors import InvalidInput

from .assembly import assembled
from .grid import Axis, Grid
from .store import Cell, Folder, Piece

if TYPE_CHECKING:
    import xarray

PathLike = str | os.PathLike[str]


def merge_stores(into: PathLike, *others: PathLike) -> int:
    """Copy into a store the cells that only the others have, or that failed here and not there.

    Cells of different platforms agree to rounding; each says in `platform` where it ran.

    Parameters
    ----------
    into : path
        A store, or a folder to be made.
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
    target, *sources = (Folder(folder) for folder in (into, *others))
    for source in sources:
        (sources[0] if target.new else target).check_same(source)
    if target.new:
        target.open(sources[0].identity())
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
    found: dict[str, list[tuple[Piece, Cell]]] = {}
    own: dict[str, dict[str, Any]] = {name: {} for name in identity["over"]}  # key -> label
    for key, piece in folder.pieces():
        cell = folder.get(key, piece)
        if cell is not None:
            found.setdefault(key, []).append((piece, cell))
            for name, (label, word) in cell.meta["place"].items():
                own[name][word] = label
    if not found:
        raise InvalidInput(f"the store {folder.shown} holds no cell yet")
    grid = Grid(tuple(_axis(name, labels) for name, labels in own.items()))

    def cells(place: tuple[int, ...]) -> list[tuple[Piece, Cell]]:
        return found.get(grid.key(place), [])

    return assembled(grid, cells, _common_paths(grid, cells) if identity["in_pieces"] else None, identity)


def _axis(name: str, labels: dict[str, Any]) -> Axis:
    order = sorted(labels.items(), key=lambda pair: (isinstance(pair[1], str), pair[1], pair[0]))
    own = [label for _, label in order]
    return Axis(name, own, own, [key for key, _ in order])


def _common_paths(grid: Grid, cells: Callable[[tuple[int, ...]], list[tuple[Piece, Cell]]]) -> int:
    """How many paths every cell has that has some."""
    ends = []
    for place in grid.places():
        reached = 0
        for piece, cell in sorted(cells(place), key=lambda pair: pair[0].first):
            if piece.first <= reached and not cell.failure:
                reached = max(reached, piece.first + piece.count)
        if reached:
            ends.append(reached)
    return min(ends, default=1)

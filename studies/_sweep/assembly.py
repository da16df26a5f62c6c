"""One dataset of all cells: a dimension a swept name, then those of the cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .grid import Grid
from .scales import FLAG
from .store import Cell, Piece

if TYPE_CHECKING:
    import xarray

Place = tuple[int, ...]
Pieces = Sequence[tuple[Piece, Cell]]
KINDS = {"S": "texts", "U": "texts", "M": "dates", "m": "times"}  # of arrays; all others hold numbers
DIFFERENT = "_in_cell"  # ending of the variable that a coordinate becomes where it differs from cell to cell


def assembled(
    grid: Grid, cells: Callable[[Place], Pieces], paths: int | None, identity: Mapping[str, Any]
) -> xarray.Dataset:
    """Put finished cells into their places.

    A cell of other names or shapes than most (than the first, where as many have others) is one that failed.
    """
    import xarray

    failure, warned, platform = (np.full(grid.shape, "", dtype=object) for _ in range(3))
    found: dict[Place, Cell] = {}
    for place in grid.places():
        pieces = [(piece, cell) for piece, cell in cells(place) if paths is None or piece.first < paths]
        failure[place] = _first([cell.failure for _, cell in pieces]) if pieces else "it was not computed"
        warned[place] = "; ".join(dict.fromkeys(text for _, cell in pieces for text in cell.meta["notes"]))
        platform[place] = "; ".join(dict.fromkeys(cell.meta["platform"] for _, cell in pieces))
        if not failure[place]:
            try:
                found[place] = pieces[0][1] if paths is None else _one(pieces, paths)
            except InvalidInput as error:
                failure[place] = str(error)
    usual = _usual(found)
    for place in list(found):
        said = _difference(found[place], usual)
        if said:
            failure[place] = f"it returned {said}, unlike the other cells: return the same shapes everywhere"
            del found[place]
    variables, coordinates = _stacked(grid, found)
    for axis in grid.axes:
        coordinates[axis.name] = (axis.name, np.asarray(axis.labels), axis.attributes)
    texts = {"failure": failure, "warned": warned, "platform": platform}
    words = {"failure": "why a cell failed", "warned": "what a cell warned of", "platform": "where a cell ran"}
    variables |= {
        name: (tuple(grid.names), values.astype(np.str_), {"long_name": words[name]}) for name, values in texts.items()
    }
    attributes = _common([cell.meta["attributes"] for cell in found.values()])
    own = {
        "cell": identity["cell"], "sweep_seed": str(identity["seed"]), "sgdlimits": identity["sgdlimits"],
        "cells": grid.size, "failed": grid.size - len(found),
    }  # fmt: skip
    return xarray.Dataset(variables, coordinates, attributes | own)


def _first(texts: Sequence[str]) -> str:
    return next((text for text in texts if text), "")


def _one(pieces: Pieces, paths: int) -> Cell:
    """Paths 0..paths - 1 of a cell from its pieces, of which two machines may hold the same ones."""
    from sgdlimits.ensembles import concatenate

    from .returned import cell_of

    taken, reached = [], 0
    for piece, cell in sorted(pieces, key=lambda pair: (pair[0].first, -pair[0].count)):
        end = min(piece.first + piece.count, paths)
        if end <= reached:
            continue
        dataset = _dataset(cell)
        window = slice(max(reached - piece.first, 0), end - piece.first)
        first = piece.first + window.start
        told = {"first_path": first, "paths": end - first}
        taken.append(dataset.isel(path=window).assign_attrs(dataset.attrs | told))
        reached = end
    joined = cell_of(concatenate(*taken), "", [])
    joined.meta |= {name: pieces[0][1].meta[name] for name in ("notes", "platform", "failure", "place")}
    return joined


def _dataset(cell: Cell) -> xarray.Dataset:
    import xarray

    named = {
        name: (cell.meta["variables"][name]["dims"], values, cell.meta["variables"][name]["attributes"])
        for name, values in cell.arrays.items()
    }
    coordinates = {name: named.pop(name) for name in cell.meta["coordinates"]}
    return xarray.Dataset(named, coordinates, cell.meta["attributes"])


def _signature(cell: Cell) -> dict[str, tuple[Any, ...]]:
    """Dims and shape of each variable, and what kind its entries are."""
    return {
        name: (tuple(cell.meta["variables"][name]["dims"]), values.shape, KINDS.get(values.dtype.kind, "numbers"))
        for name, values in cell.arrays.items()
    }


def _usual(found: Mapping[Place, Cell]) -> dict[str, tuple[Any, ...]]:
    """The signature that most cells have."""
    if not found:
        return {}
    signatures = {repr(sorted(signature.items())): signature for signature in map(_signature, found.values())}
    counted = Counter(repr(sorted(_signature(cell).items())) for cell in found.values())
    most = max(counted.values())
    return next(signature for key, signature in signatures.items() if counted[key] == most)


def _difference(cell: Cell, usual: Mapping[str, tuple[Any, ...]]) -> str:
    """In what a cell's result differs from the usual; nothing where it does not."""
    mine = _signature(cell)
    for name in [*usual, *mine]:
        if mine.get(name) == usual.get(name):
            continue
        if name not in mine or name not in usual:
            return f"{'no ' if name in usual else ''}{name!r}"
        both = (mine[name], usual[name])
        here, there = (f"{found[2]} of shape {found[1]}" for found in both)
        return f"{name!r} as {here} where others have {there}"
    return ""


def _stacked(grid: Grid, found: Mapping[Place, Cell]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Variables over the grid, and coordinates that all cells share."""
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    if not found:
        return variables, coordinates
    first = next(iter(found.values()))
    missing = len(found) < grid.size
    for name, values in first.arrays.items():
        told = [cell.meta["variables"][name]["attributes"] for cell in found.values()]
        dims = tuple(first.meta["variables"][name]["dims"])
        shared = all(_equal(values, cell.arrays[name]) for cell in found.values())
        if name in first.meta["coordinates"] and shared:
            coordinates[name] = (dims, values, _common(told))
            continue
        key = name + DIFFERENT if name in first.meta["coordinates"] else name
        stacked = _empty(grid.shape + values.shape, [cell.arrays[name] for cell in found.values()], missing)
        for place, cell in found.items():
            stacked[place] = cell.arrays[name]
        was_bool = all(cell.arrays[name].dtype.kind == "b" for cell in found.values()) and stacked.dtype.kind != "b"
        variables[key] = ((*grid.names, *dims), stacked, _common(told) | ({"flag_meanings": FLAG} if was_bool else {}))
    for name in _differing([cell.meta["attributes"] for cell in found.values()], [*grid.names, *variables]):
        scalars = [cell.meta["attributes"][name] for cell in found.values()]
        if not all(isinstance(value, (str, int, float)) for value in scalars):
            continue
        exact = all(isinstance(value, (str, float)) or abs(value) <= 2**53 for value in scalars)
        if not exact or len({isinstance(value, str) for value in scalars}) > 1:
            scalars = [str(value) for value in scalars]
        stacked = _empty(grid.shape, [np.asarray(value) for value in scalars], missing)
        for place, value in zip(found, scalars, strict=True):
            stacked[place] = value
        variables[name] = (tuple(grid.names), stacked)
    return variables, coordinates


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return a is b or np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")


def _empty(shape: tuple[int, ...], arrays: Sequence[np.ndarray], missing: bool) -> np.ndarray:
    """An array that holds all of these, and nan or an empty text where a cell has none."""
    kind = np.result_type(*{values.dtype for values in arrays})
    if missing and kind.kind in "biu":
        kind = np.dtype(np.float64)
    return np.full(shape, {"f": np.nan, "c": np.nan, "m": "NaT", "M": "NaT"}.get(kind.kind, 0), kind) if (
        kind.kind not in "SU"
    ) else np.zeros(shape, kind)  # fmt: skip


def _common(mappings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Attributes on which all agree."""
    if not mappings:
        return {}
    first, *others = mappings
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}


def _differing(mappings: Sequence[Mapping[str, Any]], taken: Sequence[str]) -> list[str]:
    """Names of attributes that all have with different values, and that are not said in another way."""
    common = _common(mappings)
    inside = [name for name in mappings[0] if all(name in other for other in mappings)]
    return [name for name in inside if name not in common and name not in taken and name != "fingerprint"]

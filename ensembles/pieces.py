"""Neighbouring pieces of one ensemble, as datasets, made one again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, kind, shown

if TYPE_CHECKING:
    import xarray

WHERE = "state: where"
OF_A_PIECE = ("paths", "first_path", "paths_spent")  # attributes in which pieces differ, beside those of `until`
NEEDED = ("seed", "paths", "first_path", "fingerprint")


def concatenate(*pieces: xarray.Dataset) -> xarray.Dataset:
    """Join pieces of one ensemble along their paths: what one run of all these paths gives, to the bit.

    Pieces come from `simulate` or `integrate` with ``first_path=``: on other machines, or later, to extend a finished
    run. Their order does not matter.

    Parameters
    ----------
    *pieces : xarray.Dataset
        With the same process, start, steps, observables, seed and version, as their attributes say. Of an `x0` with a
        row a path nothing is compared: each piece has rows of its own.

    Returns
    -------
    xarray.Dataset
        Paths in their order; `first_path` and `paths` in its attributes say which. How an `until` ended is left out:
        its interval was that of a piece.

    Raises
    ------
    InvalidInput
        If the pieces overlap, leave a gap, or are not of one ensemble; it names what differs.

    Examples
    --------
    >>> import numpy as np
    >>> from sgdlimits import discrete, ensembles, problems
    >>> sgd = discrete.SGD(problems.LeastSquares.from_dataset("diabetes"), 0.05)
    >>> a = sgd.simulate(np.zeros(10), steps=20, paths=100, seed=1)
    >>> b = sgd.simulate(np.zeros(10), steps=20, paths=50, seed=1, first_path=100)
    >>> ensembles.concatenate(a, b).sizes["path"]
    150
    """
    import xarray

    if not pieces:
        raise InvalidInput("concatenate needs at least one piece: pass the datasets that simulate gave")
    for piece in pieces:
        if not isinstance(piece, xarray.Dataset):
            raise InvalidInput(f"a piece must be a dataset that simulate gave, got {kind(piece)}")
        missing = [name for name in NEEDED if name not in piece.attrs]
        if missing or "path" not in piece.dims:
            raise InvalidInput(
                "a dataset is no piece of an ensemble: it has "
                + (f"no attribute {missing[0]!r}" if missing else "no dimension 'path'")
            )
        if piece.sizes["path"] != piece.attrs["paths"]:
            raise InvalidInput(
                f"a piece holds {piece.sizes['path']} paths, but was run with {piece.attrs['paths']}: pass it whole, "
                "paths may not be taken out of it"
            )
    ordered = sorted(pieces, key=lambda piece: int(piece.attrs["first_path"]))
    first = ordered[0]
    for before, piece in zip(ordered, ordered[1:], strict=False):
        _check_same(first, piece)
        _check_next(before, piece)
    if len(ordered) == 1:
        return first.copy()
    return _joined(ordered)


def _check_same(a: Any, b: Any) -> None:
    """Raise at the first thing in which two pieces differ."""
    told = [
        {name: value for name, value in piece.attrs.items() if not name.startswith("until") and name not in OF_A_PIECE}
        for piece in (a, b)
    ]
    last = "fingerprint"  # what has a name of its own is said first
    for name in sorted(told[0].keys() | told[1].keys(), key=lambda name: (name == last, name)):
        one, other = (found.get(name) for found in told)
        if _equal(one, other):
            continue
        if name == last:
            raise InvalidInput(
                "the pieces are of different processes or starts, though they are described alike: their data, their "
                "functions or x0 differ (what an object counts or remembers while it runs is left out by a "
                "__getstate__ of its class)"
            )
        raise InvalidInput(f"the pieces differ in {name!r}: {shown(one)} and {shown(other)}")
    for name in sorted((set(a.coords) | set(b.coords)) - {"path"}):
        if name not in a.coords or name not in b.coords or not a[name].equals(b[name]):
            raise InvalidInput(f"the pieces differ in {name!r}: run them with the same record")
    names = [{str(name) for name in piece.data_vars} - {"overflow_step"} for piece in (a, b)]
    if names[0] != names[1]:
        raise InvalidInput(f"only one of the pieces has {shown(min(names[0] ^ names[1]))}")
    for name in sorted(names[0]):
        if a[name].attrs.get(last) != b[name].attrs.get(last) or a[name].dims != b[name].dims:
            raise InvalidInput(f"the pieces differ in what the observable {shown(name)} is")
        if a[name].attrs.get("stream") != b[name].attrs.get("stream"):
            raise InvalidInput(
                f"the continuous first passage {shown(name)} draws other random numbers in each piece: they go by the "
                "order of functions and sides among the observables, and by which share one; ask alike in each"
            )
        if any(a.sizes[axis] != b.sizes[axis] for axis in a[name].dims if axis != "path"):
            raise InvalidInput(f"the observable {shown(name)} has another shape in each piece")


def _equal(one: Any, other: Any) -> bool:
    """Whether two attributes agree: nan with itself, and one entry with the number that a file makes of it."""
    a, b = (np.atleast_1d(np.asarray(value)) for value in (one, other))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind in "fc" and b.dtype.kind in "fc"))


def _check_next(a: Any, b: Any) -> None:
    """Raise unless b begins where a ends."""
    end, begin = int(a.attrs["first_path"]) + int(a.attrs["paths"]), int(b.attrs["first_path"])
    if begin < end:
        last = min(end, begin + int(b.attrs["paths"])) - 1
        raise InvalidInput(f"paths {begin} to {last} are in two pieces: run the second with first_path={end}")
    if begin > end:
        raise InvalidInput(
            f"paths {end} to {begin - 1} are missing between the pieces: run them with first_path={end}, "
            f"paths={begin - end}"
        )


def _joined(pieces: list[Any]) -> xarray.Dataset:
    import xarray

    if any("overflow_step" in piece for piece in pieces):
        pieces = [
            piece if "overflow_step" in piece
            else piece.assign(overflow_step=("path", np.full(piece.sizes["path"], -1, dtype=np.int64)))
            for piece in pieces
        ]  # fmt: skip
    first = pieces[0]
    variables = {
        name: variable if "path" not in variable.dims
        else xarray.Variable.concat([piece[name].variable for piece in pieces], "path")
        for name, variable in first.variables.items()
    }  # fmt: skip
    attributes = {name: value for name, value in first.attrs.items() if not name.startswith("until")}
    attributes.pop("paths_spent", None)
    attributes["paths"] = sum(int(piece.attrs["paths"]) for piece in pieces)
    data = {name: variable for name, variable in variables.items() if name not in first.coords}
    return xarray.Dataset(data, {name: variables[name] for name in first.coords}, attributes)

"""What a cell returns, brought to arrays with names: a number, an array, a mapping of these, or a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, kind, shown

from .grid import RESERVED
from .store import Cell

PLAIN = "biufcUmM"  # kinds of arrays that are kept as they are
SCALARS = (str, int, float, bool)


def cell_of(value: Any, name: str, swept: list[str]) -> Cell:
    """Arrays, dims, coordinates and attributes of what a cell returned.

    Parameters
    ----------
    value : number, text, array, mapping of these, xarray.DataArray or xarray.Dataset
    name : str
        Of a single number or array.
    swept : names of the sweep, which a result must not use for something else

    Raises
    ------
    InvalidInput
        If it is none of these, or a name is taken.
    """
    import xarray

    if name in swept:
        name = "result"
    if isinstance(value, xarray.DataArray):
        value = value.to_dataset(name=value.name or name)
    if not isinstance(value, xarray.Dataset):
        value = _dataset(value if isinstance(value, Mapping) else {name: value})
    arrays: dict[str, np.ndarray] = {}
    variables: dict[str, Any] = {}
    for label, variable in value.variables.items():
        if not isinstance(label, str) or not label or "/" in label:
            raise InvalidInput(f"a cell returned a variable named {shown(label)}: a name must be a text without '/'")
        if label in RESERVED or (label in swept and variable.ndim):
            raise InvalidInput(f"a cell returned a variable named {label!r}, which the sweep needs: rename it")
        if label in swept:
            continue  # a scalar coordinate that says again which cell this is
        arrays[label] = _plain(label, variable.values)
        variables[label] = {"dims": [str(dim) for dim in variable.dims], "attributes": _texts(variable.attrs)}
    for dim in value.dims:
        if dim in swept:
            raise InvalidInput(f"a cell returned a dimension named {dim!r}, which the sweep needs: rename it")
    if not any(label not in value.coords for label in arrays):
        raise InvalidInput("a cell returned a dataset without variables: return at least one number")
    coordinates = [str(label) for label in value.coords if label in arrays]
    return Cell(arrays, {"variables": variables, "coordinates": coordinates, "attributes": _texts(value.attrs)})


def _dataset(named: Mapping[Any, Any]) -> Any:
    import xarray

    if not named:
        raise InvalidInput("a cell returned an empty mapping: return at least one number")
    variables: dict[Any, Any] = {}
    for name, value in named.items():
        if isinstance(value, xarray.DataArray):
            variables[name] = value.variable
            continue
        if value is None or isinstance(value, (Mapping, set, bytes)) or callable(value):
            raise InvalidInput(
                f"a cell returned {kind(value)} as {name!r}: return a number, an array, a mapping of these, or an "
                "xarray.Dataset"
            )
        try:
            array = np.asarray(value)
        except ValueError:  # rows of different lengths
            raise InvalidInput(f"a cell returned {name!r}, which is no array: its rows differ in length") from None
        variables[name] = ([f"{name}_{axis}" for axis in range(array.ndim)], array)
    return xarray.Dataset(variables)


def _plain(name: str, values: np.ndarray) -> np.ndarray:
    values = np.asarray(values)
    if values.dtype == object and all(isinstance(entry, str) for entry in values.flat):
        values = values.astype(np.str_)
    if values.dtype.kind not in PLAIN:
        raise InvalidInput(
            f"a cell returned {name!r} with entries of {kind(values.flat[0]) if values.size else values.dtype}: "
            "numbers and texts can be kept"
        )
    return values


def _texts(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Attributes as JSON holds them."""
    kept: dict[str, Any] = {}
    for name, value in attributes.items():
        if isinstance(value, (np.generic, np.ndarray)):
            value = value.tolist()
        if isinstance(value, (list, tuple)):
            value = [part.item() if isinstance(part, np.generic) else part for part in value]
        plain = all(isinstance(part, SCALARS) for part in (value if isinstance(value, list) else [value]))
        kept[str(name)] = value if plain else str(value)
    return kept

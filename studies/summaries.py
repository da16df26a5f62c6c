"""One dataset of what a study found, of one shape whatever its numbers are: those of many settings stack into one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

TEXT = "text"  # the unit of words, so that every variable has one

# dimensions, values, units, long name
Entry = tuple[tuple[str, ...], Any, str, str]


def summary_dataset(
    variables: Mapping[str, Entry], coordinates: Mapping[str, tuple[Any, str, str]], picture: str = ""
) -> xarray.Dataset:
    """A dataset whose variables and coordinates all say what they are, and in which units.

    Parameters
    ----------
    variables : mapping
        Name -> dimensions, values, units and long name. Arrays of objects become texts.
    coordinates : mapping
        Name -> values, units and long name.
    picture : str
        What a sweep draws, and where: "worst observable=risk".
    """
    import xarray as xr

    arrays = {name: (dims, _plain(values), _said(*words)) for name, (dims, values, *words) in variables.items()}
    axes = {name: ((name,), _plain(values), _said(*words)) for name, (values, *words) in coordinates.items()}
    return xr.Dataset(arrays, axes, {"picture": picture} if picture else {})


def _plain(values: Any) -> np.ndarray:
    array = np.asarray(values)
    return array.astype(str) if array.dtype.kind == "O" else array


def _said(units: str, long_name: str) -> dict[str, str]:
    return {"units": units, "long_name": long_name}


def joined(*words: Iterable[str] | str) -> str:
    """Reasons with "; " between them, each once, empty ones left out."""
    listed = [word for each in words for word in ([each] if isinstance(each, str) else each)]
    return "; ".join(dict.fromkeys(word for word in listed if word))

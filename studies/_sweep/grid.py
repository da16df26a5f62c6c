"""The grid of a sweep: a dimension a name, and a cell for each combination of values."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, kind, shown
from sgdlimits.exact.fingerprints import fingerprint

MOST_CELLS = 1_000_000
ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in a repr: another one in every process
KEY_DIGITS = 24
RESERVED = ("path", "failure", "warned", "platform")


@dataclass(frozen=True, eq=False)
class Axis:
    """The values of one name.

    Attributes
    ----------
    name : str
    values : list
        As they are handed to the cell.
    labels : list
        Numbers and texts that stand for them in the dataset.
    keys : list of str
        What tells them apart in a store: a number by its value, an object by its fingerprint.
    attributes : dict
        Of the coordinate, such as units.
    """

    name: str
    values: list[Any]
    labels: list[Any]
    keys: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def numeric(self) -> bool:
        """Whether a picture can use its values as places."""
        return all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in self.labels)


@dataclass(frozen=True, eq=False)
class Grid:
    """All cells of a sweep."""

    axes: tuple[Axis, ...]

    @property
    def names(self) -> list[str]:
        return [axis.name for axis in self.axes]

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(len(axis.values) for axis in self.axes)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def places(self) -> Iterator[tuple[int, ...]]:
        """Places of the cells, the last name running fastest."""
        return product(*(range(size) for size in self.shape))

    def settings(self, place: tuple[int, ...]) -> dict[str, Any]:
        """What the cell at a place is called with."""
        return {axis.name: axis.values[i] for axis, i in zip(self.axes, place, strict=True)}

    def labels(self, place: tuple[int, ...]) -> dict[str, Any]:
        """The same as numbers and texts."""
        return {axis.name: axis.labels[i] for axis, i in zip(self.axes, place, strict=True)}

    def said(self, place: tuple[int, ...]) -> str:
        """A cell in words."""
        return ", ".join(f"{name}={label}" for name, label in self.labels(place).items())

    def words(self, place: tuple[int, ...]) -> list[str]:
        """What a cell is, whatever else is in the grid: its seed and its name in a store come from this."""
        return sorted(f"{axis.name}={axis.keys[i]}" for axis, i in zip(self.axes, place, strict=True))

    def key(self, place: tuple[int, ...]) -> str:
        """Name of a cell in a store."""
        return hashlib.sha256(json.dumps(self.words(place)).encode()).hexdigest()[:KEY_DIGITS]


def grid_of(over: Any) -> Grid:
    """Bring `over` to its form.

    Raises
    ------
    InvalidInput
        If it is no mapping, a name cannot be one, or a list of values is empty, not finite or holds one twice.
    """
    if not isinstance(over, Mapping) or not over:
        raise InvalidInput(
            f"over must be a mapping from names to values, such as {{'step_size': [0.01, 0.1]}}, got {shown(over)}"
        )
    grid = Grid(tuple(_axis(name, values) for name, values in over.items()))
    if grid.size > MOST_CELLS:
        shape = " x ".join(map(str, grid.shape))
        raise InvalidInput(f"over makes {shape} = {grid.size} cells, more than {MOST_CELLS}: take fewer values")
    return grid


def _axis(name: Any, values: Any) -> Axis:
    if not isinstance(name, str) or not name.isidentifier() or name in RESERVED:
        raise InvalidInput(
            f"{shown(name)} cannot be swept: a name of a setting is needed, and none of {', '.join(RESERVED)}"
        )
    if isinstance(values, (str, bytes, Mapping)) or not hasattr(values, "__iter__"):
        raise InvalidInput(f"over gives {name} {shown(values)}: a list of values is needed, [{shown(values)}] for one")
    attributes = dict(getattr(values, "attrs", {}))  # of an xarray.DataArray: units and the like
    plain = np.asarray(values) if isinstance(values, np.ndarray) or hasattr(values, "dims") else None
    if plain is not None and plain.ndim != 1:
        raise InvalidInput(f"over gives {name} an array of shape {plain.shape}: a list of values is needed")
    listed = list(values) if plain is None else plain.tolist()
    if not listed:
        raise InvalidInput(f"over gives {name} no value: give at least one")
    values = [value.item() if isinstance(value, np.generic) else value for value in listed]
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            raise InvalidInput(f"over gives {name} the value {value}: values must be finite")
        if isinstance(value, (list, dict, np.ndarray)):
            raise InvalidInput(
                f"over gives {name} a value that is a {kind(value)}: sweep over names or numbers, and look the arrays "
                "up in the cell"
            )
    keys = [_key(value) for value in values]
    if len(set(keys)) < len(keys):
        twice = next(value for i, value in enumerate(values) if keys[i] in keys[:i])
        raise InvalidInput(f"over gives {name} the value {shown(twice)} twice: give each once")
    return Axis(name, values, _labels(values, keys), keys, attributes)


def _labels(values: list[Any], keys: list[str]) -> list[Any]:
    """Numbers where all are and stay different in an array; else texts, with the end of the key where two are alike."""
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        if len(np.unique(np.asarray(values))) == len(values):
            return values
    texts = [_text(value) for value in values]
    alike = {text for text, count in Counter(texts).items() if count > 1}
    return [f"{text} ({key[-6:]})" if text in alike else text for text, key in zip(texts, keys, strict=True)]


def _text(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, float, str)):
        return str(value)
    name = getattr(value, "label", None) or getattr(value, "__name__", None)
    return name if isinstance(name, str) else ADDRESS.sub("", repr(value))[:100]


def _key(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, int) and abs(value) > 2**53:
        return repr(value)
    if isinstance(value, (int, float)):
        return repr(float(value) + 0.0)  # 1 and 1.0 are one place; so are 0.0 and -0.0
    return f"{type(value).__module__}.{type(value).__qualname__} {fingerprint(value)}"

"""The grid of a sweep: a dimension a name, and a cell for each combination of values."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from sgdlimits.ensembles.results import ADDRESS
from sgdlimits.exact.errors import InvalidInput, kind, shown
from sgdlimits.exact.fingerprints import fingerprint

MOST_CELLS = 1_000_000
KEY_DIGITS = 24
RESERVED = ("failure", "warned", "platform")  # what a sweep adds to its cells


@dataclass(frozen=True, eq=False)
class Axis:
    """The values of one name.

    Attributes
    ----------
    name : str
    values : list
        As they are handed to the cell.
    own : list
        Numbers and texts that stand for them, whatever the others are.
    keys : list of str
        What tells them apart in a store: a number by its value and kind, an object by its fingerprint.
    attributes : dict
        Of the coordinate, such as units.
    """

    name: str
    values: list[Any]
    own: list[Any]
    keys: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def labels(self) -> list[Any]:
        """What stands on the axis: numbers where all are and an array keeps them apart; else texts, which differ."""
        if all(isinstance(label, bool) for label in self.own):
            return self.own
        if not any(isinstance(label, (str, bool)) for label in self.own):
            array = np.asarray(self.own)
            if array.dtype.kind in "iuf" and len(np.unique(array)) == len(array):
                return self.own
        texts = [str(label) for label in self.own]
        alike = {text for text, count in Counter(texts).items() if count > 1}
        return [f"{text} ({key[-6:]})" if text in alike else text for text, key in zip(texts, self.keys, strict=True)]


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

    def said(self, place: tuple[int, ...]) -> str:
        """A cell in words."""
        return ", ".join(f"{axis.name}={axis.labels[i]}" for axis, i in zip(self.axes, place, strict=True))

    def described(self, place: tuple[int, ...]) -> dict[str, tuple[Any, str]]:
        """Own label and key of each value: what a cell remembers of its place."""
        return {axis.name: (axis.own[i], axis.keys[i]) for axis, i in zip(self.axes, place, strict=True)}

    def words(self, place: tuple[int, ...]) -> list[str]:
        """What a cell is, whatever else is in the grid: its seed and its name in a store come from this."""
        return sorted(f"{axis.name}={axis.keys[i]}" for axis, i in zip(self.axes, place, strict=True))

    def key(self, place: tuple[int, ...]) -> str:
        """Name of a cell in a store."""
        return hashlib.sha256(json.dumps(self.words(place)).encode()).hexdigest()[:KEY_DIGITS]


def grid_of(over: Any, typed: Callable[[str, Any], Any] = lambda name, values: values) -> Grid:
    """Bring `over` to its form; `typed` gives values the type in which they are taken.

    Raises
    ------
    InvalidInput
        If it is no mapping, a name cannot be one, or a list of values is empty, not finite or holds one twice.
    """
    if not isinstance(over, Mapping) or not over:
        raise InvalidInput(
            f"over must be a mapping from names to values, such as {{'step_size': [0.01, 0.1]}}, got {shown(over)}"
        )
    grid = Grid(tuple(_axis(name, values, typed) for name, values in over.items()))
    if grid.size > MOST_CELLS:
        shape = " x ".join(map(str, grid.shape))
        raise InvalidInput(f"over makes {shape} = {grid.size} cells, more than {MOST_CELLS}: take fewer values")
    return grid


def _axis(name: Any, values: Any, typed: Callable[[str, Any], Any]) -> Axis:
    if not isinstance(name, str) or not name.isidentifier() or name in ("path", *RESERVED):
        raise InvalidInput(
            f"{shown(name)} cannot be swept: a name of a setting is needed, and none of path, {', '.join(RESERVED)}"
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
    listed = typed(name, listed)
    values = [value.item() if isinstance(value, np.generic) else value for value in listed]
    values = [value + 0.0 if isinstance(value, float) else value for value in values]  # -0.0 is 0.0
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
    return Axis(name, values, [_own(value) for value in values], keys, attributes)


def _own(value: Any) -> Any:
    """A number or text that stands for a value."""
    if value is None:
        return str(value)
    if isinstance(value, (bool, int, float, str)):
        return value
    name = getattr(value, "label", None) or getattr(value, "__name__", None)
    return name if isinstance(name, str) else ADDRESS.sub("", repr(value))[:100]


def _key(value: Any) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, (int, float)):
        return repr(value)
    return f"{type(value).__module__}.{type(value).__qualname__} {fingerprint(value)}"

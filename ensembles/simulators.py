"""What nearly every process hands to the engine: arrays of a crowd of paths, and a function that advances them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import packs
from .crowd import Arrays, PathState
from .philox import PACK
from .random import Noise


@dataclass(eq=False)
class PathArrays(PathState):
    """State of consecutive paths: row by row, or in packs.

    Attributes
    ----------
    path : int
        Number of the first.
    x : (P, d) array, or packs (P / PACK, d, PACK)
        In the coordinates that the process moves.
    overflow : (P,) int64 array, or (P / PACK, PACK)
        Own step at which a path was first past the limits, -1 where it never was.
    kept : dict of arrays
        What else a path carries from step to step: (P, ...), or (P / PACK, ..., PACK), or empty.
    packed : bool
    ahead : object
        Numbers drawn ahead of the steps that use them. They belong to places and steps, so no path takes them along.
    """

    path: int
    x: np.ndarray
    overflow: np.ndarray
    kept: Arrays
    packed: bool = False
    ahead: Any = None

    @property
    def overflow_steps(self) -> np.ndarray:
        return self.overflow.ravel()

    def dump(self) -> Arrays:
        found = {"x": self.x, "overflow": self.overflow} | self.kept
        return {name: _as_rows(v) if self.packed else v.copy() for name, v in found.items() if v.size}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        own = {name: _as_packs(v) if self.packed else np.array(v, order="C") for name, v in arrays.items()}
        self.x, self.overflow = own.pop("x"), own.pop("overflow")
        self.kept |= own


def _as_rows(values: np.ndarray) -> np.ndarray:
    return np.moveaxis(values, -1, 1).reshape(len(values) * PACK, *values.shape[1:-1])


def _as_packs(rows: np.ndarray) -> np.ndarray:
    packed = np.asarray(rows).reshape(len(rows) // PACK, PACK, *np.shape(rows)[1:])
    return np.array(np.moveaxis(packed, 1, -1), order="C")


def _rows(positions: np.ndarray) -> np.ndarray:
    return np.array(positions, dtype=np.float64, order="C")


def _positions(state: Any) -> np.ndarray:
    return state.x.copy()


def _nothing(x: np.ndarray) -> Arrays:
    return {}


@dataclass(frozen=True, eq=False)
class ArraySimulator:
    """A `Simulator` of a process whose state is arrays.

    Parameters
    ----------
    name : str
        Of the process and how it is advanced; a saved state goes on under the same name only.
    dimension : int
    advance : function (state, first, last, noise)
        Takes own steps first..last-1 of `PathArrays` in place.
    enter : function of positions (P, d)
        Gives x in fresh arrays. Default: the positions.
    leave : function of a state
        Gives the positions (P, d) in a fresh array. Default: x.
    measures : dict of functions of a state with values (P,)
        Fast routes to "risk" or "norm".
    kept : function of x
        What else each path carries, at the start.
    packed : bool
        Whether x is packs.
    substeps : int
        Own steps per step of the run.
    compiled : bool
    scale : (d,) array, optional
        Of x, where its coordinates are stretched with the step size.
    whole : str, optional
        Why a run can only be made in one piece.
    alone : bool
        A path's bits do not depend on how many are advanced with it.
    """

    name: str
    dimension: int
    advance: Callable[[Any, int, int, Noise], None]
    enter: Callable[[np.ndarray], np.ndarray] = _rows
    leave: Callable[[Any], np.ndarray] = _positions
    measures: Mapping[str, Callable[[Any], np.ndarray]] = field(default_factory=dict)
    kept: Callable[[np.ndarray], Arrays] = _nothing
    packed: bool = False
    substeps: int = 1
    compiled: bool = True
    scale: np.ndarray | None = None
    whole: str = ""
    alone: bool = False

    def start(self, positions: np.ndarray, noise: Noise) -> PathArrays:
        x = self.enter(positions)
        lanes = (x.shape[0], x.shape[2]) if self.packed else len(x)
        return PathArrays(int(noise.paths[0]), x, np.full(lanes, -1, dtype=np.int64), self.kept(x), self.packed)

    def positions(self, state: PathArrays) -> np.ndarray:
        return self.leave(state)

    def coordinates(self, state: PathArrays) -> np.ndarray:
        """x as rows (P, d), unstretched, in a fresh array."""
        x = packs.unpack(state.x) if self.packed else state.x.copy()
        return x if self.scale is None else x / self.scale

    def measure(self, name: str, state: PathArrays) -> np.ndarray | None:
        return self.measures[name](state) if name in self.measures else None


def risk_of(risk: Callable[[np.ndarray], np.ndarray] | None) -> dict[str, Callable[[Any], np.ndarray]]:
    """The measures of rows x that are positions: their risk, where there is one."""
    return {} if risk is None else {"risk": lambda state: risk(state.x)}


def rotated(x: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Rows matrix @ x of rows x (P, d), P a multiple of PACK; the bits of a row do not depend on P."""
    return packs.unpack(packs.rotate(packs.pack(x), np.ascontiguousarray(matrix)))

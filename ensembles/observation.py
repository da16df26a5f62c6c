"""One look at a chunk of paths: what the functions give at one step, checked, overflowed paths set to inf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, calling, real_array, shown

from .observables import Function


class Observation:
    """The functions' values at one step of one chunk, each computed once.

    Parameters
    ----------
    simulator, state
        See `Simulator`.
    step : int
    mine : slice
        Lanes that are asked for; the others only fill packs.
    first : int
        Number of the first path among them.
    overflowed : (count,) bool array
        Which of these paths have overflowed by now.
    """

    def __init__(
        self, simulator: Any, state: Any, step: int, mine: slice, first: int, overflowed: np.ndarray
    ) -> None:
        self._simulator, self._state, self._step, self._mine = simulator, state, step, mine
        self._first, self._count, self._overflowed = first, len(overflowed), overflowed
        self._values: dict[str | int, np.ndarray] = {}
        self._lanes: np.ndarray | None = None

    def values(self, name: str, function: Function) -> np.ndarray:
        """Values (count,) or (count, m) of the function that observable `name` asks for."""
        key = function if isinstance(function, str) else id(function)
        if key not in self._values:
            quiet: Any = {"over": "ignore", "invalid": "ignore"} if self._overflowed.any() else {}
            with np.errstate(**quiet):
                values = self._built_in(function) if isinstance(function, str) else self._user(name, function)
            self._values[key] = self._guarded(name, function, values)
        return self._values[key]

    def _positions(self) -> np.ndarray:
        if self._lanes is None:
            self._lanes = self._simulator.positions(self._state)
        return self._lanes

    def _built_in(self, function: str) -> np.ndarray:
        measured = None if function == "state" else self._simulator.measure(function, self._state)
        if measured is not None:
            return np.array(measured[self._mine], dtype=np.float64)
        if function == "risk":
            raise InvalidInput(
                "this process has no built-in 'risk': pass a function of a (paths, d) array instead"
            )
        positions = self._positions()[self._mine]
        return positions.copy() if function == "state" else np.sqrt((positions * positions).sum(axis=1))

    def _user(self, name: str, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        # A copy: the function may write into its argument.
        with calling(f"observable {shown(name)}, a function of an array {self._count, self._simulator.dimension},"):
            result = function(self._positions()[self._mine].copy())
        values = np.array(real_array(f"what observable {shown(name)} returns", result))
        if values.ndim not in (1, 2) or len(values) != self._count:
            raise InvalidInput(
                f"observable {shown(name)} returned shape {values.shape} for {self._count} paths: "
                f"it must return ({self._count},) or ({self._count}, m)"
            )
        return values

    def _guarded(self, name: str, function: Function, values: np.ndarray) -> np.ndarray:
        dead = self._overflowed if values.ndim == 1 else self._overflowed[:, None]
        lost = dead if function in ("risk", "norm") else dead & ~np.isfinite(values)
        values[np.broadcast_to(lost, values.shape)] = np.inf
        if np.isnan(values).any():
            path = self._first + int(np.argwhere(np.isnan(values))[0][0])
            raise InvalidInput(
                f"observable {shown(name)} is nan at step {self._step} on path {path}, which has not overflowed"
            )
        return values

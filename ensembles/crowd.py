"""A crowd of paths: advanced together, looked at, copied by parent, branched, put away at a step and taken up again."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .philox import PACK
from .random import Noise

if TYPE_CHECKING:
    from .engine import Simulator

Arrays = dict[str, np.ndarray]


class PathState(ABC):
    """A simulator's state that can be taken apart path by path."""

    @abstractmethod
    def dump(self) -> Arrays:
        """All that it holds for each path, name -> (P, ...), in fresh arrays."""

    @abstractmethod
    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put such arrays in place of its own."""


class RowState(PathState):
    """A simulator's state, a dataclass whose arrays have paths along their first axis, or are empty."""

    def dump(self) -> Arrays:
        return {name: values.copy() for name, values in _arrays(self).items()}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name in _arrays(self):
            setattr(self, name, np.array(arrays[name], order="C"))


class PackedState(PathState):
    """A simulator's state, a dataclass whose arrays are packs (P / PACK, ..., PACK), or empty."""

    def dump(self) -> Arrays:
        return {name: np.moveaxis(v, -1, 1).reshape(len(v) * PACK, *v.shape[1:-1]) for name, v in _arrays(self).items()}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name in _arrays(self):
            rows = np.asarray(arrays[name])
            packed = np.moveaxis(rows.reshape(len(rows) // PACK, PACK, *rows.shape[1:]), 1, -1)
            setattr(self, name, np.array(packed, order="C"))


def _arrays(state: Any) -> Arrays:
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray) and value.size}


@dataclass(frozen=True, eq=False)
class SavedState:
    """Paths first_path, first_path + 1, ... of an ensemble, put away at a step; a run that starts from it goes on.

    Attributes
    ----------
    step, seed, first_path : int
    quality : str
    process : str
        Kind of simulator, which must be the same when it is taken up again.
    positions : (P, d) array
    arrays : dict
        Everything that the simulator holds for a path: positions in its own coordinates, momentum, a permutation.
    """

    step: int
    seed: int
    first_path: int
    quality: str
    process: str
    positions: np.ndarray
    arrays: Arrays

    @property
    def paths(self) -> int:
        """How many paths it holds."""
        return len(self.positions)

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """Its row for each of these paths; a path it does not hold only fills a pack, and takes the nearest."""
        return np.clip(numbers - self.first_path, 0, self.paths - 1)

    def check(self, simulator: Simulator, steps: int, seed: int, quality: str, first_path: int, paths: int) -> None:
        """Raise unless these paths of this simulator can go on from here to `steps`.

        Raises
        ------
        InvalidInput
            If the process, the seed or the quality is another, paths are missing, or the step lies beyond.
        """
        wrong = None
        if self.process != kind_of(simulator) or self.positions.shape[1] != simulator.dimension:
            wrong = f"of another process ({self.process}, dimension {self.positions.shape[1]})"
        elif (self.seed, self.quality) != (seed, quality):
            wrong = f"with seed {self.seed} and quality {self.quality!r}: pass the same ones"
        elif first_path < self.first_path or first_path + paths > self.first_path + self.paths:
            last = self.first_path + self.paths - 1
            wrong = f"with paths {self.first_path} to {last}, not all that are asked for: set first_path and paths"
        elif steps < self.step:
            wrong = f"at step {self.step}, past the end {steps} of the run: raise steps, which counts from step 0"
        if wrong:
            raise InvalidInput(f"x0 is a state that was saved {wrong}")


def kind_of(simulator: Simulator) -> str:
    """Name of the process that a simulator advances."""
    inner = getattr(simulator, "inner", None) or getattr(simulator, "recurrence", None)
    return type(simulator).__name__ + (f" of {type(inner).__name__}" if inner is not None else "")


class Crowd:
    """Consecutive paths of one process under way; their number is a multiple of PACK.

    Parameters
    ----------
    simulator : Simulator
    positions : (P, d) array
    noise : Noise
        Of these P paths. A path draws the numbers of its place, whoever its parent was.
    saved : SavedState, optional
        Where to take up instead of starting at step 0.
    """

    def __init__(
        self, simulator: Simulator, positions: np.ndarray, noise: Noise, saved: SavedState | None = None
    ) -> None:
        self.simulator, self.noise, self.step = simulator, noise, 0
        self.state = simulator.start(positions, noise)
        if saved is not None:
            rows = saved.rows(noise.paths)
            own = {name: values.shape[1:] for name, values in self.dump().items()}
            if own != {name: values.shape[1:] for name, values in saved.arrays.items()}:
                raise InvalidInput("x0 is a state that was saved of another process: what it keeps for a path differs")
            self.state.load({name: values[rows] for name, values in saved.arrays.items()})
            self.step = saved.step

    def advance_to(self, step: int) -> None:
        """Take all steps up to `step`."""
        if step > self.step:
            self.simulator.advance(self.state, self.step, step, self.noise)
            self.step = step

    def positions(self) -> np.ndarray:
        """Positions (P, d), in a fresh array."""
        return self.simulator.positions(self.state)

    def look(self, function: str | Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """Values (P, ...) of a function of the positions, or of "risk" or "norm"."""
        if not isinstance(function, str):
            return np.asarray(function(self.positions()), dtype=np.float64)
        measured = self.simulator.measure(function, self.state)
        if measured is not None:
            return measured
        if function == "norm":
            return np.sqrt(np.square(self.positions()).sum(axis=1))
        raise InvalidInput(f"this process has no built-in {function!r}: pass a function of a (paths, d) array instead")

    def overflow_steps(self) -> np.ndarray:
        """Step (P,) at which a path overflowed, -1 where it did not."""
        return self.simulator.overflow_steps(self.state)

    def dump(self) -> Arrays:
        """All that the simulator holds for each path, name -> (P, ...).

        Raises
        ------
        InvalidInput
            If the process cannot be taken apart.
        """
        if not isinstance(self.state, PathState):
            raise InvalidInput(
                f"the state of {kind_of(self.simulator)} cannot be saved or copied from path to path: its noise or its "
                "grid belongs to the whole run; run it in one piece"
            )
        return self.state.dump()

    def take(self, parents: np.ndarray) -> None:
        """Path p goes on from where path parents[p] stands, (P,) whole numbers."""
        self.state.load({name: values[parents] for name, values in self.dump().items()})

    def restart(self, positions: np.ndarray) -> None:
        """Put the paths at positions (P, d), as if they had started there; the step and the numbers ahead stay."""
        self.state = self.simulator.start(positions, self.noise)

    def branch(self) -> Crowd:
        """Another crowd at the same place, with the same numbers ahead; advancing one leaves the other."""
        other = copy.copy(self)
        other.state = copy.deepcopy(self.state)
        return other

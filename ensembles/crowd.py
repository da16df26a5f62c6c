"""A crowd of paths: advanced together, looked at, copied by parent, branched, put away at a step and taken up again."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .random import Noise

if TYPE_CHECKING:
    from .engine import Simulator

Arrays = dict[str, np.ndarray]


class PathState(ABC):
    """A simulator's state that can be taken apart path by path."""

    @property
    @abstractmethod
    def overflow_steps(self) -> np.ndarray:
        """Own step (P,) at which a path was first not finite or beyond 1e150; -1 where it never was."""

    @abstractmethod
    def dump(self) -> Arrays:
        """All that it holds for each path, name -> (P, ...), in fresh arrays."""

    @abstractmethod
    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Put such arrays in place of its own."""


@dataclass(frozen=True, eq=False)
class SavedState:
    """Paths first_path, first_path + 1, ... of an ensemble, put away at a step; a run that starts from it goes on.

    Attributes
    ----------
    step, seed, first_path : int
    quality : str
    process : str
        Name of the simulator, which must be the same when it is taken up again.
    positions : (P, d) array
    arrays : dict
        Everything that the simulator holds for a path: positions in its own coordinates, momentum, a permutation.
    past : str
        What tells the run that led here, its process and start, from others; empty where it is not known.
    """

    step: int
    seed: int
    first_path: int
    quality: str
    process: str
    positions: np.ndarray
    arrays: Arrays
    past: str = ""

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
        if self.process != simulator.name or self.positions.shape[1] != simulator.dimension:
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


class Crowd:
    """Consecutive paths of one process under way; their number is a multiple of PACK, unless they stand alone.

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

    def advance_to(self, step: int, after: Callable[[int], None] | None = None) -> None:
        """Take all steps up to `step`; one own step at a time where `after(own)` is to see each of them."""
        if step > self.step:
            first, last = self.step * self.simulator.substeps, step * self.simulator.substeps
            if after is None:
                self.simulator.advance(self.state, first, last, self.noise)
            else:
                for own in range(first, last):
                    self.simulator.advance(self.state, own, own + 1, self.noise)
                    after(own)
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
        own = self.state.overflow_steps
        return own.copy() if self.simulator.substeps == 1 else np.where(own < 0, -1, -(-own // self.simulator.substeps))

    def dump(self) -> Arrays:
        """All that the simulator holds for each path, name -> (P, ...).

        Raises
        ------
        InvalidInput
            If the process cannot be taken apart.
        """
        if self.simulator.whole:
            raise InvalidInput(
                f"the state of {self.simulator.name} cannot be saved or copied from path to path: "
                f"{self.simulator.whole}; run it in one piece"
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

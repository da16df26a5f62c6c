"""Which well each path is in, followed step by step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.ensembles.observables import Function, Reducer
from sgdlimits.problems.wells import WellLandscape

LEFT, REACHED, NOW, FIRST = 0, 1, 2, 3  # columns of what is kept; visits and times of the wells follow


@dataclass(frozen=True, eq=False)
class Visits(Reducer):
    """Of each path the step at which it leaves the well of its start and that at which it enters the target (inf where
    it does neither), the well it is in, and for each well how often it was entered and at how many steps it held it.

    A path is in a well until it reaches the minimum beside it or passes it, and then in the one between whose tops it
    is.
    """

    landscape: WellLandscape
    target: int
    function: Function = "state"

    def next_step(self, after: int, record: np.ndarray) -> int:
        return after + 1

    def shape(self, recorded: int, tail: tuple[int, ...]) -> tuple[int, ...]:
        return (FIRST + 2 * len(self.landscape.minima),)

    def begin(self, out: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        out[:, FIRST:] = 0.0
        out[:, :FIRST] = np.inf
        return np.full(len(out), -1)

    def see(
        self, step: int, values: np.ndarray, record: np.ndarray, out: np.ndarray, running: np.ndarray
    ) -> None:
        x, n = values[:, 0], len(self.landscape.minima)
        if running.size and running[0] < 0:
            running[:] = self.landscape.well_of(x)
            out[:, NOW] = running
            return
        low, high = self.landscape.bounds
        moved = np.flatnonzero(((x <= low[running]) | (x >= high[running])) & np.isfinite(x))  # overflow stays behind
        if moved.size:
            new = self.landscape.well_of(x[moved])
            out[moved, FIRST + new] += 1
            out[moved, LEFT] = np.minimum(out[moved, LEFT], step)
            arrived = moved[new == self.target]
            out[arrived, REACHED] = np.minimum(out[arrived, REACHED], step)
            running[moved] = new
            out[moved, NOW] = new
        out[np.arange(len(x)), FIRST + n + running] += 1


@dataclass(frozen=True, eq=False)
class Seen:
    """What was seen of P paths: first steps out of the well of the start and into the target, inf where never; visits
    and steps (P, n) in each well."""

    left: np.ndarray
    reached: np.ndarray
    visits: np.ndarray
    time: np.ndarray

    @classmethod
    def of(cls, kept: np.ndarray) -> Seen:
        """From what `Visits` kept, (P, 3 + 2 n)."""
        n = (kept.shape[1] - FIRST) // 2
        return cls(kept[:, LEFT], kept[:, REACHED], kept[:, FIRST : FIRST + n], kept[:, FIRST + n :])

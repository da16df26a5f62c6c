"""Makes a limit ready for the engine: integrator steps between recorded SGD steps, and lost paths."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput, positive, whole_number
from sgdlimits.problems import geometry

from .leaving import place
from .schemes import Stepper

DEFAULT_DT = 0.01  # of fixed-step integrators, in the limit's time


def largest_step(clock: float, dt: float | None, substeps: int | None) -> float:
    """Largest integrator step in the limit's time, from `dt` or from `substeps` per SGD step."""
    if substeps is None:
        return DEFAULT_DT if dt is None else positive("dt", dt)
    if dt is not None:
        raise InvalidInput("substeps and dt both set the integrator's step: pass one of them")
    return 1 / (clock * whole_number("substeps", substeps, 1))


def integrator_grid(record: np.ndarray, steps: int, clock: float, dt: float) -> np.ndarray:
    """SGD steps, not whole in general, at which integrator steps end; the first is 0.

    Equal steps of at most `dt` in the limit's time from one recorded step to the next.
    """
    stops = np.unique(np.concatenate([[0], record, [steps]])).astype(float)
    pieces = [np.zeros(1)]
    for before, after in zip(stops[:-1], stops[1:]):
        count = max(1, int(np.ceil((after - before) / clock / dt - 1e-9)))
        pieces.append(before + (after - before) * np.arange(1, count + 1) / count)
        pieces[-1][-1] = after
    return np.concatenate(pieces)


@dataclass(frozen=True, eq=False)
class Departure:
    """Which path was lost, the step, time and point at which it was last on the set, and why."""

    path: int
    step: float
    time: float
    point: np.ndarray
    reason: str

    def __str__(self) -> str:
        return (
            f"path {self.path} could not be followed past step {self.step:.6g} (time {self.time:.6g}), "
            f"{place(self.point)}: {self.reason}"
        )


@dataclass(eq=False)
class Paths:
    """P paths; those that left the set have infinite coordinates."""

    w: np.ndarray
    done: int
    first: int
    overflow_steps: np.ndarray


@dataclass(frozen=True, eq=False)
class ManifoldSimulator:
    """A limit for the engine; between the ends of integrator steps a path stays where it was.

    Parameters
    ----------
    stepper : Stepper
    grid : (J + 1,) array
        SGD steps at which integrator steps end.
    clock : float
        SGD steps per unit of the limit's time.
    noise_dimension : int
    """

    stepper: Stepper
    grid: np.ndarray
    clock: float
    noise_dimension: int
    departures: list[Departure] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    compiled: bool = False

    @property
    def dimension(self) -> int:
        return self.stepper.fields.model.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> Paths:
        return Paths(
            geometry.limit_map(self.stepper.fields.model, positions),
            0,
            int(noise.paths[0]),
            np.full(len(positions), -1, dtype=np.int64),
        )

    def advance(self, state: Paths, first: int, last: int, noise: Noise) -> None:
        while state.done + 1 < len(self.grid) and self.grid[state.done + 1] <= last:
            self._step(state, noise)
            state.done += 1

    def _step(self, state: Paths, noise: Noise) -> None:
        alive = np.flatnonzero(state.overflow_steps < 0)
        if not alive.size:
            return
        dt = (self.grid[state.done + 1] - self.grid[state.done]) / self.clock
        increments, signs = np.zeros((len(state.w), 0)), np.ones(len(state.w))
        if self.noise_dimension:
            increments = np.sqrt(dt) * noise.normals(Purpose.BROWNIAN, state.done, self.noise_dimension)
        if self.stepper.solver == "ninomiya_victoir":
            signs = noise.two_point(Purpose.WEAK, state.done, 1)[:, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            self._step_some(state, alive, dt, increments, signs)

    def _step_some(
        self, state: Paths, rows: np.ndarray, dt: float, increments: np.ndarray, signs: np.ndarray
    ) -> None:
        """Step the paths in `rows`; halve them to find one that cannot go on, note why and where, drop it."""
        try:
            state.w[rows] = self.stepper.checked_step(state.w[rows], dt, increments[rows], signs[rows])
        except InvalidInput as error:
            if len(rows) > 1:
                for half in np.array_split(rows, 2):
                    self._step_some(state, half, dt, increments, signs)
                return
            row, step = int(rows[0]), float(self.grid[state.done])
            departure = Departure(state.first + row, step, step / self.clock, state.w[row].copy(), str(error))
            with self.lock:
                self.departures.append(departure)
            state.w[row] = np.inf
            state.overflow_steps[row] = int(np.ceil(self.grid[state.done + 1]))

    def positions(self, state: Paths) -> np.ndarray:
        return state.w.copy()

    def measure(self, name: str, state: Paths) -> np.ndarray | None:
        return self.stepper.fields.model.loss(state.w) if name == "risk" else None

    def overflow_steps(self, state: Paths) -> np.ndarray:
        return state.overflow_steps

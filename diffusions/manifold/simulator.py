"""Makes a limit ready for the engine: integrator steps between recorded SGD steps, and paths that leave the set."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry

from .leaving import place
from .schemes import Stepper


def integrator_grid(record: np.ndarray, steps: int, clock: float, dt: float) -> np.ndarray:
    """SGD steps (not whole in general) at which integrator steps end, the first 0: equal steps of at most `dt`
    in the limit's time between recorded steps."""
    stops = np.unique(np.concatenate([[0], record, [steps]])).astype(float)
    pieces = [np.zeros(1)]
    for before, after in zip(stops[:-1], stops[1:]):
        count = max(1, int(np.ceil((after - before) / clock / dt - 1e-9)))
        pieces.append(before + (after - before) * np.arange(1, count + 1) / count)
        pieces[-1][-1] = after
    return np.concatenate(pieces)


@dataclass(frozen=True, eq=False)
class Departure:
    """Where a path was last seen on the set: its number, the step and time, the point, and why it could not go on."""

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
            try:
                state.w[alive] = self.stepper.checked_step(
                    state.w[alive], dt, increments[alive], signs[alive]
                )
            except InvalidInput:
                for path in alive:
                    self._step_alone(state, path, dt, increments[[path]], signs[[path]])

    def _step_alone(
        self, state: Paths, path: int, dt: float, increments: np.ndarray, signs: np.ndarray
    ) -> None:
        """Step one path; if it cannot go on, note why and where, and take it out."""
        before = state.w[path].copy()
        try:
            state.w[path] = self.stepper.checked_step(before[None], dt, increments, signs)[0]
        except InvalidInput as error:
            step = float(self.grid[state.done])
            departure = Departure(state.first + int(path), step, step / self.clock, before, str(error))
            with self.lock:
                self.departures.append(departure)
            state.w[path] = np.inf
            state.overflow_steps[path] = int(np.ceil(self.grid[state.done + 1]))

    def positions(self, state: Paths) -> np.ndarray:
        return state.w.copy()

    def measure(self, name: str, state: Paths) -> np.ndarray | None:
        return self.stepper.fields.model.loss(state.w) if name == "risk" else None

    def overflow_steps(self, state: Paths) -> np.ndarray:
        return state.overflow_steps

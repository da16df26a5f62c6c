"""Makes a limit ready for the engine: integrator steps between recorded SGD steps, and lost paths."""

from __future__ import annotations

import threading
import warnings
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.passages import LocalNoise
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of
from sgdlimits.exact.errors import InvalidInput, Unstable, positive, whole_number
from sgdlimits.problems import geometry
from sgdlimits.problems.frames import place

from ..local_noise import local_noise
from .leaving import LeftTheSet, frame_of_rank
from .schemes import Stepper
from .stability import past_the_limit, past_threshold, warn_of_crossing

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


@dataclass(frozen=True, eq=False)
class Crossing:
    """Which path came past the stability limit of the step size, by which step and time, and where."""

    path: int
    step: float
    time: float
    point: np.ndarray

    def __str__(self) -> str:
        return f"path {self.path} by step {self.step:.6g} (time {self.time:.6g}), {place(self.point)}, where"


@dataclass(frozen=True, eq=False)
class LimitSteps:
    """The integrator steps of a limit; between their ends a path stays where it was, and one that left is infinite.

    Parameters
    ----------
    stepper : Stepper
    grid : (J + 1,) array
        SGD steps at which integrator steps end.
    clock : float
        SGD steps per unit of the limit's time.
    noise_dimension : int
    given_starts : bool
        Whether the starts were given one by one: then one past the stability limit is an error.
    """

    stepper: Stepper
    grid: np.ndarray
    clock: float
    noise_dimension: int
    given_starts: bool
    departures: list[Departure] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def simulator(self) -> Simulator:
        """For the engine."""
        model = self.stepper.fields.model
        return ArraySimulator(
            "limit on the zero-loss set", model.dimension, self._advance,
            self._enter, measures=risk_of(model.loss), compiled=False,
            whole="its grid belongs to the whole run",
        )  # fmt: skip

    def local_noise(self, simulator: Simulator) -> LocalNoise | str:
        """|(P G)^T gradient|^2 dt of each integrator step, or why passages between steps cannot be told."""
        fields, grid = self.stepper.fields, self.grid
        if np.diff(grid).min(initial=1.0) < 1 - 1e-9:
            return "several of the integrator's steps end within one step of the run: raise dt, or leave substeps out"

        def span(own: int) -> tuple[float, float]:
            before, end = np.searchsorted(grid, (own, own + 1), side="right") - 1
            return (grid[before], grid[end]) if end > before else (own, own)

        def variance(own: int, w: np.ndarray, gradient: np.ndarray) -> np.ndarray:
            begin, end = span(own)
            if begin == end or not self.noise_dimension:  # at rest, or without noise
                return np.zeros(len(w))
            frame = frame_of_rank(fields.model, w, self.stepper.rank)
            slope = frame.tangent_part(gradient)
            along = [root.variance_along(slope) for root in fields.noise_roots(w)]
            return np.sum(along, axis=0) * (end - begin) / self.clock

        made = local_noise(simulator, variance, None, np.zeros(fields.model.dimension), fields.model.gradient)
        return replace(made, span=span)

    def warn_of_paths(self, asked: range, stacklevel: int) -> None:
        """Warn of the paths among those `asked` that were lost, and of those that passed the stability limit."""
        lost = sorted((d for d in self.departures if d.path in asked), key=lambda d: (d.step, d.path))
        if lost:
            sentence = f"{len(lost)} of {len(asked)} paths were lost: {lost[0]}"
            warnings.warn(sentence, LeftTheSet, stacklevel=stacklevel + 1)
        crossed = sorted((c for c in self.crossings if c.path in asked), key=lambda c: (c.step, c.path))
        if crossed:
            count, step_size = len({c.path for c in crossed}), self.stepper.fields.step_size
            warn_of_crossing(f"{count} of {len(asked)} paths pass", step_size, str(crossed[0]), stacklevel + 1)

    def _enter(self, positions: np.ndarray) -> np.ndarray:
        """Phi of the starts (P, m).

        Raises
        ------
        Unstable
            If one of the starts that were given lies past the stability limit.
        """
        fields = self.stepper.fields
        starts, place = np.unique(positions, axis=0, return_inverse=True)
        points = geometry.limit_map(fields.model, starts)[place.reshape(-1)]
        if self.given_starts:
            frame = geometry.frame(fields.model, points, rank=self.stepper.rank)
            if past_the_limit(frame, fields.step_size).any():
                raise past_threshold(fields.step_size, points, frame)
        return points

    def _advance(self, state: PathArrays, first: int, last: int, noise: Noise) -> None:
        ended, end = np.searchsorted(self.grid, (first, last), side="right") - 1
        for done in range(ended, end):
            self._step(state, done, noise)

    def _step(self, state: PathArrays, done: int, noise: Noise) -> None:
        alive = np.flatnonzero(state.overflow < 0)
        if not alive.size:
            return
        dt = (self.grid[done + 1] - self.grid[done]) / self.clock
        increments, signs = np.zeros((len(state.x), 0)), np.ones(len(state.x))
        if self.noise_dimension:
            increments = np.sqrt(dt) * noise.normals(Purpose.BROWNIAN, done, self.noise_dimension)
        if self.stepper.solver == "ninomiya_victoir":
            signs = noise.two_point(Purpose.WEAK, done, 1)[:, 0]
        with np.errstate(over="ignore", invalid="ignore"):
            self._step_some(state, done, alive, dt, increments, signs)

    def _step_some(
        self, state: PathArrays, done: int, rows: np.ndarray, dt: float, increments: np.ndarray, signs: np.ndarray
    ) -> None:
        """Step the paths in `rows`; halve them to find one that cannot go on, note why and where, drop it."""
        try:
            moved, before, after = self.stepper.checked_step(state.x[rows], dt, increments[rows], signs[rows])
            state.x[rows] = moved
            self._note_crossings(state, done, rows, before, after)
        except (InvalidInput, Unstable) as error:
            if len(rows) > 1:
                for half in np.array_split(rows, 2):
                    self._step_some(state, done, half, dt, increments, signs)
                return
            row, step = int(rows[0]), float(self.grid[done])
            departure = Departure(state.path + row, step, step / self.clock, state.x[row].copy(), str(error))
            with self.lock:
                self.departures.append(departure)
            state.x[row] = np.inf
            state.overflow[row] = int(np.ceil(self.grid[done + 1]))

    def _note_crossings(self, state: PathArrays, done: int, rows: np.ndarray, before: Any, after: Any) -> None:
        """Note the paths that this step took past the stability limit; a first step, those that began past it."""
        step_size = self.stepper.fields.step_size
        past = past_the_limit(after, step_size)
        if done == 0:
            past = past | past_the_limit(before, step_size)
        elif past.any():
            past = past & ~past_the_limit(before, step_size)
        step = float(self.grid[done + 1])
        found = [Crossing(state.path + int(row), step, step / self.clock, state.x[row].copy()) for row in rows[past]]
        if found:
            with self.lock:
                self.crossings.extend(found)

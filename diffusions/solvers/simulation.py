"""Runs one scheme on one diffusion as a `Simulator` of the engine: one engine step is one dt of the base grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlimits.ensembles import Brownian, Noise, Purpose, limits
from sgdlimits.ensembles.brownian import DEEPEST
from sgdlimits.ensembles.crowd import RowState
from sgdlimits.ensembles.weak_increments import path_signs, path_three_point
from sgdlimits.exact.errors import InvalidInput

from .coefficients import Coefficients
from .scheme import AdaptiveScheme, Scheme, StepNoise

NUMBERS_AHEAD = 2**14  # noise drawn at once: it stays in cache, and small steps share the cost of a call
SAFETY, GROWTH = 0.8, 4  # of the step-size controller: aim below the tolerance, and look only so far ahead


@dataclass(eq=False)
class _Paths(RowState):
    x: np.ndarray
    overflow_steps: np.ndarray
    levels: np.ndarray
    accepted: int = 0
    rejected: int = 0
    noise: list[StepNoise] = field(default_factory=list)
    noise_from: int = 0


@dataclass(frozen=True, eq=False)
class SchemeSimulator:
    """A `Simulator` of any diffusion by any scheme, vectorised over paths.

    Parameters
    ----------
    coefficients : Coefficients
    scheme : Scheme
    brownian : Brownian
        Its grid at `level` is that of the run (level 0 unless the run refines it); joined by `joined`.
    t0 : float
    level, joined : int
        The run's dt is joined * horizon / (steps 2^level).
    tolerance : float, optional
        Largest estimated error of a step relative to 1 + |x|; steps that exceed it are halved and taken again.
    """

    coefficients: Coefficients
    scheme: Scheme
    brownian: Brownian
    t0: float
    level: int = 0
    joined: int = 1
    tolerance: float | None = None
    compiled: bool = False

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return self.coefficients.dimension

    @property
    def dt(self) -> float:
        """Length of one engine step."""
        return self.brownian.interval(self.level) * self.joined

    def start(self, positions: np.ndarray, noise: Noise) -> _Paths:
        paths = len(positions)
        return _Paths(positions.copy(), np.full(paths, -1, dtype=np.int64), np.zeros(paths, dtype=np.int64))

    def advance(self, state: _Paths, first: int, last: int, noise: Noise) -> None:
        with np.errstate(all="ignore"):  # what overflows is reported by the engine, once
            for k in range(first, last):
                before = state.x
                if self.tolerance is None:
                    t = self.t0 + k * self.dt
                    state.x = self.scheme.step(
                        self.coefficients, t, before, self.dt, self._noise(state, k, last, noise)
                    )
                else:
                    self._adaptive_step(state, k, noise)
                self._mark_overflow(state, before, k)

    def positions(self, state: _Paths) -> np.ndarray:
        return state.x.copy()

    def measure(self, name: str, state: _Paths) -> np.ndarray | None:
        risk = getattr(self.coefficients.source, "risk", None)
        return risk(state.x) if name == "risk" and risk is not None else None

    def overflow_steps(self, state: _Paths) -> np.ndarray:
        return state.overflow_steps

    def _noise(self, state: _Paths, k: int, last: int, noise: Noise) -> StepNoise:
        if not state.noise_from <= k < state.noise_from + len(state.noise):
            size = noise.paths.size * self.coefficients.noise_dimension
            count = max(1, min(last - k, NUMBERS_AHEAD // size))
            state.noise, state.noise_from = self._draw(k, k + count, noise), k
        return state.noise[k - state.noise_from]

    def _draw(self, first: int, last: int, noise: Noise) -> list[StepNoise]:
        m, count = self.coefficients.noise_dimension, last - first
        signs: Any = [None] * count
        if self.scheme.signs:
            signs = self._weak(path_signs, Purpose.WEAK, first, count, noise)
        if self.scheme.increments == "gaussian":
            j = self.joined
            w, h = self.brownian.increments(noise.paths, first * j, last * j, self.level)
            if j > 1:
                from sgdlimits.ensembles import coarsen

                w, h = coarsen(w, h, j)
            return [StepNoise(w[i], None if h is None else h[i], signs[i]) for i in range(count)]
        draw = path_signs if self.scheme.increments == "two_point" else path_three_point
        w = self._weak(draw, Purpose.BROWNIAN, first, count, noise)
        w *= math.sqrt(self.dt)
        return [StepNoise(w[i].reshape(-1, m), None, signs[i]) for i in range(count)]

    def _weak(self, draw: Any, purpose: int, first: int, count: int, noise: Noise) -> np.ndarray:
        m, paths = self.coefficients.noise_dimension, noise.paths
        out = np.empty((paths.size, count * m))
        draw(out, np.uint64(self.brownian.seed), int(purpose), paths, first * m)
        if count == 1:
            return out[None]
        return np.ascontiguousarray(out.reshape(paths.size, count, m).transpose(1, 0, 2))

    def _adaptive_step(self, state: _Paths, k: int, noise: Noise) -> None:
        # Every path walks through base interval k on dyadic steps of its own: interval `index` at level `level`.
        scheme = self.scheme
        assert isinstance(scheme, AdaptiveScheme)
        x, base = state.x.copy(), self.level
        levels = state.levels.copy()
        indices = np.left_shift(np.int64(k), levels)
        going = np.flatnonzero(state.overflow_steps < 0)
        while going.size:
            level, index = levels[going], indices[going]
            length = np.ldexp(self.dt, -level.astype(np.int32))[:, None]
            t = self.t0 + index[:, None] * length
            w, h = self.brownian.increments_at(noise.paths[going], level + base, index)
            before = x[going]
            after, error = scheme.step_with_error(self.coefficients, t, before, length, StepNoise(w, h))
            scale = 1.0 + np.maximum(np.abs(before), np.abs(after))
            size = np.sqrt(np.mean(np.square(error / scale), axis=1)) / self.tolerance
            bad = ~(size <= 1.0)
            overflown = ~np.isfinite(after).all(axis=1) & (level + base >= DEEPEST)
            if (bad & np.isfinite(size) & (level + base >= DEEPEST)).any():
                raise InvalidInput(
                    f"tolerance {self.tolerance:g} is not met near t = {float(t[bad][0, 0]):g} by steps of "
                    f"dt / 2^{DEEPEST}: raise it, or lower dt"
                )
            state.rejected += int(bad.sum())
            state.accepted += int((~bad).sum())
            deeper = going[bad & ~overflown]
            levels[deeper] += 1
            indices[deeper] *= 2
            done = going[~bad | overflown]
            x[done] = after[~bad | overflown]
            indices[done] += 1
            self._coarser(levels, indices, done, size[~bad | overflown])
            ended = indices >= np.left_shift(np.int64(k + 1), levels)
            ended[going[overflown]] = True
            going = going[~ended[going]]
        state.x, state.levels = x, levels

    def _coarser(self, levels: np.ndarray, indices: np.ndarray, rows: np.ndarray, size: np.ndarray) -> None:
        # A step of twice the length has about 2^1.5 times the error; it must begin on its own grid.
        for _ in range(GROWTH):
            size = size * 2**1.5
            able = (size < SAFETY) & (levels[rows] > 0) & (indices[rows] % 2 == 0)
            rows, size = rows[able], size[able]
            levels[rows] -= 1
            indices[rows] //= 2

    def _mark_overflow(self, state: _Paths, before: np.ndarray, k: int) -> None:
        fresh = limits.beyond(state.x) & (state.overflow_steps < 0)
        if not fresh.any():
            return
        self.coefficients.refuse_undefined(self.t0 + k * self.dt, before[fresh])
        state.overflow_steps[fresh] = k + 1

"""The steps of one scheme on one diffusion, many paths at a time: one step is one dt of the base grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles import Brownian, Noise, Purpose, limits
from sgdlimits.ensembles.brownian import DEEPEST
from sgdlimits.ensembles.simulators import PathArrays
from sgdlimits.ensembles.weak_increments import path_signs, path_three_point
from sgdlimits.exact.errors import InvalidInput

from .coefficients import Coefficients
from .scheme import AdaptiveScheme, Scheme, StepNoise

NUMBERS_AHEAD = 2**14  # noise drawn at once: it stays in cache, and small steps share the cost of a call
SAFETY, GROWTH = 0.8, 4  # of the step-size controller: aim below the tolerance, and look only so far ahead


@dataclass(frozen=True, eq=False)
class SchemeSteps:
    """The steps of a scheme on a diffusion, vectorised over paths.

    Parameters
    ----------
    coefficients : Coefficients
    scheme : Scheme
    brownian : Brownian
        Its grid at `level` is that of the run (level 0 unless the run refines it); joined by `joined`.
    t0 : float
    level, joined : int
        A step's dt is joined * horizon / (steps 2^level).
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

    @property
    def dt(self) -> float:
        """Length of a step."""
        return self.brownian.interval(self.level) * self.joined

    def kept(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The level (P,) at which each path steps, where the steps adapt."""
        return {} if self.tolerance is None else {"levels": np.zeros(len(x), dtype=np.int64)}

    def advance(self, state: PathArrays, first: int, last: int, noise: Noise) -> None:
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

    def _noise(self, state: PathArrays, k: int, last: int, noise: Noise) -> StepNoise:
        begin, drawn = state.ahead or (0, [])
        if not begin <= k < begin + len(drawn):
            size = noise.paths.size * self.coefficients.noise_dimension
            count = max(1, min(last - k, NUMBERS_AHEAD // size))
            begin, drawn = state.ahead = k, self._draw(k, k + count, noise)
        return drawn[k - begin]

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

    def _adaptive_step(self, state: PathArrays, k: int, noise: Noise) -> None:
        # Every path walks through base interval k on dyadic steps of its own: interval `index` at level `level`.
        scheme = self.scheme
        assert isinstance(scheme, AdaptiveScheme)
        x, base = state.x.copy(), self.level
        levels = state.kept["levels"].copy()
        indices = np.left_shift(np.int64(k), levels)
        going = np.flatnonzero(state.overflow < 0)
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
        state.x, state.kept["levels"] = x, levels

    def _coarser(self, levels: np.ndarray, indices: np.ndarray, rows: np.ndarray, size: np.ndarray) -> None:
        # A step of twice the length has about 2^1.5 times the error; it must begin on its own grid.
        for _ in range(GROWTH):
            size = size * 2**1.5
            able = (size < SAFETY) & (levels[rows] > 0) & (indices[rows] % 2 == 0)
            rows, size = rows[able], size[able]
            levels[rows] -= 1
            indices[rows] //= 2

    def _mark_overflow(self, state: PathArrays, before: np.ndarray, k: int) -> None:
        fresh = limits.beyond(state.x) & (state.overflow < 0)
        if not fresh.any():
            return
        self.coefficients.refuse_undefined(self.t0 + k * self.dt, before[fresh])
        state.overflow[fresh] = k + 1

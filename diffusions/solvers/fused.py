"""Compiled diffusions run fused: noise, drift, diffusion and step in one compiled loop, a path's state in cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numba
import numpy as np

from sgdlimits.ensembles import PACK, Noise, Purpose
from sgdlimits.ensembles.compiling import compiled
from sgdlimits.ensembles.normals import fill_normals, scratch
from sgdlimits.ensembles.weak_increments import path_signs
from sgdlimits.exact.errors import InvalidInput

from .coefficients import Coefficients
from .scheme import Scheme

LARGEST = 1e150  # of a coordinate: beyond it a path counts as overflowed
NUMBERS_AHEAD = 256  # noise of a path drawn at once, when a step needs less
FUSED = ("euler", "weak_euler")


@compiled
def _gaussian_increments(z, normals, words, seed, path, position, scale):
    # Normals position, position + 1, ... of a pack, times scale, into z (PACK, count): a row a path.
    per_block = 4 * normals.shape[0] // words.shape[0]
    start, stop = position, position + z.shape[1]
    while start < stop:
        window = start - start % per_block
        fill_normals(normals, words, seed, Purpose.BROWNIAN, path, window // per_block)
        end = min(stop, window + normals.shape[0])
        for lane in range(PACK):
            for q in range(start, end):
                z[lane, q - position] = scale * normals[q - window, lane]
        start = end


@compiled
def _two_point_increments(z, seed, path, position, scale):
    path_signs(z, seed, Purpose.BROWNIAN, np.arange(path, path + PACK), position)
    z *= scale


@lru_cache(maxsize=64)
def euler_kernel(drift: Callable[..., None], diffusion: Callable[..., None], form: str) -> Callable[..., None]:
    """Compiled Euler steps of many paths; `form` as in Coefficients."""
    matrix = form == "matrix"
    column = form == "column"

    @numba.njit(nogil=True, error_model="numpy")
    def advance(x, overflow, t0, dt, first, last, m, two_point, seed, path, normals, words):
        d, ahead = x.shape[1], max(1, NUMBERS_AHEAD // m)
        f, z = np.zeros(d), np.empty((PACK, ahead * m))
        g = np.zeros((d, m if matrix else 1))
        root = math.sqrt(dt)
        for pack in range(0, x.shape[0], PACK):
            for begin in range(first, last, ahead):
                count = min(ahead, last - begin)
                if two_point:
                    _two_point_increments(z[:, : count * m], seed, path + pack, begin * m, root)
                else:
                    _gaussian_increments(z[:, : count * m], normals, words, seed, path + pack, begin * m, root)
                for lane in range(PACK):
                    row = x[pack + lane]
                    for s in range(count):
                        t, w = t0 + (begin + s) * dt, z[lane, s * m : (s + 1) * m]
                        drift(t, row, f)
                        beyond = 0
                        if matrix:
                            diffusion(t, row, g)
                            for i in range(d):
                                total = row[i] + f[i] * dt
                                for j in range(m):
                                    total += g[i, j] * w[j]
                                row[i] = total
                                beyond += 0 if abs(total) <= LARGEST else 1
                        else:
                            diagonal = g[:, 0]
                            diffusion(t, row, diagonal)
                            for i in range(d):
                                total = row[i] + f[i] * dt + diagonal[i] * (w[0] if column else w[i])
                                row[i] = total
                                beyond += 0 if abs(total) <= LARGEST else 1
                        if beyond and overflow[pack + lane] < 0:
                            overflow[pack + lane] = begin + s + 1

    return advance


@dataclass(eq=False)
class _Paths:
    x: np.ndarray
    overflow_steps: np.ndarray


@dataclass(frozen=True, eq=False)
class FusedSimulator:
    """A `Simulator` of a compiled diffusion; gives the same paths as `SchemeSimulator`, to rounding."""

    coefficients: Coefficients
    scheme: Scheme
    t0: float
    dt: float
    seed: int
    compiled: bool = True

    @property
    def dimension(self) -> int:
        """Number of coordinates d."""
        return self.coefficients.dimension

    def start(self, positions: np.ndarray, noise: Noise) -> _Paths:
        return _Paths(np.ascontiguousarray(positions).copy(), np.full(len(positions), -1, dtype=np.int64))

    def advance(self, state: _Paths, first: int, last: int, noise: Noise) -> None:
        source = self.coefficients.source
        kernel = euler_kernel(source.drift, source.diffusion, self.coefficients.form)
        kernel(
            state.x, state.overflow_steps, self.t0, self.dt, first, last, self.coefficients.noise_dimension,
            self.scheme.increments == "two_point", np.uint64(self.seed), int(noise.paths[0]), *scratch(noise.quality),
        )  # fmt: skip
        bad = np.isnan(state.x).any(axis=1) & (state.overflow_steps > first)
        if bad.any() and not np.isnan(state.x[~bad]).any():
            self._complain_of_nan(state, bad)

    def positions(self, state: _Paths) -> np.ndarray:
        return state.x.copy()

    def measure(self, name: str, state: _Paths) -> np.ndarray | None:
        risk = getattr(self.coefficients.source, "risk", None)
        return risk(state.x) if name == "risk" and risk is not None else None

    def overflow_steps(self, state: _Paths) -> np.ndarray:
        return state.overflow_steps

"""Compiled diffusions run fused: noise, drift, diffusion and step in one compiled loop, a path's state in cache."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba import uint64

from sgdlimits.ensembles import PACK, Noise, Purpose
from sgdlimits.exact.compiling import compiled
from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.limits import too_large
from sgdlimits.ensembles.normals import ahead, rows_of_normals, scratch
from sgdlimits.ensembles.philox import path_words
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays, risk_of

from .coefficients import Coefficients
from .scheme import Scheme

NUMBERS_AHEAD = 512  # noise of a path drawn at once, when a step needs less
FUSED = ("euler", "weak_euler")


@compiled
def _copy(out, values):
    # An array assigned to a slice would compile numba's message on shapes, two seconds in every process.
    for i in range(values.size):
        out[i] = values[i]


@compiled(fastmath={"reassoc", "contract", "nsz"})  # the sum's order depends on d alone
def _square(row):
    total = 0.0
    for i in range(row.size):
        total += row[i] * row[i]
    return total


@compiled
def _signs_of_pack(z, count, seed, path, position):
    # The same of fair signs.
    for lane in range(PACK):
        for q in range(position, position + count):
            if q == position or q & 127 == 0:
                w0, w1, w2, w3 = path_words(seed, Purpose.BROWNIAN, path + lane, q >> 7)
                low, high = w0 | (w1 << uint64(32)), w2 | (w3 << uint64(32))
            half = high if q & 64 else low
            z[lane, q - position] = 1.0 if (half >> uint64(q & 63)) & uint64(1) else -1.0


@lru_cache(maxsize=64)
def euler_kernel(drift: Callable[..., None], diffusion: Callable[..., None], layout: str) -> Callable[..., Any]:
    """Compiled Euler steps of many paths; `layout` as in Coefficients.

    `before` (P, d) takes the last position of a path that overflows.
    """
    matrix, column = layout == "matrix", layout == "column"

    @numba.njit(nogil=True, error_model="numpy")
    def advance(x, overflow, before, t0, dt, first, last, m, two_point, seed, path, width, normals, words):
        d, ahead, skipped = x.shape[1], max(1, NUMBERS_AHEAD // m), 0
        f, here, z, root = np.zeros(d), np.zeros(d), np.empty((PACK, width), normals.dtype), math.sqrt(dt)
        g = np.zeros((d, m)) if matrix else np.zeros(d)
        for pack in range(0, x.shape[0], PACK):
            for begin in range(first, last, ahead):
                count = min(ahead, last - begin)
                if two_point:
                    _signs_of_pack(z, count * m, seed, path + pack, begin * m)
                else:
                    skipped = rows_of_normals(
                        z, normals, words, seed, Purpose.BROWNIAN, path + pack, begin * m, count * m
                    )  # fmt: skip
                for lane in range(PACK):
                    row = x[pack + lane]
                    for s in range(count):
                        t, w = t0 + (begin + s) * dt, z[lane, skipped + s * m : skipped + (s + 1) * m]
                        # The user's functions see a copy, and an `out` that is zero.
                        _copy(here, row)
                        f[:] = 0.0
                        drift(t, here, f)
                        _copy(here, row)
                        g[:] = 0.0
                        diffusion(t, here, g)
                        _copy(here, row)
                        # A sum in the loop would keep LLVM from vectorising it.
                        for i in range(d):
                            total = row[i] + f[i] * dt
                            if matrix:
                                for j in range(m):
                                    total += g[i, j] * (root * w[j])
                            elif column:
                                total += g[i] * (root * w[0])
                            else:
                                total += g[i] * (root * w[i])
                            row[i] = total
                        square = _square(row)
                        if overflow[pack + lane] < 0 and too_large(square):
                            overflow[pack + lane] = begin + s + 1
                            _copy(before[pack + lane], here)

    return advance


def fused_simulator(coefficients: Coefficients, scheme: Scheme, t0: float, dt: float, seed: int) -> Simulator | None:
    """A `Simulator` of a compiled diffusion, where it and the scheme have one; the same paths as `SchemeSteps`."""
    if not coefficients.compiled or scheme.name not in FUSED or coefficients.additive:
        return None
    source = coefficients.source
    kernel = euler_kernel(source.drift, source.diffusion, coefficients.layout)

    def advance(state: PathArrays, first: int, last: int, noise: Noise) -> None:
        before = state.kept["before"]
        kernel(
            state.x, state.overflow, before, t0, dt, first, last, coefficients.noise_dimension,
            scheme.increments == "two_point", np.uint64(seed), int(noise.paths[0]),
            ahead(max(NUMBERS_AHEAD, coefficients.noise_dimension)), *scratch(noise.quality, 32),
        )  # fmt: skip
        lost = np.flatnonzero(state.overflow > first)
        for step in np.unique(state.overflow[lost]) if lost.size else ():
            coefficients.refuse_undefined(t0 + (step - 1) * dt, before[lost[state.overflow[lost] == step]])

    return ArraySimulator(
        f"{type(source).__name__} by {scheme.name}, compiled", coefficients.dimension, advance,
        measures=risk_of(getattr(source, "risk", None)), kept=lambda x: {"before": np.zeros_like(x)},
    )  # fmt: skip

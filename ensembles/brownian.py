"""Brownian paths that can be asked at any resolution: refined by a bridge, coarsened by sums, never changed.

A path is a pure function of (seed, path number, base grid): the increments of the base grid come from one
stream and every halving of an interval from another, so the same numbers come out whatever was asked before.
With space-time Levy area, an interval [s, s + h] carries beside its increment W the number

    H = (1 / h) * integral of (B_t - B_s - (t - s) W / h) dt,     N(0, h / 12), independent of W.

Given (W, H), the halves have W_1 - W_2 = 3 H + sqrt(h) / 2 z_1, H_1 + H_2 = H / 2 - sqrt(h) / 4 z_1 and
H_1 - H_2 = sqrt(h / 12) z_2 with independent standard normals z; derived, and the same law as in Foster,
Lyons and Oberhauser, SIAM J. Numer. Anal. 58 (2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import uint32

from sgdlimits.exact.errors import (
    InvalidInput,
    finite_array,
    flag,
    one_of,
    positive,
    real_array,
    shown,
    whole_number,
)

from sgdlimits.exact.compiling import compiled
from .normals import box_muller32, box_muller64, scratch
from .philox import path_words
from .random import QUALITIES, Purpose, path_normals, path_numbers

DEEPEST = 30  # halvings of a base interval: beyond it a path is continued by a straight line
_32 = np.uint64(32)


@compiled(forceinline=True)
def _normal(seed, purpose, path, position, double):
    # Number `position` of a stream: the same bits as a whole pack gives.
    if double:
        w0, w1, w2, w3 = path_words(seed, purpose, path, position >> 1)
        x, y = box_muller64(w0 | (w1 << _32), w2 | (w3 << _32))
        return y if position & 1 else x
    w0, w1, w2, w3 = path_words(seed, purpose, path, position >> 2)
    if position & 2:
        u, v = box_muller32(uint32(w1), uint32(w3))
    else:
        u, v = box_muller32(uint32(w0), uint32(w2))
    return np.float64(v if position & 1 else u)


@compiled(forceinline=True)
def _halves(w, h, first, second, length):
    # Increments and areas of the two halves of an interval of this length.
    root = math.sqrt(length)
    difference = 3.0 * h + 0.5 * root * first
    total, gap = 0.5 * h - 0.25 * root * first, math.sqrt(length / 12.0) * second
    return 0.5 * (w + difference), 0.5 * (total + gap), 0.5 * (w - difference), 0.5 * (total - gap)


@compiled
def _halve(w, h, z, length, out_w, out_h):
    # Parents (K, P, m) into children (2 K, P, m); z (K, P, m) or, with areas, (K, P, 2 m).
    area, m = h.size > 0, w.shape[2]
    for k in range(w.shape[0]):
        for p in range(w.shape[1]):
            for j in range(m):
                if area:
                    a = _halves(w[k, p, j], h[k, p, j], z[k, p, j], z[k, p, m + j], length)
                    out_w[2 * k, p, j], out_h[2 * k, p, j], out_w[2 * k + 1, p, j], out_h[2 * k + 1, p, j] = a
                else:
                    difference = math.sqrt(length) * z[k, p, j]
                    out_w[2 * k, p, j] = 0.5 * (w[k, p, j] + difference)
                    out_w[2 * k + 1, p, j] = 0.5 * (w[k, p, j] - difference)


@compiled
def _descend(w, h, seed, paths, levels, indices, steps, dt, double):
    # Each path's own interval: down from the base interval that holds it.
    area, m = h.size > 0, w.shape[1]
    size = 2 * m if area else m
    for p in range(paths.size):
        level, index, path = levels[p], indices[p], paths[p]
        for j in range(m):
            x = math.sqrt(dt) * _normal(seed, Purpose.BROWNIAN, path, (index >> level) * m + j, double)
            y = 0.0
            if area:
                y = math.sqrt(dt / 12.0) * _normal(seed, Purpose.AREA, path, (index >> level) * m + j, double)
            length = dt
            for depth in range(level):
                parent = index >> (level - depth)
                right = (index >> (level - depth - 1)) & 1
                position = (steps * ((1 << depth) - 1) + parent) * size + j
                first = _normal(seed, Purpose.BRIDGE, path, position, double)
                if area:
                    second = _normal(seed, Purpose.BRIDGE, path, position + m, double)
                    a, b, c, d = _halves(x, y, first, second, length)
                    x, y = (c, d) if right else (a, b)
                else:
                    difference = math.sqrt(length) * first
                    x = 0.5 * (x - difference) if right else 0.5 * (x + difference)
                length *= 0.5
            w[p, j] = x
            if area:
                h[p, j] = y


@dataclass(frozen=True)
class Brownian:
    """Brownian motion of each path on [0, horizon], standard in `dimension` coordinates.

    Parameters
    ----------
    horizon : float
        Length of time.
    steps : int
        Intervals of the base grid; every other resolution halves these or joins them.
    dimension : int
        m, the number of independent coordinates.
    seed : int
    quality : "float32" or "float64"
        Resolution of the normals.
    area : bool
        Whether intervals carry their space-time Levy area. A path with areas is another path than one without
        below the base grid.

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    """

    horizon: float
    steps: int
    dimension: int
    seed: int = 0
    quality: str = "float64"
    area: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "horizon", positive("horizon", self.horizon))
        for name, low, high in (("steps", 1, 2**31), ("dimension", 1, 2**20), ("seed", 0, 2**64 - 1)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), low, high))
        one_of("quality", self.quality, QUALITIES)
        object.__setattr__(self, "area", flag("area", self.area))

    def interval(self, level: int = 0) -> float:
        """Length of an interval at this level, horizon / (steps 2^level)."""
        return self.horizon / self.steps / 2 ** whole_number("level", level, 0, DEEPEST)

    def increments(
        self, paths: np.ndarray, first: int, last: int, level: int = 0
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Increments and areas of intervals first..last-1 of length `interval(level)`.

        Parameters
        ----------
        paths : (P,) int64 array of path numbers
        first, last : int
            0 <= first < last <= steps * 2^level.
        level : int
            How often base intervals are halved, 0 to 30.

        Returns
        -------
        W : (last - first, P, m) array
        H : the same, or None without areas
        """
        level = whole_number("level", level, 0, DEEPEST)
        last = whole_number("last", last, 1, self.steps << level)
        first = whole_number("first", first, 0, last - 1)
        w, h = self._increments(path_numbers(paths), first, last, level)
        return w, (h if self.area else None)

    def _increments(
        self, paths: np.ndarray, first: int, last: int, level: int
    ) -> tuple[np.ndarray, np.ndarray]:
        m, none = self.dimension, np.empty((0, 0, 0))
        if level == 0:
            dt = self.interval()
            w = self._normals(Purpose.BROWNIAN, paths, first, last, m)
            w *= math.sqrt(dt)
            if not self.area:
                return w, none
            h = self._normals(Purpose.AREA, paths, first, last, m)
            h *= math.sqrt(dt / 12.0)
            return w, h
        low, high = first // 2, (last + 1) // 2
        w, h = self._increments(paths, low, high, level - 1)
        node = self.steps * (2 ** (level - 1) - 1)
        z = self._normals(Purpose.BRIDGE, paths, node + low, node + high, 2 * m if self.area else m)
        out_w = np.empty((2 * (high - low), paths.size, m))
        out_h = np.empty_like(out_w) if self.area else none
        _halve(w, h, z, self.interval(level - 1), out_w, out_h)
        kept = slice(first - 2 * low, last - 2 * low)
        return out_w[kept], out_h[kept]

    def _normals(self, purpose: int, paths: np.ndarray, first: int, last: int, size: int) -> np.ndarray:
        count = (last - first) * size
        out = np.empty((paths.size, count))
        normals, words = scratch(self.quality, min(64, count // (4 if self.quality == "float32" else 2) + 2))
        path_normals(out, normals, words, np.uint64(self.seed), int(purpose), paths, first * size)
        if last - first == 1:
            return out[None]
        return np.ascontiguousarray(out.reshape(paths.size, last - first, size).transpose(1, 0, 2))

    def increments_at(
        self, paths: np.ndarray, levels: np.ndarray, indices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Increment and area of one interval a path, each at a level and index of its own.

        Parameters
        ----------
        paths, levels, indices : (P,) int64 arrays

        Returns
        -------
        W : (P, m) array
        H : the same, or None without areas
        """
        w = np.empty((paths.size, self.dimension))
        h = np.empty_like(w) if self.area else np.empty((0, 0))
        _descend(
            w,
            h,
            np.uint64(self.seed),
            paths,
            levels,
            indices,
            self.steps,
            self.interval(),
            self.quality == "float64",
        )
        return w, (h if self.area else None)

    def at(self, paths: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Values at any times in [0, horizon], (times, P, m); on straight lines below the finest level.

        A time on a grid of some level (0 to 30) gets the sum of that grid's increments up to rounding.
        """
        times = finite_array("times", times, ndim=1)
        if times.size and (times.min() < 0 or times.max() > self.horizon):
            raise InvalidInput(
                f"times must lie between 0 and the horizon {self.horizon:g}, got {times.min():g} to "
                f"{times.max():g}"
            )
        paths = path_numbers(paths)
        places = times / self.interval()
        bases = np.minimum(places.astype(np.int64), self.steps - 1)
        levels = np.empty_like(paths)
        values = np.empty((times.size, paths.size, self.dimension))
        sums, reached = np.zeros(values.shape[1:]), 0
        for place in np.argsort(times, kind="stable"):
            base, rest = int(bases[place]), float(places[place] - bases[place])
            if base > reached:
                sums = sums + self._increments(paths, reached, base, 0)[0].sum(axis=0)
                reached = base
            value, index, level = sums.copy(), base, 0
            while 0.0 < rest < 1.0 and level < DEEPEST:
                level, index, rest = level + 1, 2 * index, 2 * rest
                if rest >= 1.0:
                    levels[:] = level
                    value += self.increments_at(paths, levels, np.full_like(paths, index))[0]
                    index, rest = index + 1, rest - 1.0
            if rest > 0.0:
                levels[:] = level
                value += rest * self.increments_at(paths, levels, np.full_like(paths, index))[0]
            values[place] = value
        return values


def coarsen(w: np.ndarray, h: np.ndarray | None, factor: int) -> tuple[np.ndarray, np.ndarray | None]:
    """Join each `factor` consecutive intervals: increments (K, P, m) and areas of intervals of equal length.

    Raises
    ------
    InvalidInput
        If `factor` does not divide K.
    """
    factor, w = whole_number("factor", factor, 1), real_array("w", w)
    if w.ndim != 3:
        raise InvalidInput(f"w must have the axes (intervals, paths, coordinates), got shape {w.shape}")
    if h is not None and real_array("h", h).shape != w.shape:
        raise InvalidInput(f"h must have the shape {w.shape} of w, or be None, got {shown(h)}")
    if len(w) % factor:
        raise InvalidInput(f"factor {factor} does not divide the {len(w)} intervals: take one that does")
    parts = w.reshape(len(w) // factor, factor, *w.shape[1:])
    joined = parts.sum(axis=1)
    if h is None:
        return joined, None
    middle = np.cumsum(parts, axis=1) - 0.5 * parts + h.reshape(parts.shape)
    return joined, middle.mean(axis=1) - 0.5 * joined

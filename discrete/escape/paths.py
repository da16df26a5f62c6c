"""Cheapest paths: the sum of the costs of all steps, minimised by Newton's method over paths of many points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
StepCost = Callable[[Array, Array, Array], Array]  # of (before, now, after), each (N, d): costs (N,)
NUDGE = 2e-4  # of second differences, over the size of the path
ITERATIONS = 150
SETTLED = 1e-10
STIFF = 1e7  # weight of a missed end, over that of the first guess


@dataclass(frozen=True, eq=False)
class End:
    """Where a path must end: at a point, or where `miss` (a function of positions (P, d)) is 0."""

    point: Array
    miss: Callable[[Array], Array] | None = None


@dataclass(frozen=True, eq=False)
class Cheapest:
    """A locally cheapest path (N + 1, d) with its cost; `converged` says whether Newton's method stopped by itself."""

    cost: float
    path: Array
    converged: bool


def cheapest(cost: StepCost, guess: Array, end: End) -> Cheapest:
    """Minimise from a guess (N + 1, d), whose first point stays and whose last one stays or keeps to the end's surface.
    """
    d = guess.shape[1]
    scale = float(np.abs(guess - guess[0]).max())
    miss = end.miss
    free_end = miss is not None
    inner = slice(1, len(guess) if free_end else len(guess) - 1)
    path = guess.copy()
    weight = STIFF * max(_total(cost, path), 1.0) if free_end else 0.0

    def value(x: Array) -> float:
        with np.errstate(all="ignore"):
            found = _total(cost, x)
            if miss is not None:
                found += weight * float(miss(x[-1:])[0]) ** 2
        return found if np.isfinite(found) else np.inf

    now, damping, converged, still = value(path), 1e-3, False, 0
    for _ in range(ITERATIONS):
        slope, bands = _derivatives(cost, path, NUDGE * scale)
        if miss is not None:
            _add_end(miss, weight, path[-1], NUDGE * scale, slope, bands)
        slope, bands = slope[inner.start * d : inner.stop * d], bands[:, inner.start * d : inner.stop * d]
        step = None
        for _ in range(40):
            step = _solved(bands, slope, damping)
            if step is not None:
                trial = path.copy()
                trial[inner] -= step.reshape(-1, d)
                then = value(trial)
                if then <= now:
                    break
            damping = max(damping * 4, 1e-12)
        else:
            converged = True  # no direction leads down any more: rounding
            break
        gain = now - then
        path, now = trial, then
        damping /= 8
        still = still + 1 if gain <= SETTLED * abs(now) else 0
        if still == 3:  # a path can be shifted in time at next to no cost: one small gain may not be the last
            converged = True
            break
    total = _total(cost, path)
    if miss is not None:  # what the missed rest would have cost, to first order
        total += 2 * weight * float(miss(path[-1:])[0]) ** 2
    return Cheapest(total, path, converged)


def _total(cost: StepCost, path: Array) -> float:
    return float(cost(*_triples(path)).sum())


def _triples(path: Array) -> tuple[Array, Array, Array]:
    return np.concatenate([path[:1], path[:-2]]), path[:-1], path[1:]


def _derivatives(cost: StepCost, path: Array, h: float) -> tuple[Array, Array]:
    """Gradient (n,) and the lower bands (3 d, n) of the Hessian of the whole cost, by differences of the steps' own."""
    n, d = path.shape
    arguments = np.stack(_triples(path), axis=1)  # (N, 3, d)
    steps = len(arguments)
    flat = arguments.reshape(steps, 3 * d)

    def at(move: Array) -> Array:
        moved = (flat + move).reshape(steps, 3, d)
        return cost(moved[:, 0], moved[:, 1], moved[:, 2])

    unit = h * np.eye(3 * d)
    centre = at(np.zeros(3 * d))
    ahead, behind = np.array([at(e) for e in unit]), np.array([at(-e) for e in unit])
    fine = [(at(e / 8) - at(-e / 8)) / (h / 4) for e in unit]
    own_slope = np.array(fine).T
    own = np.empty((steps, 3 * d, 3 * d))
    for i in range(3 * d):
        own[:, i, i] = (ahead[i] - 2 * centre + behind[i]) / h**2
        for j in range(i):
            cross = at(unit[i] + unit[j]) + at(-unit[i] - unit[j]) + 2 * centre
            cross = cross - ahead[i] - ahead[j] - behind[i] - behind[j]
            own[:, i, j] = own[:, j, i] = cross / (2 * h**2)
    slope, bands = np.zeros((n + 1) * d), np.zeros((3 * d, (n + 1) * d))  # point 0 stands for the one before the first
    for t in range(3):
        slope_part = own_slope[:, t * d : (t + 1) * d]
        np.add.at(slope.reshape(n + 1, d), np.arange(steps) + t, slope_part)
    offsets = np.arange(steps) * d
    for i in range(3 * d):
        for j in range(i + 1):
            np.add.at(bands[i - j], offsets + j, own[:, i, j])
    return slope[d:], bands[:, d:]


def _add_end(miss: Callable[[Array], Array], weight: float, x: Array, h: float, slope: Array, bands: Array) -> None:
    d = x.size
    moves = h * np.eye(d)
    gradient = (miss(x + moves) - miss(x - moves)) / (2 * h)
    size = float(miss(x[None])[0])
    slope[-d:] += 2 * weight * size * gradient
    outer = 2 * weight * np.outer(gradient, gradient)
    for i in range(d):
        for j in range(i + 1):
            bands[i - j, len(slope) - d + j] += outer[i, j]


def _solved(bands: Array, slope: Array, damping: float) -> Array | None:
    from scipy.linalg import LinAlgError, solveh_banded

    loaded = bands.copy()
    for k in range(1, len(loaded)):  # entries that would couple to points past the last
        loaded[k, len(slope) - k :] = 0.0
    loaded[0] += damping * np.abs(loaded[0]).max()
    try:
        return solveh_banded(loaded, slope, lower=True, check_finite=False)
    except LinAlgError:
        return None

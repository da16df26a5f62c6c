"""Rates of rare escapes from paths: fixed-effort splitting over levels of a score, from the quasi-stationary law on.

A path that climbs from `home` past the first level starts an excursion; from each level's first states, drawn anew,
trials run until they reach the next level or are back home. The flux of excursions times the product of the shares that
get on is the rate (Kahn and Harris 1951; Glasserman et al. 1999; forward flux sampling, Allen et al. 2005). Groups
that share no path give the interval. Levels come from a pilot whose paths are not used again.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.threads import thread_pool, threads_of

from .blas_threads import one_blas_thread
from .engine import Simulator
from .splitting_stages import (
    GROUPS,
    KEPT,
    LANES,
    LEAST,
    PILOT,
    SHORTEST_BURN_IN,
    Pilot,
    Scores,
    burn_in_of,
    counted,
    crowds_of,
    pilot_of,
    split,
)

BLOCKS = 4  # crowds, each of four groups
OFTEN = 1e-4  # rate from which escapes are counted as they come
SPREAD = 2.5  # by which trials that share ancestors spread more than independent ones
RERUNS = 3
MOST_PATH_STEPS = 4e8  # after which no longer run is begun


@dataclass(frozen=True, eq=False)
class SplitRate:
    """A rate of escape, measured.

    Attributes
    ----------
    rate, half_width : float
        Per step, and half of the interval at `confidence` (Student's t over groups).
    confidence : float
    levels : tuple of float
        Of the importance; empty where escapes were counted as they came.
    shares : tuple of float
        Of trials that got on from each level.
    inside : (n, d) array
        Paths that have not left for a long time.
    outside : (m, d) array
        Where paths were when they had left.
    groups : (G,) array
        Each group's own rate.
    path_steps : float
        Steps of all paths.
    """

    rate: float
    half_width: float
    confidence: float
    levels: tuple[float, ...]
    shares: tuple[float, ...]
    inside: np.ndarray
    outside: np.ndarray
    groups: np.ndarray
    path_steps: float


def splitting_rate(
    simulator: Simulator, start: np.ndarray, score: Scores, level: float, importance: Scores | None = None,
    tolerance: float = 0.1, seed: int = 0, confidence: float = 0.95, burn_in: int | None = None,
    threads: int | None = None, quality: str = "float32",
) -> SplitRate:  # fmt: skip
    """Rate at which paths leave {score < level}, per step, once those that stay have forgotten their start.

    Parameters
    ----------
    simulator : Simulator
        Of a process whose steps do not depend on their number.
    start : array (d,)
        Inside.
    score, importance : functions of positions (P, d) with values (P,)
        Levels are taken of the importance, by default the score: any function gives the right rate, one that grows
        towards the exit gives it soon.
    tolerance : float
        Half of the interval, over the rate, that is asked for.
    seed, threads, quality
        As in `run`; results do not depend on `threads`.
    burn_in : int, optional
        Steps before anything is counted; default: until the mean of the importance stays.

    Raises
    ------
    InvalidInput
        If the process cannot be copied from path to path.
    OutOfReach
        If the rate is below what can be seen, or trials neither come back nor get on.
    """
    importance = score if importance is None else importance
    blocks = [
        crowds_of(number, simulator, score, level, importance, start, seed, quality) for number in range(BLOCKS)
    ]
    with one_blas_thread(), thread_pool(min(threads_of(threads), BLOCKS)) as pool:
        burn_in = burn_in_of(blocks[0]) if burn_in is None else burn_in
        glance = list(pool.map(lambda one: counted(one, burn_in, 4 * SHORTEST_BURN_IN, "look"), blocks))
        often = float(np.mean([each.rates for each in glance]))
        pilot = None if often > OFTEN else pilot_of(blocks[0], burn_in)
        wanted = _first_size(tolerance, often, pilot)
        for run in range(RERUNS):
            for one in blocks:
                one.outside.clear()
            if pilot is None:
                size = max(wanted / (often * BLOCKS * GROUPS * LANES), 4.0 * SHORTEST_BURN_IN)
                found = list(pool.map(lambda one: counted(one, burn_in, math.ceil(size), f"count {run}"), blocks))
            else:
                size = max(wanted / (BLOCKS * GROUPS), PILOT)
                found = list(pool.map(lambda one: split(one, burn_in, pilot, math.ceil(size), f"split {run}"), blocks))
            rates = np.concatenate([each.rates for each in found])
            rate, half = _interval(rates, confidence)
            if half <= tolerance * rate:
                break
            spent = sum(one.spent for one in blocks)
            factor = min(max(1.3 * (half / (tolerance * rate)) ** 2, 1.3), 30.0) if rate else 4.0
            if spent * (1 + factor) > MOST_PATH_STEPS:
                break
            wanted *= factor
    if not rate > LEAST:
        raise OutOfReach(f"the rate is below {LEAST:g} a step, where it cannot be seen: raise the noise", about=rate)
    inside = np.concatenate([each.inside for each in found])[:KEPT]
    outside = np.concatenate([np.zeros((0, start.size)), *(x for one in blocks for x in one.outside)])
    outside = outside[np.isfinite(outside).all(axis=1)][:KEPT]
    shares = np.mean([each.shares for each in found], axis=0) if pilot else np.zeros(0)
    return SplitRate(
        rate, half, confidence, () if pilot is None else pilot.levels, tuple(map(float, shares)), inside, outside,
        rates,
        sum(one.spent for one in blocks),
    )  # fmt: skip


def escapes_often(
    simulator: Simulator, start: np.ndarray, score: Scores, level: float, burn_in: int, seed: int
) -> bool:
    """Whether escapes are so frequent that they can be counted as they come, by a look at some paths."""
    block = crowds_of(0, simulator, score, level, score, start, seed, "float32")
    with one_blas_thread():
        return float(counted(block, burn_in, 4 * SHORTEST_BURN_IN, "look").rates.mean()) > OFTEN


def _interval(rates: np.ndarray, confidence: float) -> tuple[float, float]:
    from scipy.special import stdtrit

    error = rates.std(ddof=1) / math.sqrt(rates.size)
    return float(rates.mean()), float(stdtrit(rates.size - 1, (1 + confidence) / 2) * error)


def _first_size(tolerance: float, often: float, pilot: Pilot | None) -> float:
    """Escapes, or trials a level, that the tolerance asks for."""
    once = (2.1 / tolerance) ** 2
    return 1.5 * once if pilot is None else SPREAD * once * sum((1 - p) / p for p in pilot.shares)

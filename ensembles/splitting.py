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
from .splitting_levels import LEAST, PILOT, burn_in_of, pilot_of, split
from .splitting_stages import KEPT, SHORTEST_BURN_IN, Crowds, GroupRates, Scores, counted, crowds_of

BLOCKS = 4  # crowds, each of eight groups
OFTEN = 1e-4  # rate from which escapes are counted as they come
RUNS = 5  # at most, each with more groups of paths than those before it ask for
SPARE = 1.15  # by which a run is longer than the spread of those before it asks for
LONGER, LONGEST = 0.3, 30.0  # times what has been run: the least and the most that a run adds
MOST_PATH_STEPS = 4e8  # after which no further run is begun


@dataclass(frozen=True, eq=False)
class SplitRate:
    """A rate of escape, measured.

    Attributes
    ----------
    rate, lower, upper : float
        Per step, and its interval at `confidence`: Student's t over groups, on the scale of logarithms.
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
    lower: float
    upper: float
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
    threads: int | None = None, quality: str = "float32", period: int = 1,
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
    period : int
        Steps after which paths that started together are alike again: all phases are seen equally often.
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
        crowds_of(number, simulator, score, level, importance, start, seed, quality, period)
        for number in range(BLOCKS + 1)
    ]
    first = blocks.pop()  # its paths place the levels, and are not used again
    with one_blas_thread(), thread_pool(min(threads_of(threads), BLOCKS)) as pool:
        burn_in = burn_in_of(first) if burn_in is None else burn_in
        glance = list(pool.map(lambda one: counted(one, burn_in, 4 * SHORTEST_BURN_IN), blocks))
        often = float(np.mean([each.rates for each in glance]))
        pilot = None if often > OFTEN else pilot_of(first, burn_in)

        def run(one: Crowds, size: int, number: int) -> GroupRates:
            if pilot is None:
                return counted(one, burn_in, size)
            return split(one, burn_in, pilot, size, f"split {number}")

        found: list[list[GroupRates]] = []
        sizes = [4 * SHORTEST_BURN_IN if pilot is None else PILOT]
        while True:
            for one in blocks:
                one.outside.clear()
            spent = first.spent + sum(one.spent for one in blocks)
            found.append(list(pool.map(lambda one: run(one, sizes[-1], len(found)), blocks)))
            # No run is thrown away: one kept for its small spread would have a rate that is too low.
            of_runs = np.array([np.concatenate([each.rates for each in one]) for one in found])
            rates = np.average(of_runs, axis=0, weights=sizes)
            rate, wide = _interval(rates, confidence)
            more = min(max(SPARE * (wide / tolerance) ** 2 - 1, LONGER), LONGEST) if rate else LONGEST
            size = math.ceil(more * sum(sizes))
            total = first.spent + sum(one.spent for one in blocks)
            ahead = (total - spent) * size / sizes[-1]
            if rate and math.sinh(wide) <= tolerance or len(found) == RUNS or total + ahead > MOST_PATH_STEPS:
                break
            sizes.append(size)
    if not rate > LEAST:
        raise OutOfReach(f"the rate is below {LEAST:g} a step, where it cannot be seen: raise the noise", about=rate)
    inside = np.concatenate([each.inside for each in found[-1]])[:KEPT]
    outside = np.concatenate([np.zeros((0, start.size)), *(x for one in blocks for x in one.outside)])
    outside = outside[np.isfinite(outside).all(axis=1)][:KEPT]
    shares = np.mean([each.shares for each in found[-1]], axis=0) if pilot else np.zeros(0)
    return SplitRate(
        rate, rate * math.exp(-wide), rate * math.exp(wide), confidence, () if pilot is None else pilot.levels,
        tuple(map(float, shares)), inside, outside, rates, total,
    )  # fmt: skip


def escapes_often(
    simulator: Simulator, start: np.ndarray, score: Scores, level: float, burn_in: int, seed: int
) -> bool:
    """Whether escapes are so frequent that they can be counted as they come, by a look at some paths."""
    block = crowds_of(0, simulator, score, level, score, start, seed, "float32")
    with one_blas_thread():
        return float(counted(block, burn_in, 4 * SHORTEST_BURN_IN).rates.mean()) > OFTEN


def _interval(rates: np.ndarray, confidence: float) -> tuple[float, float]:
    """Mean, and half the width of the interval of its logarithm: a product of shares is skewed to the right."""
    from scipy.special import stdtrit

    mean, error = float(rates.mean()), rates.std(ddof=1) / math.sqrt(rates.size)
    return mean, float(stdtrit(rates.size - 1, (1 + confidence) / 2) * error) / mean if mean else math.inf

"""Expectations at the end of a run, to a stated accuracy: plain Monte Carlo."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from sgdlimits.ensembles import PACK, Noise, draw_initial, initial_state
from sgdlimits.ensembles.engine import Simulator, default_chunk
from sgdlimits.exact.errors import (
    InvalidInput,
    calling,
    function,
    positive,
    real_array,
    real_number,
    whole_number,
)

from .integration import grid_steps, simulator_of
from .solvers import Scheme, find_scheme

Observable = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class MonteCarloEstimate:
    """An expectation under one scheme and one dt, with its sampling error.

    Attributes
    ----------
    value, standard_error : float
    interval : (float, float)
        Confidence interval for the scheme's own expectation: what dt does to it is not in it.
    confidence : float
    paths : int
    cost : int
        Steps of the scheme, over all paths.
    solver : str
    dt : float
    """

    value: float
    standard_error: float
    interval: tuple[float, float]
    confidence: float
    paths: int
    cost: int
    solver: str
    dt: float

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.value:.6g} with standard error {self.standard_error:.2g}, {self.confidence:.0%} interval "
            f"[{low:.6g}, {high:.6g}] for {self.solver} with dt = {self.dt:g} ({self.paths} paths, {self.cost} steps)"
        )


def monte_carlo(
    diffusion: Any,
    observable: Observable,
    tolerance: float,
    *,
    x0: Any,
    t1: float,
    dt: float,
    t0: float = 0.0,
    solver: str | Scheme = "euler",
    seed: int = 0,
    confidence: float = 0.95,
    first_paths: int = 1024,
    most_paths: int = 10**8,
    quality: str = "float32",
    threads: int | None = None,
) -> MonteCarloEstimate:
    """Estimate E observable(X at t1), adding paths until the standard error is at most `tolerance`.

    The number of paths is set by the spread seen so far, at most ten times as many at once. That rule depends on the
    sample, but with a thousand paths and more its bias is far below the tolerance.

    Parameters
    ----------
    observable : function of a (P, d) array with values (P,)
    tolerance : float
        Standard error to reach.
    x0, t1, dt, t0, solver, seed, quality, threads
        As in `integrate`; x0 is an array (d,) or a Gaussian.
    confidence : float
    first_paths, most_paths : int

    Raises
    ------
    InvalidInput
        As `integrate`; if more than `most_paths` paths would be needed (it says how many), or the observable's
        values are of the wrong shape or not finite.
    """
    tolerance, confidence = positive("tolerance", tolerance), _confidence(confidence)
    function("observable", observable, "of a (P, d) array")
    most_paths = whole_number("most_paths", most_paths, 2)
    steps, chosen = grid_steps(real_number("t0", t0), real_number("t1", t1), dt), find_scheme(solver)
    simulator = simulator_of(diffusion, x0, chosen, t0, t1, steps, seed, quality, None, None)
    initial = initial_state(x0, simulator.dimension, 1)

    def sample(paths: np.ndarray) -> np.ndarray:
        noise = Noise(seed, paths, quality)
        state = simulator.start(draw_initial(initial, noise), noise)
        simulator.advance(state, 0, steps, noise)
        return observed(observable, simulator.positions(state))

    values = np.empty(0)
    wanted = whole_number("first_paths", first_paths, 2)
    while values.size < wanted:
        if wanted > most_paths:
            raise InvalidInput(
                f"a standard error of {tolerance:g} needs about {wanted} paths, more than most_paths = {most_paths}: "
                "raise tolerance or most_paths"
            )
        fresh = sample_paths(sample, values.size, wanted, simulator, threads)
        values = np.concatenate([values, fresh])
        error = float(values.std(ddof=1)) / math.sqrt(values.size)
        needed = math.ceil(1.02 * values.size * (error / tolerance) ** 2)
        if error > tolerance:
            wanted = min(max(needed, wanted + PACK), 10 * wanted)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    value = float(values.mean())
    return MonteCarloEstimate(
        value, error, (value - reach, value + reach), confidence, values.size, values.size * steps, chosen.name,
        (t1 - t0) / steps,
    )  # fmt: skip


def sample_paths(
    sample: Callable[[np.ndarray], np.ndarray],
    first: int,
    last: int,
    simulator: Simulator,
    threads: int | None,
) -> np.ndarray:
    """Values of paths first..last-1, sampled chunk by chunk on several threads; each chunk is whole packs."""
    threads = (os.cpu_count() or 1) if threads is None else whole_number("threads", threads, 1)
    size = default_chunk(simulator.dimension, last - first, threads, not simulator.compiled)
    low = first // PACK * PACK
    starts = range(low, last, size)

    def chunk(start: int) -> np.ndarray:
        stop = min(start + size, -(-last // PACK) * PACK)
        values = sample(np.arange(start, stop, dtype=np.int64))
        return values[max(first - start, 0) : last - start]

    if threads == 1 or len(starts) == 1:
        return np.concatenate([chunk(start) for start in starts])
    with ThreadPoolExecutor(min(threads, len(starts)), thread_name_prefix="sgdlimits") as pool:
        return np.concatenate(list(pool.map(chunk, starts)))


def observed(observable: Observable, positions: np.ndarray) -> np.ndarray:
    """Values (P,) of an observable at the end, checked."""
    with calling("the observable"):
        result = observable(positions)
    values = real_array("what the observable returns", result)
    if values.shape != (len(positions),):
        raise InvalidInput(
            f"the observable returned shape {values.shape} for x of shape {positions.shape}: it must return "
            f"({len(positions)},)"
        )
    if not np.isfinite(values).all():
        raise InvalidInput(
            f"the observable is not finite on {int((~np.isfinite(values)).sum())} of {values.size} paths, which have "
            "overflowed or left its domain: lower dt, or take 'tamed_euler' or 'drift_implicit_euler'"
        )
    return values


def _confidence(value: float) -> float:
    number = real_number("confidence", value)
    if not 0 < number < 1:
        raise InvalidInput(f"confidence must lie between 0 and 1, got {value!r}")
    return number

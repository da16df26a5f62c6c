"""Populations: paths that are cloned in proportion to a weight and grow without running away; rates of rare growth.

The mean of a product of weights along a path, E w_1 ... w_K, is dominated by paths that no plain ensemble meets. A
population meets them: after each generation paths are drawn anew in proportion to their weights, and the product of
the generations' mean weights is an unbiased estimate (Del Moral 2004, Feynman-Kac formulae).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from sgdlimits.exact.errors import (
    InvalidInput,
    axes,
    calling,
    finite_array,
    flag,
    function,
    one_of,
    positive,
    real_array,
    real_number,
    seed_number,
    shown,
    whole_number,
)

from .crowd import Crowd
from .blas_threads import one_blas_thread
from .engine import Simulator
from .initial import draw_initial, initial_state, stated_dimension
from .random import PACK, QUALITIES, Noise, Purpose
from .recurrences import RecurrenceSimulator
from sgdlimits.exact.threads import thread_pool, threads_of

LogWeight = Callable[[np.ndarray, np.ndarray], np.ndarray]
Projection = Callable[[np.ndarray], np.ndarray]
Population = Callable[[int, int, int], tuple[float, float]]


@runtime_checkable
class Process(Protocol):
    """A built-in process: it makes its own simulator."""

    def simulator(self) -> Simulator:
        """What the engine advances."""


@dataclass(frozen=True)
class Growth:
    """Growth rate of E w_1 ... w_K, per step of the process.

    Attributes
    ----------
    rate : float
        (1 / K) log E of the product of weights, per step, bias taken off.
    lower, upper : float
        Interval of `confidence`, from independent populations by Student's t.
    bias, bias_error : float
        What finite populations add, with its standard error: by populations of half the size, or from a variance.
    fewest_effective : float
        Least effective number of parents in any generation, (sum w)^2 / sum w^2: small numbers mean that few paths
        carry all, and that neither rate nor bias can be trusted.
    paths, generations, groups : int
    """

    rate: float
    lower: float
    upper: float
    confidence: float
    bias: float
    bias_error: float
    fewest_effective: float
    paths: int
    generations: int
    groups: int

    def __str__(self) -> str:
        level = f"{100 * self.confidence:g} %"
        return (
            f"growth rate {self.rate:.6g} a step, {level} interval [{self.lower:.6g}, {self.upper:.6g}] "
            f"({self.groups} populations of {self.paths} paths, {self.generations} generations; bias "
            f"{self.bias:.2g} +- {self.bias_error:.2g} taken off; "
            f"at least {self.fewest_effective:.0f} effective parents)"
        )


def resample(log_weights: np.ndarray, uniform: float) -> np.ndarray:
    """Parents (P,) of the next generation, drawn in proportion to exp(log_weights) by systematic sampling.

    One uniform number places P equally spaced marks on the cumulated weights: a path of weight w has within one of
    P w / sum w children.
    """
    log_weights = real_array("log_weights", log_weights)
    if log_weights.ndim != 1 or not log_weights.size or not -np.inf < log_weights.max() < np.inf:
        raise InvalidInput(
            f"log_weights must be one row of numbers below infinity, not all -inf, got {shown(log_weights)}"
        )
    if not 0 <= real_number("uniform", uniform) < 1:
        raise InvalidInput(f"uniform must be at least 0 and below 1, got {uniform!r}")
    with np.errstate(over="ignore"):
        weights = np.exp(log_weights - log_weights.max())
    ends = np.cumsum(weights)
    marks = (np.arange(ends.size) + uniform) * (ends[-1] / ends.size)
    return np.minimum(np.searchsorted(ends, marks, side="right"), np.flatnonzero(weights)[-1])


def grow(
    process: Process | Any,
    x0: Any,
    *,
    generations: int,
    paths: int = 1024,
    log_weight: LogWeight,
    every: int = 1,
    project: Projection | None = None,
    groups: int = 8,
    burn_in: int | None = None,
    seed: int = 0,
    quality: str = "float32",
    confidence: float = 0.95,
    threads: int | None = None,
    halves: bool = True,
) -> Growth:
    """Growth rate of the mean of a product of weights along the paths of a process, by cloning.

    Parameters
    ----------
    process : process of this package, or a recurrence with `initial_state`, `step` and `position`
    x0 : array (d,) or (paths, d), Gaussian, or tuple (mean, covariance)
    generations : int
        K, each of `every` steps.
    paths : int
        Size of a population, rounded up to a multiple of PACK; at least two packs.
    log_weight : function of positions before and after a generation, both (P, d), with values (P,)
        log w; -inf kills a path.
    every : int
        Steps a generation.
    project : function of positions (P, d) with values (P, d), optional
        Applied after each generation, for a process that commutes with it: a linear recurrence scaled back to norm 1
        does not leave the range of numbers. The process must hold nothing but its position.
    groups : int
        Independent populations, at least 2, which the interval comes from.
    burn_in : int, optional
        Generations that are left out of the rate; default: a tenth.
    seed, quality, threads
        As in `run`; results do not depend on `threads`.
    confidence : float
    halves : bool
        Whether populations of half the size measure the bias. Otherwise it is half the variance of the product's
        logarithm: a shorter interval in less time, which holds where most paths carry a population.

    Returns
    -------
    Growth

    Raises
    ------
    InvalidInput
        If an argument cannot be used, a weight is nan, or a population dies out.
    """
    generations, every = whole_number("generations", generations, 2), whole_number("every", every, 1)
    quality = one_of("quality", quality, QUALITIES)
    paths = _whole_packs(paths)
    seed, log_weight = seed_number(seed), function("log_weight", log_weight, "of positions before and after")
    project = project if project is None else function("project", project, "of positions, or None")
    simulator = _simulator(process, x0)
    initial = initial_state(x0, simulator.dimension, paths if axes(x0) == 2 else None)

    def population(size: int, first: int, burn_in: int) -> tuple[float, float]:
        noise = Noise(seed, np.arange(first, first + size, dtype=np.int64), quality)
        crowd = Crowd(simulator, draw_initial(initial, noise, first), noise)
        return _run(crowd, generations, every, log_weight, project, burn_in)

    return grow_groups(
        population, generations=generations, paths=paths, every=every, groups=groups, burn_in=burn_in,
        confidence=confidence, threads=threads, halves=halves,
    )  # fmt: skip


def grow_groups(
    population: Population,
    *,
    generations: int,
    paths: int,
    every: int = 1,
    groups: int = 8,
    burn_in: int | None = None,
    confidence: float = 0.95,
    threads: int | None = None,
    halves: bool = True,
) -> Growth:
    """The rate of independent populations with its interval; arguments and errors as in `grow`.

    Parameters
    ----------
    population : function of a size, its first path number and the generations of its burn-in
        The mean log weight of a generation after the burn-in, and the least effective number of parents.
    """
    generations, groups = whole_number("generations", generations, 2), whole_number("groups", groups, 2)
    paths, halves, threads = _whole_packs(paths), flag("halves", halves), threads_of(threads)
    settling = whole_number("burn_in", generations // 10 if burn_in is None else burn_in, 0, generations - 1)
    if not positive("confidence", confidence) < 1:
        raise InvalidInput(f"confidence must be below 1, got {confidence!r}")

    def one(place: int) -> tuple[float, float]:
        # Whole populations first, then those of half the size; each has path numbers of its own.
        size, first = (paths, place * paths) if place < groups else (paths // 2, groups * paths + place * paths)
        return population(size, first, settling)

    with one_blas_thread(), thread_pool(threads) as pool:
        found = np.array(list(pool.map(one, range(2 * groups if halves else groups))))
    rates = found[:, 0] / every
    if halves:
        measured = _by_halves(rates[:groups], rates[groups:])
    else:
        measured = _by_variance(rates, (generations - settling) * every)
    return _growth(measured, float(found[:groups, 1].min()), confidence, paths, generations, groups)


def _whole_packs(paths: int) -> int:
    return -(-whole_number("paths", paths, 2 * PACK) // (2 * PACK)) * 2 * PACK


def grow_norm(process: Process | Any, x0: np.ndarray, order: float, **options: Any) -> Growth:
    """Growth rate of E |x|^order under a linear process, by cloning on the unit sphere; options and errors as `grow`.

    Parameters
    ----------
    x0 : array (d,)
        Any direction.
    """

    def log_weight(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        return order / 2 * np.log(np.square(after).sum(axis=1) / np.square(before).sum(axis=1))

    return grow(process, x0 / np.linalg.norm(x0), log_weight=log_weight, project=_to_the_sphere, **options)


def root_by_halving(function: Callable[[float], float], low: float, high: float, within: float) -> float:
    """A root above zero of a noisy increasing function, to a relative width: by halving in the logarithm."""
    while high > (1 + within) * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return math.sqrt(low * high)


def _to_the_sphere(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _simulator(process: Any, x0: Any) -> Simulator:
    if isinstance(process, Process):
        return process.simulator()
    return RecurrenceSimulator(process, stated_dimension(x0))


def _run(
    crowd: Crowd, generations: int, every: int, log_weight: LogWeight, project: Projection | None, burn_in: int
) -> tuple[float, float]:
    """Mean log weight a generation after the burn-in, and the least effective number of parents."""
    if project is not None and len(crowd.dump()) > 2:  # more than positions and marks of overflow
        raise InvalidInput(f"project moves positions, but the process also holds {', '.join(crowd.dump())}")
    total, fewest = 0.0, float(len(crowd.noise.paths))
    uniforms = Noise(crowd.noise.seed, crowd.noise.paths[:1])
    before = crowd.positions()
    for generation in range(generations):
        crowd.advance_to(crowd.step + every)
        with calling("log_weight"):
            given = log_weight(before, crowd.positions())
        weights = real_array("what log_weight returns", given)
        if weights.shape != (len(before),) or np.isnan(weights).any() or (weights == np.inf).any():
            raise InvalidInput(
                f"log_weight must give one number below infinity for each of {len(before)} paths, got shape "
                f"{weights.shape} with {int(np.isnan(weights).sum())} nan in generation {generation}"
            )
        top = weights.max()
        if top == -np.inf:
            raise InvalidInput(f"the population died out in generation {generation}: raise paths, or lower `every`")
        shares = np.exp(weights - top)
        fewest = min(fewest, float(shares.sum() ** 2 / np.square(shares).sum()))
        if generation >= burn_in:
            total += top + math.log(shares.mean())
        crowd.take(resample(weights, float(uniforms.uniforms(Purpose.RESAMPLING, generation, 1)[0, 0])))
        before = crowd.positions()
        if project is not None:
            with calling("project"):
                moved = project(before)
            before = finite_array("what project returns", moved, shape=before.shape)
            crowd.restart(before)
    return total / (generations - burn_in), fewest


@dataclass(frozen=True)
class _Measured:
    """Rate, bias taken off, and bias, each with its standard error."""

    rate: float
    error: float
    bias: float
    bias_error: float


def _by_halves(rates: np.ndarray, halves: np.ndarray) -> _Measured:
    """The bias is c / paths: halves have twice as much of it, so that the difference is the bias itself."""
    bias = float(halves.mean() - rates.mean())
    errors = rates.std(ddof=1) / math.sqrt(rates.size), halves.std(ddof=1) / math.sqrt(rates.size)
    rate, error = float(2 * rates.mean() - halves.mean()), math.hypot(2 * errors[0], errors[1])
    return _Measured(rate, error, bias, math.hypot(*errors))


def _by_variance(rates: np.ndarray, steps: int) -> _Measured:
    """The product is unbiased and lognormal: the mean of its logarithm is too low by half its variance."""
    variance = float(rates.var(ddof=1))
    bias = -0.5 * steps * variance
    bias_error = abs(bias) * math.sqrt(2 / (rates.size - 1))
    return _Measured(float(rates.mean()) - bias, math.hypot(math.sqrt(variance / rates.size), bias_error), bias,
                     bias_error)  # fmt: skip


def _growth(
    measured: _Measured, fewest: float, confidence: float, paths: int, generations: int, groups: int
) -> Growth:
    from scipy.stats import t

    half = float(t.ppf((1 + confidence) / 2, groups - 1)) * measured.error
    return Growth(
        measured.rate, measured.rate - half, measured.rate + half, confidence, measured.bias, measured.bias_error,
        fewest, paths, generations, groups,
    )  # fmt: skip

"""Tail index by population dynamics, for spectra that no space of polynomials resolves: many modes with large noise.

The linear part runs with |z| scaled back to one, and paths are cloned in proportion to |z|^p; the growth of their
number is the moment exponent Lambda(p), whose root is the index. Splitting into exact flows keeps its bias small: in
one dimension there is none at any length of the increments.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.populations import Growth, grow_norm, root_by_halving
from sgdlimits.exact.cost import check_time
from sgdlimits.exact.errors import OutOfReach, PositiveLyapunovExponent
from sgdlimits.exact.moment_exponents import LinearNoise
from sgdlimits.exact.quadratic_noise import QuadraticNoise
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .integration import simulator_of
from .solvers import find_scheme

INCREMENT = 0.2  # of the fastest decay or growth in one increment of the scheme
RUN, LONGEST = 15.0, 400.0  # e-folds that a population lives: of the slowest mode, of the fastest at most
COARSE, FINE = (256, 4), (1024, 8)  # paths and populations
NORMAL = 12.0  # multiplications that one random number costs, with its part of the step
FEWER = 4  # times, where each path takes the noise of all samples
CONFIDENCE = 0.99  # of eight populations, whose spread tells little of rare large weights
APART = 0.1  # relative, on either side of a guess, of the orders through which a parabola is laid
SEARCHES, AGAIN = 5, 3  # of Newton's steps on the parabola, and of parabolas
CLOSE = 0.05  # relative, how far a search with coarse populations goes
LOWEST, BEYOND = 0.02, 64.0  # indices between which it looks


@dataclass(frozen=True, eq=False)
class LinearPart:
    """The linear part about its fixed point, as a process for `populations.grow`.

    Attributes
    ----------
    modes : Any
        The diffusion, whose noise vanishes at the origin.
    scheme : str
    increment : float
        In its time.
    generations, seed : int
    """

    modes: Any
    scheme: str
    increment: float
    generations: int
    seed: int

    @classmethod
    def of(cls, process: Any, noise: LinearNoise | QuadraticNoise, share: float, seed: int) -> LinearPart:
        """Of a diffusion on the range of its data; `share` shortens the increments."""
        problem = process.quadratic
        still = _without_noise_at_the_minimiser(problem, noise)
        speed = max(float(np.abs(noise.rates).max()), float(noise.squares.sum()) / 2)
        increment = share * INCREMENT / speed  # in SGD steps
        life = min(RUN / float(np.abs(noise.rates).min()), LONGEST / speed)
        generations = int(life / increment)
        linear = replace(process, problem=still, label_noise=0.0)
        if isinstance(noise, QuadraticNoise):
            return cls(linear, "euler", float(process.clock.time(increment)), generations, seed)
        return cls(linear.in_modes(), "ninomiya_victoir", float(process.clock.time(increment)), generations, seed)

    def simulator(self) -> Simulator:
        """What a population advances."""
        scheme, start = find_scheme(self.scheme), np.ones(self.modes.dimension)
        end = self.generations * self.increment
        return simulator_of(self.modes, start, scheme, 0.0, end, self.generations, self.seed, "float32", None, None)


def _without_noise_at_the_minimiser(problem: Any, noise: LinearNoise | QuadraticNoise) -> QuadraticProblem:
    """The problem in its modes with labels that the origin fits."""
    if isinstance(noise, QuadraticNoise):
        rows = problem.range_modes
        return LeastSquares.from_arrays(rows, np.zeros(len(rows)), problem.ridge)
    eigenvalues = problem.eigenvalues[problem.eigenvalues > 0]
    return StreamingLeastSquares(eigenvalues, 0.0, np.zeros(eigenvalues.size), problem.ridge)


def population_index(
    process: Any, noise: LinearNoise | QuadraticNoise, start: float, seed: int, threads: int | None
) -> TailIndex:
    """The index with its error: half a 99 % interval, and what halving the scheme's increments changes.

    Parameters
    ----------
    start : float
        A guess.

    Raises
    ------
    PositiveLyapunovExponent
        If moments of every order grow.
    OutOfReach
        If the index is larger than populations see, or they cannot tell it from zero.
    """

    part = LinearPart.of(process, noise, 1.0, seed)
    share = FEWER if isinstance(noise, QuadraticNoise) else 1
    coarse_size, fine_size = ((paths // share, groups) for paths, groups in (COARSE, FINE))
    drawn = process.problem.samples if share > 1 else noise.dimension
    runs = (10 * math.prod(coarse_size) + 9 * math.prod(fine_size)) * part.generations
    check_time(
        f"the tail index of {process.label} in {noise.dimension} modes, by populations that live "
        f"{part.generations:.3g} generations,", NORMAL * runs * drawn, "take even_moments, or tail_index_bounds",
        warn=True,
    )  # fmt: skip

    def growth(part: LinearPart, p: float, size: tuple[int, int]) -> Growth:
        return grow_norm(
            part, np.ones(noise.dimension), p, generations=part.generations, paths=size[0], groups=size[1],
            burn_in=part.generations // 3, seed=seed, threads=threads, confidence=CONFIDENCE, halves=False,
        )  # fmt: skip

    def refined(part: LinearPart, p: float) -> tuple[float, float]:
        """The root of a parabola through Lambda(p) / p at three orders about a guess, and half of its interval."""
        orders = p * np.array([1 - APART, 1.0, 1 + APART])
        found = [growth(part, order, fine_size) for order in orders]
        values = np.array([each.rate for each in found]) / orders
        if values[2] <= values[0]:
            raise OutOfReach(
                f"the growth of moments of {process.label} does not rise about the order {p:.3g}, as populations see "
                "it, so that they find no tail index: take another seed",
                about=p,
            )
        root = p - values[1] * 2 * APART * p / (values[2] - values[0])
        for _ in range(SEARCHES):
            weights, slopes = _lagrange(orders, root)
            root -= float(weights @ values) / float(slopes @ values)
        weights, slopes = _lagrange(orders, root)
        halves = np.array([(each.upper - each.lower) / 2 for each in found]) / orders
        # One seed for all three: errors go the same way, and add up.
        return root, float(np.abs(weights) @ halves / abs(slopes @ values))

    p = _search(process.label, lambda order: growth(part, order, coarse_size), start)
    coarse, _ = refined(part, p)
    for _ in range(AGAIN):
        if abs(coarse - p) <= APART * p:  # else the root lies outside of the parabola's orders
            break
        p = float(np.clip(coarse, 0.5 * p, 2 * p))
        coarse, _ = refined(part, p)
    index, half = refined(LinearPart.of(process, noise, 0.5, seed), p)
    error = half + abs(index - coarse)
    if not index > error:
        raise OutOfReach(
            f"populations find the tail index {index:.3g} +- {error:.2g} of {process.label}, which they cannot tell "
            "from zero, so that there may be no stationary law: lower the step size or raise the batch size"
        )
    by = "Euler's scheme" if part.scheme == "euler" else "Ninomiya and Victoir's scheme"
    paths, groups = fine_size
    method = f"population dynamics: {groups} populations of {paths} directions in {noise.dimension} coordinates, {by}"
    note = "the error is half a 99 % interval, and what halving the scheme's increments changed"
    return TailIndex(index, error, method, note=note)


def moment_exponent(
    process: Any, noise: LinearNoise | QuadraticNoise, order: float, seed: int, threads: int | None
) -> tuple[float, float]:
    """Lambda(order) per SGD step with half its 99 % interval, by the populations of a search."""
    part = LinearPart.of(process, noise, 1.0, seed)
    share = FEWER if isinstance(noise, QuadraticNoise) else 1
    found = grow_norm(
        part, np.ones(noise.dimension), order, generations=part.generations, paths=COARSE[0] // share, groups=COARSE[1],
        burn_in=part.generations // 3, seed=seed, threads=threads, confidence=CONFIDENCE, halves=False,
    )  # fmt: skip
    return found.rate / part.increment, (found.upper - found.lower) / 2 / part.increment


def _search(label: str, growth: Callable[[float], Growth], start: float) -> float:
    """About where Lambda, convex and 0 at 0, rises through 0: by halving, which noise does not lead astray."""
    low = high = min(start, BEYOND)
    while growth(high).rate <= 0:
        if high >= BEYOND:
            raise OutOfReach(
                f"the tail index of {label} is over {BEYOND:g}: beyond what populations see, and no power that a "
                "sample could show",
                above=BEYOND,
            )
        low, high = high, min(2 * high, BEYOND)
    while low == high or growth(low).rate > 0:
        low, high = low / 2, low
        if low < LOWEST:
            exponent = growth(low).rate / low
            raise PositiveLyapunovExponent(
                f"populations find no tail index of {label} above {high:.2g}: moments of that order grow, so that "
                "there is no stationary law, or nearly none; lower the step size or raise the batch size",
                lyapunov_exponent=exponent,
            )
    return root_by_halving(lambda order: growth(order).rate, low, high, CLOSE)


def _lagrange(at: np.ndarray, x: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (3,) of the values at three places in their parabola at x, and in its slope there."""
    weights, slopes = np.empty(3), np.empty(3)
    for i in range(3):
        a, b = np.delete(at, i)
        below = (at[i] - a) * (at[i] - b)
        weights[i], slopes[i] = (x - a) * (x - b) / below, (2 * x - a - b) / below
    return weights, slopes

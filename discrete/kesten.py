"""Tail indices of random linear recurrences x' = A x + b that the user gives, and by populations those of SGD."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles import populations
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, OutOfReach, axes, finite_array, kind, one_of
from sgdlimits.exact.moment_growth import CONTINUOUS, FactorGrowth, continuous_growth
from sgdlimits.exact.tail_index import LARGEST, TailIndex, positive_root, refuse_growth
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

if TYPE_CHECKING:
    from .sgd import SGD

DRAWS = 96  # purpose of the random numbers of a law of matrices
BEYOND = 64.0  # index that populations do not look for
LOWEST = 0.02  # order of moments whose growth stands for the Lyapunov exponent's sign
LATTICE = 1e-9  # of the step, how well logarithms must fit a lattice


@dataclass(frozen=True)
class Populations:
    """How many paths look for a root: sizes of the search and of the final estimate."""

    paths: int = 2048
    generations: int = 400
    groups: int = 8
    seed: int = 0
    threads: int | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Populations:
        """From keyword arguments."""
        for name in options:
            one_of("option", name, [field.name for field in fields(cls)])
        return cls(**options)


def kesten_index(law: Any, x0: Any = None, **options: Any) -> TailIndex:
    """Tail index of the stationary law of x' = A x + b, from the law of A; b must have lighter tails. Kesten's theorem.

    Parameters
    ----------
    law : the law of A
        On a line: factors (n,), all equally likely; a pair (factors, probabilities); or a continuous distribution of
        scipy. Matrices (n, d, d), equally likely, or a pair (matrices, probabilities). Or a linear recurrence with
        `initial_state`, `step` and `position`, without its b.
    x0 : array (d,), optional
        Any direction, for a recurrence.
    **options
        paths, generations, groups, seed, threads of the populations, where the law is not on a line.

    Returns
    -------
    TailIndex

    Raises
    ------
    NoStationaryLaw
        If the Lyapunov exponent is not below 0.
    OutOfReach
        If the index is larger than the method can see.
    InvalidInput
        If the law cannot be used.
    """
    sizes = Populations.of(options)
    if callable(getattr(law, "pdf", None)) and callable(getattr(law, "ppf", None)):
        fine, coarse = continuous_growth(law, 16), continuous_growth(law, 12, 15)
        return index_of_factors("the recurrence", fine, coarse, "quadrature of |A|", CONTINUOUS)
    if all(callable(getattr(law, name, None)) for name in ("initial_state", "step", "position")):
        if x0 is None:
            raise InvalidInput("x0 is missing: any direction (d,) from which the recurrence starts")
        start: Any = finite_array("x0", x0, ndim=1)
        return population_index("the recurrence", law, start, sizes)
    if isinstance(law, str) or axes(law) == 0 and not isinstance(law, tuple):
        raise InvalidInput(
            "law must be factors, matrices, a pair with probabilities, a distribution of scipy or a linear recurrence, "
            f"got {kind(law)}"
        )
    values, weights = weighted_values("law", law)
    if values.ndim == 1 or values.shape[1:] == (1, 1):
        with np.errstate(divide="ignore"):
            growth = FactorGrowth(np.log(np.abs(values.ravel())), np.log(weights))
        return index_of_factors("the recurrence", growth, growth, "sum over the factors")
    if values.shape[1] != values.shape[2]:
        raise InvalidInput(f"matrices must be square, got shape {values.shape}")
    start = np.random.Generator(np.random.Philox(0)).standard_normal(values.shape[1])
    return population_index("the recurrence", _Matrices(values, weights.cumsum()), start, sizes)


def weighted_values(name: str, law: Any) -> tuple[np.ndarray, np.ndarray]:
    """Factors (n,) or matrices (n, d, d) and their probabilities (n,), from a pair or from equally likely values."""
    values, weights = law if isinstance(law, tuple) and len(law) == 2 else (law, None)
    values = finite_array(name, values)
    weights = np.full(len(values), 1.0) if weights is None else finite_array("probabilities", weights, ndim=1)
    if values.ndim not in (1, 3) or weights.shape != values.shape[:1] or (weights < 0).any() or not weights.sum() > 0:
        raise InvalidInput(
            f"{name} must be factors (n,) or matrices (n, d, d) with n probabilities, got shapes {values.shape} and "
            f"{weights.shape}"
        )
    return values, weights / weights.sum()


def index_of_factors(
    label: str, fine: FactorGrowth, coarse: FactorGrowth, method: str, largest: float = LARGEST
) -> TailIndex:
    """The index of a recurrence on a line, from two resolutions of the law of its factor, up to the largest they see.

    Raises
    ------
    NoStationaryLaw, OutOfReach
    """
    refuse_growth(label, fine.exponent)
    if fine.largest <= 0:
        return TailIndex(math.inf, 0.0, method, fine.exponent, note="no factor exceeds 1, so every moment is finite")
    index, step = positive_root(fine, largest), lattice_step(fine)
    if not math.isfinite(index):
        raise OutOfReach(
            f"the tail index of {label} is over {largest:g}: beyond what {method.split()[0]} sees, and no power that a "
            "sample could show"
        )
    note = "" if not step else (
        f"log |A| lies on a lattice of step {step:.4g}: t^index P(|x| > t) goes on oscillating in log t, and so does "
        "Hill's estimate"
    )  # fmt: skip
    error = abs(fine(index) - coarse(index)) / fine.slope(index) + 1e-13 * index
    return TailIndex(index, error, method, fine.exponent, note=note)


def lattice_step(growth: FactorGrowth) -> float:
    """Step of the lattice that all log sizes of a few factors lie on; 0 where they lie on none."""
    sizes = np.unique(np.round(growth.log_sizes[np.isfinite(growth.log_sizes) & (growth.log_sizes != 0)], 12))
    if not 0 < sizes.size <= 64:
        return 0.0
    step = abs(float(sizes[0]))
    for size in np.abs(sizes[1:]):
        a, b = max(step, size), min(step, size)
        while b > LATTICE * 1e3 * max(step, size):  # Euclid's algorithm, up to rounding
            a, b = b, a % b
            b = 0.0 if a - b < LATTICE * a else b
        step = a
        if step < 1e-3 * np.abs(sizes).max():
            return 0.0
    parts = sizes / step
    return step if (np.abs(parts - np.rint(parts)) < 1e-6).all() else 0.0


@dataclass(frozen=True, eq=False)
class _Matrices:
    """x <- A x with A from a list."""

    matrices: np.ndarray
    cumulated: np.ndarray

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        return x0.copy()

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        places = np.searchsorted(self.cumulated, noise.uniforms(DRAWS, k, 1)[:, 0] * self.cumulated[-1], side="right")
        return np.einsum("pij,pj->pi", self.matrices[np.minimum(places, len(self.matrices) - 1)], state)

    def position(self, state: np.ndarray) -> np.ndarray:
        return state


@dataclass(frozen=True, eq=False)
class JointMomentum:
    """The linear part of SGD with momentum as one position (w, w before): no slots beside it."""

    plain: Any  # SGD without momentum and noise, whose step gives the gradient
    momentum: float
    nesterov: bool

    def initial_state(self, x0: np.ndarray) -> np.ndarray:
        return x0.copy()

    def step(self, k: int, state: np.ndarray, noise: Noise) -> np.ndarray:
        now, before = np.split(state, 2, axis=1)
        ahead = now + self.momentum * (now - before)
        at = ahead if self.nesterov else now
        moved = self.plain.position(self.plain.step(k, self.plain.initial_state(at), noise))
        return np.concatenate([moved + ahead - at, now], axis=1)

    def position(self, state: np.ndarray) -> np.ndarray:
        return state


def sampled_index(sgd: SGD, problem: QuadraticProblem, eigenvalues: np.ndarray, sizes: Populations) -> TailIndex:
    """The index of SGD on least squares by populations, of its linear part on the range of the data."""
    r = eigenvalues.size
    part: QuadraticProblem
    if isinstance(problem, LeastSquares):
        part = LeastSquares.from_arrays(problem.range_modes, np.zeros(problem.samples), problem.ridge)
    else:
        part = StreamingLeastSquares(eigenvalues, 0.0, np.zeros(r), problem.ridge)
    process: Any = replace(sgd, problem=part, momentum=0.0, nesterov=False, rule=None, label_noise=0.0)
    start = np.random.Generator(np.random.Philox(0)).standard_normal(r)
    if sgd.momentum:
        process, start = JointMomentum(process, sgd.momentum, sgd.nesterov), np.concatenate([start, start])
    above = sgd.stability().mean_square_stable
    slowest = float(np.abs(problem.curvatures[: r]).min())
    settling = (1 - sgd.momentum) / (sgd.step_size * slowest) if slowest > 0 else math.inf
    return population_index(sgd.label, process, start, sizes, above, settling)


def population_index(
    label: str, process: Any, start: np.ndarray, sizes: Populations, above_two: bool | None = None,
    settling: float = 0.0,
) -> TailIndex:  # fmt: skip
    """The root of log k(s) by cloning: a search with a few generations, then an estimate with an interval.

    `settling`: steps in which directions forget where they began, about.

    Raises
    ------
    NoStationaryLaw, OutOfReach
    """

    def rate(order: float, generations: int = sizes.generations // 4, groups: int = 2) -> populations.Growth:
        return populations.grow_norm(
            process, start, order, generations=max(generations, 20), paths=sizes.paths, groups=groups,
            seed=sizes.seed, threads=sizes.threads, burn_in=max(generations, 20) // 4,
        )  # fmt: skip

    exponent = 2 * rate(LOWEST).rate / LOWEST - rate(2 * LOWEST).rate / (2 * LOWEST)
    if not above_two:
        refuse_growth(label, exponent)
    low = 2.0 if above_two else LOWEST
    high = 2.0 * low if above_two else 2.0
    while rate(high).rate < 0:
        low, high = high, 2 * high
        if high > BEYOND:
            raise OutOfReach(
                f"the tail index of {label} is over {BEYOND:g}: beyond what populations can see; such a tail is light "
                "in every sample"
            )
    order = _root_by_halving(lambda s: rate(s).rate, low, high)
    wide = 0.04 * order
    ends = [rate(s, sizes.generations, sizes.groups) for s in (order - wide, order + wide)]
    slope = (ends[1].rate - ends[0].rate) / (2 * wide)
    middle = rate(order, sizes.generations, sizes.groups)
    if not slope > 0:
        raise OutOfReach(f"the growth of moments of {label} does not rise about order {order:.3g}: raise paths")
    half = (middle.upper - middle.lower) / 2 / slope
    fewest = min(end.fewest_effective for end in (*ends, middle))
    note = f"95 % interval; the bias of finite populations, {middle.bias / slope:.1g}, is taken off"
    if fewest < sizes.paths / 100:
        note += f"; at times {fewest:.0f} paths carry a population: raise paths"
    if settling > sizes.generations:
        note += (
            f"; directions settle in about {settling:.0f} steps, more than the {sizes.generations} generations: raise "
            "generations"
        )
    return TailIndex(order - middle.rate / slope, half, "populations", exponent, note=note)


def _root_by_halving(function: Callable[[float], float], low: float, high: float) -> float:
    """A root of a noisy increasing function, to a hundredth: by halving in the logarithm."""
    while high > 1.02 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if function(middle) > 0 else (middle, high)
    return math.sqrt(low * high)

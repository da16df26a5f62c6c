"""Tail indices and Lyapunov exponents of SGD from transfer operators, refined until two resolutions agree.

Moments of even order grow at rates that are known exactly, by other means: they test every operator, and enclose the
index. What does not settle, or fails that test, is left to populations.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sgdlimits.exact.circle_growth import CircleGrowth, gaussian_circle, scalar_circle
from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.sphere_growth import DIFFERENCE, Resolution, SphereGrowth
from sgdlimits.exact.tail_index import TailIndex, positive_root, refuse_growth
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .even_moments import even_moments

if TYPE_CHECKING:
    from .sgd import SGD

PLANE = (14, 20, 28, 40, 56)  # cosines
LINE = (25, 49, 97, 193)  # waves
SPACE = tuple(Resolution(*sizes) for sizes in ((4, 5, 24, 16), (6, 6, 32, 20), (8, 8, 40, 28)))
ON_THE_CIRCLE, ON_THE_SPHERE = (12.0, 50.0), (20.0,)  # orders of moments that nodes reach, the fewest first
SETTLED, SEEN = 1e-9, 1e-7  # change of a root, relative to itself, between two resolutions: circle and sphere
GROSS = 1e-3  # the same that is no longer a number to six digits, but a guess
RATIOS = np.array([0.1, 3e-3, 1e-4])  # of eigenvalues below which the plane asks for one more resolution
SMALL = 0.1  # order of moments that a Lyapunov exponent needs, and the exponent from which its digits are its own
MOST_UNLIKE = 0.1  # ratio of eigenvalues below which polynomials do not resolve the functions of directions in space
ROUNDING = 2e-13  # of log k
HIGHEST = 8  # even order that is compared
NEAR = 1e-10  # relative, of a step towards a root after which no other is worth it
STEP = 1e-2  # relative, over which a slope is taken


class Growth(Protocol):
    """log k of an order, and the Lyapunov exponent."""

    @property
    def exponent(self) -> float: ...

    def __call__(self, order: float) -> float: ...


@dataclass(frozen=True)
class Operator:
    """How to make a growth at each of some resolutions, for moments up to some order.

    Attributes
    ----------
    make : function of a resolution, from 0, and of the orders that nodes reach
    resolutions, rough : int
        How many there are, and the one that is right to some digits.
    reaches : tuple of float
        Orders of moments that nodes reach, the fewest first.
    settled : float
        Change of a root, relative to itself, from which on two resolutions agree.
    """

    method: str
    make: Callable[[int, float], Growth]
    resolutions: int
    rough: int
    reaches: tuple[float, ...]
    settled: float


def operator_of(sgd: SGD, problem: QuadraticProblem, h: np.ndarray) -> Operator | None:
    """Of SGD on a stream: momentum on a line, two unlike features, or three not far from alike; else None.

    None of rows of data: the operators are those of Gaussian features.
    """
    if not isinstance(problem, StreamingLeastSquares):
        return None
    kept, scale = 1 - sgd.step_size * problem.ridge, sgd.step_size / sgd.batch_size
    circle = "the transfer operator on the circle, by collocation"
    if sgd.momentum and h.size == 1:
        return Operator(
            circle, lambda level, orders: momentum_circle(sgd, problem, float(h[0]), level, orders), len(LINE), 1,
            ON_THE_CIRCLE, SETTLED,
        )  # fmt: skip
    if not sgd.momentum and h.size == 2:
        return Operator(
            circle,
            lambda level, orders: gaussian_circle(
                h, kept, scale, sgd.batch_size, PLANE[level], min(10 + 2 * level, 16), orders
            ),
            len(PLANE), int(np.searchsorted(-RATIOS, -h[1] / h[0])), ON_THE_CIRCLE, SETTLED,
        )  # fmt: skip
    if not sgd.momentum and h.size == 3 and h.min() >= MOST_UNLIKE * h.max():
        return Operator(
            "the transfer operator on the sphere, by Galerkin's method",
            lambda level, orders: SphereGrowth(h, kept, scale, sgd.batch_size, SPACE[level]), len(SPACE), 0,
            ON_THE_SPHERE, SEEN,
        )  # fmt: skip
    return None


def momentum_circle(sgd: SGD, problem: QuadraticProblem, h: float, level: int, orders: float) -> CircleGrowth:
    """State (w, w before) of heavy ball, or of Nesterov's rule, with a scalar random curvature."""
    mu, size, ridge = sgd.momentum, sgd.step_size, problem.ridge
    if sgd.nesterov:  # w' = G (w + mu (w - w before)), G = 1 - size * curvature
        first, second = np.array([[1 + mu, -mu], [1.0, 0.0]]), np.array([[-size * (1 + mu), size * mu], [0.0, 0.0]])
    else:
        first, second = np.array([[1 + mu, -mu], [1.0, 0.0]]), np.array([[-size, 0.0], [0.0, 0.0]])
    # Axes in which means turn evenly, or settle without shear; next to no momentum the state before is a small part.
    turn = math.sqrt(abs(mu) / ((1 - mu) ** 2 + size * abs(h + ridge)))
    axes = np.array([[1.0, 0.0], [turn, -turn]])
    return scalar_circle(
        first + ridge * second, second * h / sgd.batch_size, sgd.batch_size, LINE[level], 10 + 2 * level, orders, axes
    )


def operator_index(sgd: SGD, operator: Operator) -> TailIndex | None:
    """The root of log k; None where resolutions do not agree, with each other or with even moments.

    Raises
    ------
    PositiveLyapunovExponent
    OutOfReach
        If the index is over what nodes reach, or the Lyapunov exponent is 0 up to its error.
    """
    found = TailIndex(math.inf, 0.0, operator.method)
    for orders in operator.reaches:
        found = _refined_index(sgd, operator, orders)
        if math.isfinite(found.index):
            break
    if math.isinf(found.index) and _encloses(sgd, found.index, found.index):
        if operator.settled > SETTLED:
            return None  # populations see further than space does
        raise OutOfReach(
            f"the tail index of {sgd.label} is over {operator.reaches[-1]:g}: no power that a sample could show",
            above=operator.reaches[-1],
        )
    if found.index == 0 and _encloses(sgd, 0.0, 0.0):
        if found.lyapunov_exponent <= found.lyapunov_error:
            raise OutOfReach(
                f"the Lyapunov exponent of {sgd.label} is {found.lyapunov_exponent:.3g} +- {found.lyapunov_error:.2g} "
                "a step: whether there is a stationary law is not known; move the step size"
            )
        refuse_growth(sgd.label, found.lyapunov_exponent)
    settled = found.error <= GROSS * found.index < math.inf
    return found if settled and _encloses(sgd, found.lower, found.upper) else None


def _encloses(sgd: SGD, lower: float, upper: float) -> bool:
    """Whether an index between the two goes with the moments of even order that grow, and those that do not."""
    rates = _even_rates(sgd, upper)
    below = max((order for order, rate in rates if rate < 0), default=0.0)
    above = min((order for order, rate in rates if rate > 0), default=math.inf)
    return below <= upper and lower <= above


def _refined_index(sgd: SGD, operator: Operator, orders: float) -> TailIndex:
    """From one resolution to the next, until the root stays and even moments grow as they do."""
    index, error, slope = math.nan, math.inf, math.nan
    exponents: list[float] = []
    for level in range(operator.resolutions):
        growth, before = operator.make(level, orders), index
        exponents.append(growth.exponent)
        if 0 < before < math.inf:
            index, slope = _secant(growth, index, slope)
            if math.isnan(index):
                index = positive_root(growth, orders, NEAR)
        else:
            index = positive_root(growth, orders, STEP**2)
            if before == index and _encloses(sgd, index, index):  # no root, twice
                return TailIndex(index, 0.0, operator.method, exponents[-1], _change(exponents))
        if not 0 < index < math.inf:
            continue
        if not slope > 0:
            slope = (growth(index * (1 + STEP)) - growth(index * (1 - STEP))) / (2 * STEP * index)
        if not slope > 0:
            index = math.nan
            continue
        apart = max((abs(growth(order) - rate) for order, rate in _even_rates(sgd, index)[-1:]), default=0.0)
        change = math.inf if math.isnan(before) else abs(index - before)
        error = change + (apart + ROUNDING) / slope
        if error <= max(operator.settled * index, 2 * ROUNDING / slope):
            break
    if 0 < index < math.inf and not growth(index + max(error, NEAR * index)) > 0:
        error = math.inf  # a curve that all but touches 0
    differences = DIFFERENCE**2 if operator.settled > SETTLED else 0.0  # by which space takes a slope
    return TailIndex(index, error, operator.method, exponents[-1], _change(exponents) + differences)


def _secant(growth: Growth, index: float, slope: float) -> tuple[float, float]:
    """Root and slope there, from near ones; nan where it is not found, as about a kink."""
    value = growth(index)
    for _ in range(5):
        step = min(value / slope, index / 2)
        index -= step
        if abs(step) <= NEAR * index:
            return index, slope
        before, value = value, growth(index)
        slope = (before - value) / step
        if not slope > 0:
            break
    return math.nan, math.nan


def _change(exponents: list[float]) -> float:
    """Error of the last: what two steps of refinement changed, the earlier less."""
    steps = np.abs(np.diff(exponents))
    if not steps.size:
        return math.inf
    return float(max(steps[-1], steps[-2] / 5 if steps.size > 1 else 0.0)) + ROUNDING


def _even_rates(sgd: SGD, index: float) -> list[tuple[float, float]]:
    """log k of even orders about an index, exactly."""
    highest = HIGHEST if index > HIGHEST else max(2 * math.ceil(index / 2), 2)
    rates = even_moments(replace(sgd, label_noise=0.0), highest).rates
    return [(2.0 * (i + 1), float(math.log(rate))) for i, rate in enumerate(rates)]


def operator_exponent(operator: Operator, finely: bool) -> tuple[float, float]:
    """Lyapunov exponent with its error; asked roughly, to some three digits, with 0."""
    if not finely:
        return operator.make(operator.rough, SMALL).exponent, 0.0
    exponents: list[float] = []
    for level in range(operator.resolutions):
        exponents.append(operator.make(level, SMALL).exponent)
        if level and abs(exponents[-1] - exponents[-2]) <= SETTLED * max(abs(exponents[-1]), SMALL):
            break
    return exponents[-1], _change(exponents)

"""Galerkin's method for a growth rate Lambda(p): spaces of functions of a direction, and their matrices."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .monomials import exponents

FEW = 3  # modes up to which all directions count alike
DEGREES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48)
MOST_FUNCTIONS = 1600  # matrices of 20 MB, seconds
SURE_DEGREE = 12  # beyond, the functions are dependent to rounding; the root is not moved by that
FINE, GROWTH = 0.25, 1.8  # of a budget; of the number of functions from one budget to the next that is used


@dataclass(frozen=True)
class Space:
    """Functions that Galerkin's method takes: a name, exponents (size, d), and whether they are surely independent."""

    name: str
    alpha: np.ndarray
    sure: bool


@dataclass(frozen=True, eq=False)
class Pencil:
    """A(p) - Lambda mass, A(p) = still + p first + p^2 second, on coefficients of some functions.

    Attributes
    ----------
    still, first, second, mass : (size, size) arrays
    constant : (size,) array
        The function 1.
    functions : callable
        Values (m, size) at unit directions (m, d).
    """

    still: np.ndarray
    first: np.ndarray
    second: np.ndarray
    mass: np.ndarray
    constant: np.ndarray
    functions: Callable[[np.ndarray], np.ndarray]

    def at(self, p: float) -> np.ndarray:
        """A(p)."""
        return self.still + p * self.first + p**2 * self.second

    def slope_at(self, p: float) -> np.ndarray:
        """Derivative of A(p)."""
        return self.first + 2 * p * self.second


def square_spaces(loudness: np.ndarray) -> Iterator[Space]:
    """Ever larger ones, of the squares of coordinates.

    Of many modes, those with little noise (d,) get low degrees: sum alpha_i weight_i <= budget.
    """
    d = loudness.size
    if d <= FEW:
        for degree in DEGREES:
            if math.comb(degree + d - 1, degree) <= MOST_FUNCTIONS:
                name = f"polynomials of degree {degree} in the squares of {d} coordinates"
                yield Space(name, exponents(degree, d), degree <= SURE_DEGREE)
        return
    weights = 1 + 0.5 * np.log(loudness.max() / loudness)
    order = np.argsort(weights)[:-1]  # the shares w sum to one: the quietest follows from the others
    budget, size = 1.0, 1
    while True:
        found = _within(weights[order], budget)
        if found is None:
            return
        if len(found) > GROWTH * size:
            size, alpha = len(found), np.zeros((len(found), d), dtype=np.int64)
            alpha[:, order] = found
            name = f"{size} polynomials of weighted degree {budget:g} in the squares of {d} coordinates"
            yield Space(name, alpha, bool(alpha.max() <= SURE_DEGREE))
        budget += FINE


def _within(weights: np.ndarray, budget: float) -> np.ndarray | None:
    """All alpha (size, m) with sum alpha_i weights_i <= budget, of increasing weights; None if they are too many."""
    found: list[tuple[int, ...]] = []
    stack: list[tuple[tuple[int, ...], float]] = [((), budget)]
    while stack:
        head, left = stack.pop()
        if len(head) == weights.size or left < weights[len(head)]:
            found.append(head + (0,) * (weights.size - len(head)))
            if len(found) > MOST_FUNCTIONS:
                return None
            continue
        step = weights[len(head)]
        stack += [((*head, k), left - k * step) for k in range(int(left / step + 1e-9) + 1)]
    return np.array(found, dtype=np.int64)

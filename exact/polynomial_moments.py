"""Moments of all orders of a diffusion with linear drift and a noise whose square is quadratic; they close. Derived.

dz_i = -rate_i z_i dt + sqrt(spread_i level(z)) dW_i with level = floor + slope . z + coupling . z^2: the generator
keeps polynomials of degree m, of which there are C(d + m, m).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InvalidInput
from .linear_maps import exponential_action
from .moment_exponents import exponents

MOST_MONOMIALS = 20_000  # of which a state is made


@dataclass(frozen=True, eq=False)
class PolynomialMoments:
    """E z^alpha for all |alpha| <= order.

    Attributes
    ----------
    rates, spread, slope, coupling : (d,) arrays
    floor : float
    order : int
        At least 2.
    """

    rates: np.ndarray
    spread: np.ndarray
    slope: np.ndarray
    coupling: np.ndarray
    floor: float
    order: int

    def __post_init__(self) -> None:
        count = math.comb(self.rates.size + self.order, self.order)
        if count > MOST_MONOMIALS:
            raise InvalidInput(
                f"moments of order {self.order} in {self.rates.size} modes are {count} numbers, more than "
                f"{MOST_MONOMIALS}: lower the order, or take fewer modes"
            )

    @property
    def exponents(self) -> np.ndarray:
        """alpha (size, d)."""
        return exponents(self.order, self.rates.size + 1)[:, :-1]

    def at(self, start: np.ndarray, times: Sequence[float] | np.ndarray) -> np.ndarray:
        """Moments (times, size) at increasing times, from the point `start` (d,)."""
        generator = self.generator
        monomials = np.prod(start ** self.exponents, axis=1)
        return exponential_action(lambda v: generator @ v, monomials, times)

    @property
    def generator(self) -> Any:
        """Of the moments (sparse)."""
        from scipy.sparse import coo_array

        alpha, d = self.exponents, self.rates.size
        place = {tuple(each): k for k, each in enumerate(alpha.tolist())}
        entries: list[tuple[int, int, float]] = []
        parts = [(np.zeros(d, dtype=int), self.floor)]
        for j, one in enumerate(np.eye(d, dtype=int)):
            parts += [(one, self.slope[j]), (2 * one, self.coupling[j])]
        for row, each in enumerate(alpha):
            entries.append((row, row, -float(each @ self.rates)))
            for i in np.flatnonzero(each > 1):
                push = 0.5 * self.spread[i] * each[i] * (each[i] - 1)
                for added, weight in parts:
                    if weight:
                        into = each + added
                        into[i] -= 2
                        entries.append((row, place[tuple(into.tolist())], float(push * weight)))
        rows, columns, values = zip(*entries)
        return coo_array((values, (rows, columns)), shape=(len(alpha),) * 2).tocsr()

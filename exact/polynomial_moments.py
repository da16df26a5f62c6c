"""Moments of all orders of a diffusion with linear drift and a noise whose square is quadratic; they close. Derived.

dz_i = -rate_i z_i dt + sqrt(spread_i level(z)) dW_i with level = floor + slope . z + coupling . z^2, and a further
noise of covariance y_i y_j, y = own (z + offsets), where that is given: the generator keeps polynomials of degree m, of
which there are C(d + m, m). Without slope and offsets those without odd powers are closed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InvalidInput
from .linear_maps import exponential_action
from .monomials import exponents

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
    own, offsets : (d,) arrays, optional
    even : bool
        Only moments in which every power is even; they need a slope and offsets of zero, and an even order.
    """

    rates: np.ndarray
    spread: np.ndarray
    slope: np.ndarray
    coupling: np.ndarray
    floor: float
    order: int
    own: np.ndarray | None = None
    offsets: np.ndarray | None = None
    even: bool = False

    def __post_init__(self) -> None:
        order = self.order // 2 if self.even else self.order
        count = math.comb(self.rates.size + order, order)
        if count > MOST_MONOMIALS:
            raise InvalidInput(
                f"moments of order {self.order} in {self.rates.size} modes are {count} numbers, more than "
                f"{MOST_MONOMIALS}: lower the order, or take fewer modes"
            )

    @property
    def exponents(self) -> np.ndarray:
        """alpha (size, d)."""
        if self.even:
            return 2 * exponents(self.order // 2, self.rates.size + 1)[:, :-1]
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
            if self.own is not None:
                entries += [(row, place[into], weight) for into, weight in self._of_own_noise(each)]
        rows, columns, values = zip(*entries)
        return coo_array((values, (rows, columns)), shape=(len(alpha),) * 2).tocsr()

    def _of_own_noise(self, alpha: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        """What half of sum y_i y_j d_i d_j makes of z^alpha: monomials with weights."""
        assert self.own is not None
        mine = alpha * self.own
        found = [(tuple(alpha.tolist()), float(mine.sum() ** 2 - mine @ self.own) / 2)]
        if self.offsets is None or not self.offsets.any():
            return found
        unit = np.eye(alpha.size, dtype=int)
        for i in np.flatnonzero(alpha):
            for j in np.flatnonzero(alpha):
                weight = 0.5 * float(mine[i] * self.own[j] * (alpha[j] - (i == j)))
                if weight:
                    for gone, factor in (
                        (unit[i], self.offsets[i]), (unit[j], self.offsets[j]),
                        (unit[i] + unit[j], self.offsets[i] * self.offsets[j]),
                    ):  # fmt: skip
                        found.append((tuple((alpha - gone).tolist()), weight * float(factor)))
        return found

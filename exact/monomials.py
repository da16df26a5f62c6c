"""Monomials of several variables up to a degree, and polynomials as keys with coefficients.

A monomial z^alpha has the key alpha . numbers, with fixed random whole numbers modulo 2^64: keys of a product add up,
so that products need no tables. That no two monomials of a basis share a key is checked where it is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from .cost import check_memory
from .errors import OutOfReach

MOST = 6000  # monomials of which a matrix is made


@lru_cache(maxsize=64)
def numbers(count: int) -> np.ndarray:
    """Keys (count,) of the first variables; read only."""
    found = np.random.Generator(np.random.Philox(11)).integers(0, 2**64, count, dtype=np.uint64)
    found.flags.writeable = False
    return found


def keys_of(alpha: np.ndarray) -> np.ndarray:
    """Keys (n,) of exponents (n, variables), of the first variables or all."""
    with np.errstate(over="ignore"):
        return (alpha.astype(np.uint64) * numbers(alpha.shape[1])).sum(axis=1, dtype=np.uint64)


class Table:
    """Where a monomial stands among those of keys (n,), which differ."""

    def __init__(self, keys: np.ndarray) -> None:
        self._order = np.argsort(keys)
        self._keys = keys[self._order]
        assert (np.diff(self._keys) > 0).all()  # else the keys would not tell monomials apart

    def places(self, keys: np.ndarray) -> np.ndarray:
        """Places (m,) of keys (m,), all of them keys of the table."""
        found = np.minimum(np.searchsorted(self._keys, keys), self._keys.size - 1)
        assert (self._keys[found] == keys).all()
        return self._order[found]


@dataclass(frozen=True, eq=False)
class Polynomial:
    """Sum of coefficients (k,) times the monomials of keys (k,), which may repeat."""

    keys: np.ndarray
    coefficients: np.ndarray

    def times(self, other: Polynomial) -> Polynomial:
        """The product."""
        with np.errstate(over="ignore"):
            keys = np.add.outer(self.keys, other.keys)
        return Polynomial(keys.ravel(), np.outer(self.coefficients, other.coefficients).ravel())


@dataclass(frozen=True, eq=False)
class Monomials:
    """All monomials of `groups * width` variables up to a degree, lower degrees first.

    Variable (slot, k) stands at slot * width + k. With `even`, only those whose degree in each k, over all slots, is
    even: what is closed where the law does not change when coordinates change sign.

    Attributes
    ----------
    width, groups, order : int
    even : bool
    """

    width: int
    groups: int
    order: int
    even: bool

    def __post_init__(self) -> None:
        size = self.count(self.width, self.groups, self.order, self.even)
        if size > MOST:
            less = "" if self.order <= 2 else ", a lower order"
            raise OutOfReach(
                f"moments of order {self.order} in {self.width * self.groups} variables are {size} numbers that move "
                f"together, more than {MOST}: take fewer directions{less}, or simulate"
            )
        check_memory(f"a matrix of {size} x {size} moments", 16.0 * size**2, "lower the order")

    @staticmethod
    def count(width: int, groups: int, order: int, even: bool) -> int:
        """How many there are, from above where several slots share a parity."""
        if even and groups == 1:
            return math.comb(width + order // 2, order // 2)
        return math.comb(width * groups + order, order)

    @property
    def variables(self) -> int:
        """Number of variables."""
        return self.width * self.groups

    @cached_property
    def exponents(self) -> np.ndarray:
        """alpha (size, variables)."""
        if self.even and self.groups == 1:
            return np.concatenate([2 * exponents(half, self.width) for half in range(self.order // 2 + 1)])
        whole = np.concatenate([exponents(degree, self.variables) for degree in range(self.order + 1)])
        if not self.even:
            return whole
        totals = whole.reshape(-1, self.groups, self.width).sum(axis=1)
        return whole[(totals % 2 == 0).all(axis=1)]

    @cached_property
    def degrees(self) -> np.ndarray:
        """|alpha| (size,)."""
        return self.exponents.sum(axis=1)

    @property
    def numbers(self) -> np.ndarray:
        """Keys (variables,) of the variables."""
        return numbers(self.variables)

    @cached_property
    def _table(self) -> Table:
        return Table(keys_of(self.exponents))

    def row(self, polynomial: Polynomial) -> np.ndarray:
        """Coefficients (size,) of a polynomial of the basis."""
        places = self._table.places(polynomial.keys)
        return np.bincount(places, weights=polynomial.coefficients, minlength=len(self.exponents))

    def values(self, points: np.ndarray) -> np.ndarray:
        """Means (size,) of the monomials over points (n, variables)."""
        found = np.ones((len(points), len(self.exponents)))
        with np.errstate(over="ignore"):
            for column, powers in zip(points.T, self.exponents.T):
                used = powers > 0
                found[:, used] *= column[:, None] ** powers[used]
            return found.mean(axis=0)

    def norm(self, order: int) -> np.ndarray:
        """Coefficients (size,) of |z|^order, even, z the variables of the first slot."""
        half = exponents(order // 2, self.width)
        return self.row(Polynomial(keys_of(2 * half), multinomials(half)))


@lru_cache(maxsize=64)
def exponents(degree: int, d: int) -> np.ndarray:
    """All alpha (size, d) with this sum, the last coordinate running fastest."""
    if d == 1:
        return np.array([[degree]])
    parts = []
    for first in range(degree + 1):
        rest = exponents(degree - first, d - 1)
        parts.append(np.column_stack([np.full(len(rest), first), rest]))
    return np.concatenate(parts)


def multinomials(alpha: np.ndarray) -> np.ndarray:
    """|alpha|! / alpha! (n,) of exponents (n, d)."""
    return np.array([math.factorial(sum(each)) / math.prod(map(math.factorial, each)) for each in alpha.tolist()])


def below(alpha: np.ndarray) -> np.ndarray:
    """All exponents (n, d) that are at most alpha (d,) in every entry."""
    used = np.flatnonzero(alpha)
    grid = np.indices(tuple(alpha[used] + 1)).reshape(used.size, int(np.prod(alpha + 1)))
    found = np.zeros((grid.shape[1], alpha.size), dtype=int)
    found[:, used] = grid.T
    return found

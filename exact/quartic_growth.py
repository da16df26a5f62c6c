"""Growth of fourth moments of SGD on rows of data, in a dozen directions, at every step and batch size. Derived.

F(z) -> E F(A z) acts on quartic forms, A = kept - scale sum of a a^T over the rows a of a batch drawn with replacement;
its spectral radius is k(4). The power of the sum falls into products of powers of single rows, each of which contracts
one, two, three or four slots of F with moments of the rows. In symmetric coordinates each product is one matrix, made
once: another step size or batch size adds them up with other weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations_with_replacement, permutations

import numpy as np

from .cost import check_memory
from .linear_maps import spectral_radius

ADVICE = "take fewer directions, or moments of order 2"
AT_ONCE = 64  # forms that are moved together
PRODUCTS = 11  # of powers of rows
BINOMIAL = (1.0, -4.0, 6.0, -4.0, 1.0)


@dataclass(frozen=True, eq=False)
class QuarticGrowth:
    """Quartic forms in r variables, by their S = C(r + 3, 4) distinct entries, under steps on rows (n, r), equally
    likely."""

    rows: np.ndarray

    def __post_init__(self) -> None:
        n, r = self.rows.shape
        size = math.comb(r + 3, 4)
        needed = 8.0 * (5 * n * size + (PRODUCTS + 8) * size**2 + PRODUCTS * AT_ONCE * r**4)
        check_memory(f"fourth moments of {n} samples in {r} directions", needed, ADVICE)

    def rate(self, kept: float, scale: float, batch_size: int) -> float:
        """k(4): the growth of E |z|^4 per step."""
        matrix = self.matrix(kept, scale, batch_size)
        return spectral_radius(lambda vector: np.asarray(matrix @ vector), len(matrix))

    def matrix(self, kept: float, scale: float, batch_size: int) -> np.ndarray:
        """F -> E F(A z) on the distinct entries of symmetric forms (S, S)."""
        powers = self._powers(batch_size)
        return np.asarray(sum(
            weight * kept ** (4 - slots) * scale**slots * power
            for slots, (weight, power) in enumerate(zip(BINOMIAL, powers))
        ))  # fmt: skip

    def _powers(self, batch_size: int) -> list[np.ndarray]:
        """E (sum of a a^T)^k in k of the four slots, k = 0 to 4 (S, S each); kept of the last batch size."""
        known = self.__dict__.get("_last")
        if known is not None and known[0] == batch_size:
            return list(known[1])
        h, double, hh, triple, double_h, hhh, four, triple_h, both, double_hh, hhhh = self._products
        b = float(batch_size)
        pairs = b * (b - 1)
        triples = pairs * (b - 2)
        powers = [
            np.eye(len(h)), b * h, b * double + pairs * hh, b * triple + 3 * pairs * double_h + triples * hhh,
            b * four + 4 * pairs * triple_h + 3 * pairs * both + 6 * triples * double_hh + triples * (b - 3) * hhhh,
        ]  # fmt: skip
        self.__dict__["_last"] = batch_size, powers
        return powers

    @cached_property
    def _products(self) -> list[np.ndarray]:
        """Slots contracted with the moments of one, two, three, four rows, or of several, as matrices (S, S)."""
        r, quads = self.rows.shape[1], self._distinct(4)
        entries = np.array([np.ravel_multi_index(tuple(quads.list[:, o].T), (r,) * 4) for o in permutations(range(4))])
        size = len(quads.list)
        found = [np.empty((size, size)) for _ in range(PRODUCTS)]
        for first in range(0, size, AT_ONCE):
            some = slice(first, first + AT_ONCE)
            forms = np.eye(size)[:, some][quads.places].reshape((r,) * 4 + (-1,))
            for matrix, moved in zip(found, self._moved(forms)):
                # The form of a tensor is that of its symmetric part.
                matrix[:, some] = moved.reshape(r**4, -1)[entries].mean(axis=0)
        return found

    def _moved(self, forms: np.ndarray) -> list[np.ndarray]:
        """Symmetric forms (r, r, r, r, m) under each product, not all symmetric."""
        hessian = self.rows.T @ self.rows / len(self.rows)

        def one(form: np.ndarray, slot: int) -> np.ndarray:
            return np.moveaxis(np.tensordot(hessian, form, (1, slot)), 0, slot)

        def several(form: np.ndarray, slots: int) -> np.ndarray:
            """The first slots, in which it is symmetric, by one row's."""
            distinct = self._distinct(slots)
            moved = distinct.moments @ form.reshape(len(distinct.places), -1)[distinct.first]
            return np.asarray(moved[distinct.places]).reshape(form.shape)

        h, double, triple = one(forms, 3), several(forms, 2), several(forms, 3)
        hh = one(h, 2)
        hhh = one(hh, 1)
        return [
            h, double, hh, triple, several(h, 2), hhh, several(forms, 4), one(triple, 3),
            several(double.transpose(2, 3, 0, 1, 4), 2), several(hh, 2), one(hhh, 0),
        ]  # fmt: skip

    def _distinct(self, slots: int) -> _Distinct:
        known = self.__dict__.setdefault("_known", {})
        if slots not in known:
            known[slots] = _Distinct.of(self.rows, slots)
        return known[slots]


@dataclass(frozen=True, eq=False)
class _Distinct:
    """Entries of a symmetric tensor with k slots, T of which are distinct.

    Attributes
    ----------
    list : (T, k) array
    first : (T,) array
        Of each the place among all r^k.
    places : (r^k,) array
        Of each of all that among the distinct ones.
    moments : (T, T) array
        The tensor's contraction with k times one row, times k times that row, in the mean over rows.
    """

    list: np.ndarray
    first: np.ndarray
    places: np.ndarray
    moments: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, slots: int) -> _Distinct:
        """Of rows (n, r)."""
        n, r = rows.shape
        chosen = np.array(list(combinations_with_replacement(range(r), slots)))
        places = np.zeros(r**slots, dtype=np.int64)
        for order in permutations(range(slots)):
            places[np.ravel_multi_index(tuple(chosen[:, order].T), (r,) * slots)] = np.arange(len(chosen))
        first, times = np.ravel_multi_index(tuple(chosen.T), (r,) * slots), np.bincount(places)
        products = rows[:, chosen].prod(axis=2)
        return cls(chosen, first, places, products.T @ (products * times) / n)

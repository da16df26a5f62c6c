"""Growth of fourth moments of SGD on rows of data, in some twenty directions, without a matrix of them. Derived.

F(z) -> E F(A z) acts on quartic forms, A = kept - scale sum of a a^T over the rows a of a batch drawn with replacement;
its spectral radius is k(4). The power of the sum falls into products of powers of single rows, each of which contracts
one, two, three or four slots of F with moments of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import permutations

import numpy as np

from .cost import check_memory
from .linear_maps import spectral_radius

ADVICE = "take fewer directions, or moments of order 2"


@dataclass(frozen=True, eq=False)
class QuarticGrowth:
    """Quartic forms (r, r, r, r) under steps on rows (n, r), equally likely."""

    rows: np.ndarray

    def __post_init__(self) -> None:
        n, r = self.rows.shape
        check_memory(f"fourth moments of {n} samples in {r} directions", 8.0 * (n * r**3 + 40 * r**4), ADVICE)

    def rate(self, kept: float, scale: float, batch_size: int) -> float:
        """k(4): the growth of E |z|^4 per step."""
        r = self.rows.shape[1]

        def apply(vector: np.ndarray) -> np.ndarray:
            return self.moved(vector.reshape((r,) * 4), kept, scale, batch_size).ravel()

        return spectral_radius(apply, r**4)

    def moved(self, form: np.ndarray, kept: float, scale: float, batch_size: int) -> np.ndarray:
        """E F(A z) of a symmetric form (r, r, r, r)."""
        one, two, c = self._one, self._two, scale
        b, pairs = float(batch_size), float(batch_size) * (batch_size - 1)
        triples = pairs * (batch_size - 2)
        quadruples = triples * (batch_size - 3)
        h = one(form, 3)
        hh = one(h, 2)
        double = two(form)
        total = kept**4 * form - 4 * kept**3 * c * b * h
        total += 6 * kept**2 * c**2 * (b * double + pairs * hh)
        triple = self._three(form)
        hhh = one(hh, 1)
        total -= 4 * kept * c**3 * (b * triple + 3 * pairs * two(h) + triples * hhh)
        both = two(double.transpose(2, 3, 0, 1))
        total += c**4 * (
            b * self._four(form) + 4 * pairs * one(triple, 3) + 3 * pairs * both + 6 * triples * two(hh)
            + quadruples * one(hhh, 0)
        )  # fmt: skip
        return np.asarray(sum(total.transpose(order) for order in permutations(range(4)))) / 24

    @cached_property
    def _hessian(self) -> np.ndarray:
        return self.rows.T @ self.rows / len(self.rows)

    @cached_property
    def _pairs(self) -> np.ndarray:
        n, r = self.rows.shape
        return np.einsum("ni,nj->nij", self.rows, self.rows).reshape(n, r * r)

    @cached_property
    def _fourth(self) -> np.ndarray:
        return self._pairs.T @ self._pairs / len(self.rows)

    @cached_property
    def _cubes(self) -> np.ndarray:
        n, r = self.rows.shape
        return np.einsum("np,ni->npi", self._pairs, self.rows).reshape(n, r**3)

    def _one(self, form: np.ndarray, slot: int) -> np.ndarray:
        """One slot by a row's square."""
        return np.moveaxis(np.tensordot(self._hessian, form, (1, slot)), 0, slot)

    def _two(self, form: np.ndarray) -> np.ndarray:
        """The first two slots by one row's."""
        r = self.rows.shape[1]
        return (self._fourth @ form.reshape(r * r, r * r)).reshape(form.shape)

    def _three(self, form: np.ndarray) -> np.ndarray:
        r = self.rows.shape[1]
        return (self._cubes.T @ (self._cubes @ form.reshape(r**3, r)) / len(self.rows)).reshape(form.shape)

    def _four(self, form: np.ndarray) -> np.ndarray:
        r = self.rows.shape[1]
        seen = np.einsum("ni,ni->n", self._cubes @ form.reshape(r**3, r), self.rows)
        return (self._cubes.T @ (seen[:, None] * self.rows) / len(self.rows)).reshape(form.shape)

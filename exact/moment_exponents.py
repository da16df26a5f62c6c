"""Growth of the moments of a linear diffusion whose noise is as large as its state: E |Z_t|^p ~ exp(t Lambda(p)).

In modes dz_i = -rate_i z_i dt + noise of covariance spread_i [i = j] (sum_k coupling_k z_k^2) + own_i own_j z_i z_j.
With u_i = c_i z_i^2, positive weights c, h = coupling / c, g = c spread, N = sum u and E_i = u_i d/du_i, functions that
are even in every z_i move by the generator

    G = -2 sum rate_i E_i + (h . u) sum g_i (1 + 2 E_i) d/du_i + 2 L^2 - sum own_i^2 E_i,   L = sum own_i E_i,

the second term read as d/du_i + 2 u_i d^2/du_i^2. It keeps the degree of a homogeneous function. Lambda(p) is the
eigenvalue of G on N^(p/2) f(u / N) with a positive f, which is analytic on the simplex: with f = Q / N^n, Q a form of
degree n, N^(n + 2 - p/2) G N^(p/2 - n) Q is a form of degree n + 2, quadratic in p, and Galerkin's method in the law
of a uniform direction converges geometrically in n. For p = 2 n the forms of degree n close: an exact test. Derived.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.special import gammaln


@dataclass(frozen=True, eq=False)
class LinearNoise:
    """The linear part of a diffusion in modes, per SGD step.

    Attributes
    ----------
    rates, spread, coupling, own : (d,) arrays
        As in the module's text; `spread` and `coupling` above zero.
    """

    rates: np.ndarray
    spread: np.ndarray
    coupling: np.ndarray
    own: np.ndarray

    @property
    def dimension(self) -> int:
        """d."""
        return self.rates.size

    @property
    def squares(self) -> np.ndarray:
        """What a coordinate's own square adds to the variance of its noise (d,)."""
        return self.spread * self.coupling + self.own**2

    @property
    def coordinate_bound(self) -> float:
        """An upper bound of the index where it is at least one: that of each coordinate with its own noise alone."""
        return float((1 + 2 * self.rates / self.squares).min())

    @property
    def isotropic(self) -> bool:
        """Whether all directions are alike, or there is one."""
        parts = self.rates, self.spread, self.coupling, self.own
        return all(np.ptp(part) <= 1e-14 * np.abs(part).max() for part in parts)

    def isotropic_exponent(self, p: float) -> float:
        """Lambda(p), where `isotropic`."""
        shared = float(self.spread[0] * self.coupling[0])
        own, d = float(self.own[0]) ** 2, self.dimension
        return p / 2 * (-2 * float(self.rates[0]) + shared * (d + p - 2) + own * (p - 1))

    def isotropic_slope(self) -> float:
        """Lambda'(0), the Lyapunov exponent, where `isotropic`."""
        shared, own = float(self.spread[0] * self.coupling[0]), float(self.own[0]) ** 2
        return (shared * (self.dimension - 2) - own) / 2 - float(self.rates[0])

    def isotropic_index(self) -> float:
        """The root of Lambda beside 0, where `isotropic`."""
        shared, own = float(self.spread[0] * self.coupling[0]), float(self.own[0]) ** 2
        return (2 * float(self.rates[0]) + shared * (2 - self.dimension) + own) / (shared + own)

    @cached_property
    def weights(self) -> np.ndarray:
        """c: those in which f is constant at p = 2 where that root is a threshold, if every mode decays."""
        return self.coupling / self.rates if self.rates.min() > 0 else self.coupling

    def even_exponent(self, order: int) -> float:
        """Lambda(p) for an even p = order, from the closed equations of the moments of that order."""
        n = order // 2
        forms = Forms(self.dimension)
        return float(np.linalg.eigvals(self._generator(forms, n).toarray()).real.max())

    def _generator(self, forms: Forms, n: int) -> Any:
        """G from forms of degree n to forms of degree n (sparse)."""
        from scipy.sparse import diags_array

        h, g, e = self.coupling / self.weights, self.weights * self.spread, forms.exponents(n)
        heat = sum(
            forms.derivative(n, i) @ diags_array(g[i] * (2.0 * e[:, i] - 1)) for i in range(self.dimension)
        )
        along = e @ self.own
        still = 2 * along**2 - e @ self.own**2 - 2 * (e @ self.rates)
        return forms.product(n - 1, h) @ heat + diags_array(still)

    def pencil(self, n: int) -> Pencil:
        """Galerkin's matrices on forms of degree n."""
        from scipy.sparse import diags_array

        h, g, d = self.coupling / self.weights, self.weights * self.spread, self.dimension
        forms = Forms(d)
        e, ones = forms.exponents(n), np.ones(d)
        norm, level, along = forms.product(n, ones), forms.product(n, h), forms.product(n, self.own)
        again = forms.product(n + 1, ones)
        mass = again @ norm
        first = again @ (
            forms.product(n, self.own**2 - 2 * self.rates)
            + level @ diags_array(g.sum() + 4 * (e @ g))
            + 4 * along @ diags_array(e @ self.own)
        )
        second = 2 * (forms.product(n + 1, h) @ forms.product(n, g) + forms.product(n + 1, self.own) @ along)
        tests = forms.inner_products(n, n + 2)
        parts = mass @ self._generator(forms, n), first, second, mass
        return Pencil(n, *(np.ascontiguousarray((part.T @ tests.T).T) for part in parts))


@dataclass(frozen=True, eq=False)
class Pencil:
    """A(p) - Lambda M on forms of degree n, A(p) = still + a first + a (a - 1) second with a = p / 2 - n."""

    degree: int
    still: np.ndarray
    first: np.ndarray
    second: np.ndarray
    mass: np.ndarray

    def at(self, p: float) -> np.ndarray:
        """A(p)."""
        a = p / 2 - self.degree
        return self.still + a * self.first + a * (a - 1) * self.second

    def slope_at(self, p: float) -> np.ndarray:
        """Derivative of A(p)."""
        return 0.5 * (self.first + (p - 2 * self.degree - 1) * self.second)


@dataclass(frozen=True)
class Forms:
    """Homogeneous polynomials in d variables by their coefficients in Bernstein's basis n! / alpha! u^alpha."""

    dimension: int

    def exponents(self, n: int) -> np.ndarray:
        """alpha (size, d) of the basis of degree n."""
        return _exponents(n, self.dimension)

    def log_multinomials(self, n: int) -> np.ndarray:
        """log n! / alpha! (size,)."""
        return gammaln(n + 1) - gammaln(self.exponents(n) + 1).sum(axis=1)

    def size(self, n: int) -> int:
        """How many there are."""
        return math.comb(n + self.dimension - 1, n)

    def product(self, n: int, v: np.ndarray) -> Any:
        """Multiplication by v . u, from degree n to n + 1 (sparse)."""
        from scipy.sparse import csr_array

        raised = _raised_places(n, self.dimension)
        column = np.arange(raised.size)
        lifted = self.exponents(n)[column // self.dimension, column % self.dimension] + 1
        values = v[column % self.dimension] * lifted / (n + 1)
        return csr_array((values, (raised, column // self.dimension)), shape=(self.size(n + 1), self.size(n)))

    def derivative(self, n: int, i: int) -> Any:
        """d/du_i, from degree n to n - 1 (sparse)."""
        from scipy.sparse import csr_array

        raised = _raised_places(n - 1, self.dimension)[i :: self.dimension]
        values = np.full(raised.size, float(n)), (np.arange(raised.size), raised)
        return csr_array(values, shape=(self.size(n - 1), self.size(n)))

    def inner_products(self, n: int, m: int) -> np.ndarray:
        """Means (size of n, size of m) of products of the bases over uniform directions, up to one factor.

        The squares of a uniform direction's coordinates have Dirichlet's law with parameters 1/2.
        """
        left, right = self.exponents(n), self.exponents(m)
        table = gammaln(np.arange(n + m + 1) + 0.5)
        logs = self.log_multinomials(n)[:, None] + self.log_multinomials(m)
        for a, b in zip(left.T, right.T):
            logs += table[a[:, None] + b]
        return np.exp(logs - logs.max())


@lru_cache(maxsize=64)
def _exponents(n: int, d: int) -> np.ndarray:
    """All alpha (size, d) with sum n, the last coordinate running fastest."""
    if d == 1:
        return np.array([[n]])
    parts = []
    for first in range(n + 1):
        rest = _exponents(n - first, d - 1)
        parts.append(np.column_stack([np.full(len(rest), first), rest]))
    return np.concatenate(parts)


@lru_cache(maxsize=64)
def _raised_places(n: int, d: int) -> np.ndarray:
    """Places (size * d,) in degree n + 1 of alpha + e_i, alpha of degree n and i running fastest."""
    place = {tuple(alpha): k for k, alpha in enumerate(_exponents(n + 1, d).tolist())}
    raised = (_exponents(n, d)[:, None, :] + np.eye(d, dtype=np.int64)).reshape(-1, d)
    return np.array([place[tuple(alpha)] for alpha in raised.tolist()])

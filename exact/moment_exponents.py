"""Growth of the moments of a linear diffusion whose noise is as large as its state: E |Z_t|^p ~ exp(t Lambda(p)).

In modes dz_i = -rate_i z_i dt + noise of covariance spread_i [i = j] (sum_k coupling_k z_k^2) + own_i own_j z_i z_j.
With u_i = c_i z_i^2, positive weights c, h = coupling / c, g = c spread, N = sum u and E_i = u_i d/du_i, functions that
are even in every z_i move by the generator

    G = -2 sum rate_i E_i + (h . u) sum g_i (1 + 2 E_i) d/du_i + 2 L^2 - sum own_i^2 E_i,   L = sum own_i E_i,

the second term read as d/du_i + 2 u_i d^2/du_i^2. It keeps the degree of a homogeneous function. Lambda(p) is the
eigenvalue of G on N^(p/2) f(w), w = u / N, with a positive f, which is analytic on the simplex of the w. Galerkin's
method takes f from monomials w^alpha and tests with them in Dirichlet's law, that of a uniform direction or one near to
it: its moments are products of gamma functions, so that every entry is a closed form and a polynomial in p.
It converges geometrically in the degree; for p = 2 n monomials of degree n close, and it is exact. Derived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from .direction_spaces import FEW, Pencil, Space, square_spaces


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
    def search_start(self) -> float:
        """An upper bound of the index, or a number near it: where Newton's method begins."""
        if self.own.any() or self.rates.min() <= 0:
            return max(self.coordinate_bound, 0.5)
        kappa = self.spread * self.coupling / self.rates
        above = 2 + (2 - float(kappa.sum())) / float(kappa.max())  # a bound past the threshold, where it is below 2
        return max(min(self.coordinate_bound, above) if above < 2 else self.coordinate_bound, 0.05)

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

    @cached_property
    def measure(self) -> np.ndarray:
        """Parameters theta of Dirichlet's law of the w, which weighs errors: 1/2 each is a uniform direction.

        Of many modes a uniform direction has hardly anything of the loud ones, in which large moments grow.
        """
        tilt = 0.25 if self.dimension > FEW else 0.0
        return 0.5 * (self.squares / self.squares.max()) ** tilt

    def with_functions_of(self, other: LinearNoise) -> LinearNoise:
        """The same noise whose pencil is of the functions that another takes, so that the two can be subtracted."""
        found = replace(self)
        found.__dict__.update(weights=other.weights, measure=other.measure)
        return found

    def spaces(self) -> Iterator[Space]:
        """Of functions of the squares of the modes."""
        return square_spaces(self.squares)

    def pencil(self, alpha: np.ndarray) -> Pencil:
        """Galerkin's matrices on N^(p/2) w^alpha, for exponents alpha (size, d); columns are scaled to norm one.

        In an entry, gamma = alpha + beta is the sum of the exponents of both functions, and s = gamma + theta.
        """
        h, g, own, alpha = self.coupling / self.weights, self.weights * self.spread, self.own, alpha.astype(float)
        theta, degrees = self.measure, alpha.sum(axis=1)

        def along(v: np.ndarray) -> np.ndarray:
            """v . s, entry by entry."""
            return np.add.outer(alpha @ v, alpha @ v) + v @ theta

        total = theta.sum() + np.add.outer(degrees, degrees)
        level, spent, driven = along(h), along(own**2 - 2 * self.rates), along(own)
        heat = np.zeros((len(alpha), len(alpha)))
        for i in range(self.dimension):
            columns = np.flatnonzero(alpha[:, i])
            a = alpha[columns, i]
            lowered = np.add.outer(alpha[:, i], a) + theta[i] - 1
            heat[:, columns] += g[i] * a * (2 * a - 1) * (level[:, columns] - h[i]) / lowered
        mine = alpha @ own
        still = heat + 2 * mine**2 - alpha @ own**2 - 2 * (alpha @ self.rates)
        first = (spent + level * (g.sum() + 4 * (alpha @ g)) + 4 * driven * mine) / total
        second = 2 * (level * along(g) + along(h * g) + driven**2 + along(own**2)) / (total * (total + 1))
        # a = p / 2 - |alpha| differs from column to column.
        mass, scales = _direction_moments(alpha, theta)
        constant = np.exp(gammaln(degrees[0] + 1) - gammaln(alpha + 1).sum(axis=1) + scales)

        def functions(z: np.ndarray) -> np.ndarray:
            return np.exp(2 * np.log(np.abs(z)) @ alpha.T - scales)

        return Pencil(
            mass * (still - degrees * first + degrees * (degrees + 1) * second),
            mass * (first / 2 - (degrees + 0.5) * second), mass * second / 4, mass, constant, functions,
        )  # fmt: skip


def _direction_moments(alpha: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E w^(alpha + beta) under Dirichlet's law (size, size), each function scaled to E w^(2 alpha) = 1; log scales."""
    whole = alpha.astype(np.int64)
    powers = np.arange(2 * int(whole.max(initial=0)) + 1)
    tables = gammaln(theta[:, None] + powers) - gammaln(theta)[:, None]
    alone = np.take_along_axis(tables.T, whole, axis=0).sum(axis=1)
    logs = np.add.outer(alone, alone)
    for i, table in enumerate(tables):  # where both have a power of w_i
        both = np.flatnonzero(whole[:, i])
        a = whole[both, i]
        logs[np.ix_(both, both)] += table[a[:, None] + a] - table[a][:, None] - table[a]
    degrees = alpha.sum(axis=1)
    logs += gammaln(theta.sum()) - gammaln(theta.sum() + np.add.outer(degrees, degrees))
    half = np.diagonal(logs) / 2
    return np.exp(logs - half[:, None] - half), half

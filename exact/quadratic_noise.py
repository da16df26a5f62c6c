"""Linear diffusions whose noise has any covariance quadratic in the state: even moments, and growth of all moments.

dz = drift z dt + noise of covariance C_ij(z) = sum_kl square_ijkl z_k z_l + sum_k slope_ijk z_k + constant_ij. The
generator keeps polynomials of each degree, so that moments close. With the square part of C alone, on |z|^s q(z) it is

    D q + s F q + s (s - 2) / 2 (z.C z) q     where |z| = 1,
    D q = drift z . grad q + C : hess q / 2,   F q = C z . grad q + (z . drift z + tr C / 2) q,

so that Galerkin's method on |z|^(p - m) q, q of the even degree m, tested with such q under a uniform direction, has
matrices that are polynomials in p and entries that are moments of a uniform direction. It is exact at p = 2, 4, ..., m.
Derived.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import gammaln

from .cost import check_time
from .direction_spaces import MOST_FUNCTIONS, SURE_DEGREE, Pencil, Space
from .monomials import Table, exponents, keys_of, multinomials

HIGHEST = 2 * SURE_DEGREE  # degree
Term = tuple[np.ndarray, np.ndarray, np.ndarray]  # exponents that a derivative takes, that a product adds; weights
SKEWED = 1e-6  # condition of a norm that is not used


@dataclass(frozen=True, eq=False)
class QuadraticNoise:
    """The diffusion, per SGD step.

    Attributes
    ----------
    drift : (d, d) array
    square : (d, d, d, d) array
        Symmetric in the first two indices and in the last two.
    slope : (d, d, d) array
    constant : (d, d) array
    """

    drift: np.ndarray
    square: np.ndarray
    slope: np.ndarray
    constant: np.ndarray

    @classmethod
    def of_samples(
        cls, rates: np.ndarray, features: np.ndarray, residuals: np.ndarray, factor: float, added: np.ndarray
    ) -> QuadraticNoise:
        """factor * (covariance of a (a . z + r) over samples a (n, d), r (n,)) + diag(added), drift -rates z.

        Raises
        ------
        OutOfReach
            If there are too many modes.
        """
        n, d = features.shape
        check_time(f"the covariance of {n} samples in {d} modes", 2.0 * n * d**4, "take fewer directions")
        pairs = (features[:, :, None] * features[:, None, :]).reshape(n, d * d)
        hessian, pull = pairs.mean(axis=0).reshape(d, d), features.T @ residuals / n
        crossed = np.einsum("ik,jl->ijkl", hessian, hessian)
        square = (pairs.T @ pairs / n).reshape(d, d, d, d) - (crossed + crossed.swapaxes(2, 3)) / 2
        slope = 2 * (pairs.T @ (features * residuals[:, None]) / n).reshape(d, d, d)
        slope -= np.einsum("ik,j->ijk", hessian, pull) + np.einsum("jk,i->ijk", hessian, pull)
        constant = (pairs.T @ residuals**2 / n).reshape(d, d) - np.outer(pull, pull)
        return cls(-np.diag(rates), factor * square, factor * slope, factor * constant + np.diag(added))

    @property
    def dimension(self) -> int:
        """d."""
        return len(self.drift)

    @property
    def isotropic(self) -> bool:
        """One mode, whose exponent is in closed form; more are not looked at."""
        return self.dimension == 1

    def isotropic_slope(self) -> float:
        """Lambda'(0) of one mode."""
        return float(self.drift[0, 0] - self.square[0, 0, 0, 0] / 2)

    def isotropic_index(self) -> float:
        """The root of Lambda of one mode; inf where the noise does not grow."""
        own = float(self.square[0, 0, 0, 0])
        return 1 - 2 * float(self.drift[0, 0]) / own if own > 0 else math.inf

    @property
    def rates(self) -> np.ndarray:
        """Of decay, in modes (d,)."""
        return -np.diagonal(self.drift)

    @property
    def squares(self) -> np.ndarray:
        """Trace of the noise's covariance for a unit vector along each coordinate (d,)."""
        return np.einsum("jjii->i", self.square)

    @property
    def search_start(self) -> float:
        """A number near the index: as if all noise of a mode were along it."""
        return float(np.clip((1 + 2 * self.rates / self.squares).min(), 0.5, 50.0))

    @cached_property
    def balanced(self) -> QuadraticNoise:
        """The same in coordinates y with |y|^2 = z . P z the function of degree 2 that grows at one rate."""
        d, pairs = self.dimension, exponents(2, self.dimension)
        values, functions = np.linalg.eig(self.generator(pairs).toarray().T)
        found = functions[:, np.argmax(values.real)].real
        norm = np.zeros((d, d))
        for each, value in zip(pairs, found):
            i, j = np.repeat(np.arange(d), each)
            norm[i, j] += value / 2
            norm[j, i] += value / 2
        squares, turned = np.linalg.eigh(norm * np.sign(np.trace(norm)))
        if squares[0] < SKEWED * squares[-1]:
            return self
        into, back = turned.T * np.sqrt(squares)[:, None], turned / np.sqrt(squares)
        square = np.einsum("ai,bj,ijkl,kc,ld->abcd", into, into, self.square, back, back, optimize=True)
        return QuadraticNoise(into @ self.drift @ back, square, np.zeros((d,) * 3), np.zeros((d, d)))

    def spaces(self) -> Iterator[Space]:
        """All polynomials of an even degree."""
        d = self.dimension
        for degree in range(0, HIGHEST + 1, 2):
            if math.comb(degree + d - 1, degree) > MOST_FUNCTIONS:
                return
            yield Space(f"polynomials of degree {degree} in {d} coordinates", exponents(degree, d), True)

    def generator(self, alpha: np.ndarray) -> Any:
        """Of the moments E z^alpha, alpha (size, d), which are driven by none but these (sparse)."""
        terms = [*_along(self.drift), *_twice(self.square)]
        if np.ptp(alpha.sum(axis=1)):  # lower degrees are there to drive higher ones
            terms += [*_twice(self.slope), *_twice(self.constant)]
        return _operator(alpha, alpha, terms)

    def pencil(self, alpha: np.ndarray) -> Pencil:
        """Galerkin's matrices on |y|^(p - m) y^alpha, m = |alpha|, y balanced; functions are scaled to norm one."""
        own, m, d = self.balanced, int(alpha[0].sum()), self.dimension
        spread = own.drift + np.einsum("jjkl->kl", own.square) / 2
        parts = []
        for grown, terms in (
            (0, [*_along(own.drift), *_twice(own.square)]),
            (2, [*_along(own.square), *_times(spread)]),
            (4, _times(own.square / 2)),
        ):
            target = exponents(m + grown, d)
            parts.append((_operator(alpha, target, terms) @ _direction_moments(target, alpha)).T)
        mass = _direction_moments(alpha, alpha)
        scales, constant, even = np.sqrt(np.diagonal(mass)), np.zeros(len(alpha)), (alpha % 2 == 0).all(axis=1)
        constant[even] = multinomials(alpha[even] // 2)
        still, first, second, mass = (part / scales / scales[:, None] for part in (*parts, mass))

        def functions(y: np.ndarray) -> np.ndarray:
            return np.prod(y[:, None, :] ** alpha, axis=2) / scales

        # With s = p - m the matrix is still + s first + s (s - 2) second.
        return Pencil(
            still - m * first + m * (m + 2) * second, first - 2 * (m + 1) * second, second, mass, constant * scales,
            functions,
        )  # fmt: skip


def _polynomial(tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exponents and weights of the form that a tensor (d, ..., d) is."""
    d, degree = tensor.shape[0], tensor.ndim
    alpha, table = exponents(degree, d), keys_of(np.eye(d, dtype=int))
    keys = np.zeros((), dtype=np.uint64)
    with np.errstate(over="ignore"):
        for _ in range(degree):
            keys = np.add.outer(keys, table)
    places = Table(keys_of(alpha)).places(keys.ravel())
    return alpha, np.bincount(places, weights=tensor.ravel(), minlength=len(alpha))


def _times(tensor: np.ndarray) -> Iterator[Term]:
    """A product with the form of a tensor."""
    yield np.zeros(len(tensor), dtype=int), *_polynomial(tensor)


def _along(tensor: np.ndarray) -> Iterator[Term]:
    """sum_i (form of tensor[i]) d/dz_i."""
    for gone, part in zip(np.eye(len(tensor), dtype=int), tensor):
        yield gone, *_polynomial(part)


def _twice(tensor: np.ndarray) -> Iterator[Term]:
    """Half of sum_ij (form of tensor[i, j]) d/dz_i d/dz_j."""
    unit = np.eye(len(tensor), dtype=int)
    for i, j in zip(*np.triu_indices(len(tensor))):
        alpha, weights = _polynomial(tensor[i, j]) if tensor.ndim > 2 else (0 * unit[:1], tensor[i, j, None])
        yield unit[i] + unit[j], alpha, weights * (0.5 if i == j else 1.0)


def _operator(alpha: np.ndarray, target: np.ndarray, terms: Iterable[Term]) -> Any:
    """Images (size, targets) of monomials z^alpha under differential operators, on monomials z^target (sparse)."""
    from scipy.sparse import coo_array

    table, own, found = Table(keys_of(target)), keys_of(alpha), []
    for gone, added, weights in terms:
        left = alpha - gone
        rows = np.flatnonzero((left >= 0).all(axis=1))
        factor = np.where(gone > 0, alpha[rows], 1) * np.where(gone > 1, left[rows] + 1, 1)
        with np.errstate(over="ignore"):
            keys = np.add.outer(own[rows] - keys_of(gone[None]), keys_of(added))
        places = table.places(keys.ravel())
        values = np.outer(factor.prod(axis=1), weights).ravel()
        found.append((np.repeat(rows, len(added)), places, values))
    rows, places, values = (np.concatenate(part) for part in zip(*found))
    return coo_array((values, (rows, places)), shape=(len(alpha), len(target))).tocsr()


def _direction_moments(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """E u^(alpha + beta) (n, m) of a uniform direction u."""
    d, odd = alpha.shape[1], np.zeros((len(alpha), len(beta)), dtype=bool)
    logs = np.full(odd.shape, gammaln(d / 2) - d * gammaln(0.5) - gammaln((alpha[0].sum() + beta[0].sum() + d) / 2))
    for a, b in zip(alpha.T, beta.T):
        both = np.add.outer(a, b)
        odd |= both % 2 == 1
        logs += gammaln(0.5 * np.arange(1, both.max() + 2))[both]
    return np.where(odd, 0.0, np.exp(logs))

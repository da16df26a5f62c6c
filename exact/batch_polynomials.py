"""Moments of the mean gradient of a batch, given the place: polynomials in the modes. Derived.

For S = (1 / B) sum_b a_b (a_b . z + rho_b), of independent samples, E exp(t . S) is a power series in t whose
coefficients E S^beta / beta! are polynomials in z of degree |beta|. Of one sample of finitely many they are
averages; those of B samples are the B-th power of that series. Of Gaussian samples,

    E exp(B t . S) = ((1 - t.H y)^2 - t.H t (y.H y + s^2))^(-B / 2),     rho = a . (y - z) + N(0, s^2),

which is expanded in closed form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from .cost import CALLS, check_memory, check_time
from .monomials import Monomials, Polynomial, below, exponents, keys_of, multinomials

ADVICE = "lower the order, take fewer directions, or simulate"
Series = Callable[[tuple[int, ...]], Polynomial]  # beta -> E S^beta / beta!


@dataclass(frozen=True, eq=False)
class GaussianBatch:
    """A batch of fresh samples a ~ N(0, diag(eigenvalues)) with labels of variance `label_variance` about a . truth.

    Attributes
    ----------
    basis : Monomials
        Of the modes z, for keys.
    eigenvalues : (d,) array
    label_variance : float
        s^2.
    batch_size : int
    """

    basis: Monomials
    eigenvalues: np.ndarray
    label_variance: float
    batch_size: int
    _known: dict[tuple[int, ...], Polynomial] = field(default_factory=dict)

    def __call__(self, beta: tuple[int, ...]) -> Polynomial:
        """E S^beta / beta! in y, the modes about the truth."""
        if beta not in self._known:
            self._known[beta] = self._series(np.array(beta))
        return self._known[beta]

    def _series(self, beta: np.ndarray) -> Polynomial:
        used = np.flatnonzero(beta)
        h, batch, parts = self.eigenvalues, self.batch_size, []
        for pairs in below(beta[used] // 2):  # the power of t.H t is 2 |pairs|, the rest is of t.H y
            j, single = int(pairs.sum()), beta[used] - 2 * pairs
            weight = _rising(batch / 2, j) * _rising(batch + 2 * j, int(single.sum()))
            for power, two, one in zip(h[used], pairs.tolist(), single.tolist()):
                weight *= power ** (two + one) / (math.factorial(two) * math.factorial(one))
            alone = np.zeros((1, beta.size), dtype=int)
            alone[0, used] = single
            key = Polynomial(keys_of(alone), np.array([weight]))
            parts.append(key.times(self._level(j)))
        keys, coefficients = (np.concatenate(part) for part in zip(*((one.keys, one.coefficients) for one in parts)))
        return Polynomial(keys, coefficients / float(batch) ** int(beta.sum()))

    def _level(self, power: int) -> Polynomial:
        """(y.H y + s^2)^power."""
        if (-power,) not in self._known:
            parts = []
            for degree in range(power + 1):
                if degree < power and not self.label_variance:
                    continue
                half = exponents(degree, self.eigenvalues.size)
                weights = multinomials(half) * np.prod(self.eigenvalues**half, axis=1)
                weights *= math.comb(power, degree) * self.label_variance ** (power - degree)
                parts.append((keys_of(2 * half), weights))
            self._known[-power,] = Polynomial(*(np.concatenate(part) for part in zip(*parts)))
        return self._known[-power,]


def sampled_batch(
    basis: Monomials, features: np.ndarray, residuals: np.ndarray, weights: np.ndarray, batch_size: int
) -> Series:
    """Of a batch drawn independently from weighted samples.

    Parameters
    ----------
    basis : Monomials
        Of the modes z: all up to the order.
    features : (n, d) array
    residuals, weights : (n,) arrays
        At z = 0; probabilities.
    """
    (n, d), order, powers = features.shape, basis.order, _Powers(basis)
    betas, sizes, keys = powers.betas, powers.sizes, powers.keys
    what = f"the moments of order {2 * order} of {n} samples in {d} directions"
    products = 2.0 * CALLS * math.comb(2 * d + order, order)
    check_time(what, 1.5 * n * float(len(betas)) ** 2 + products, ADVICE, warn=True)
    check_memory(what, 24.0 * n * len(betas), ADVICE)
    single: dict[tuple[int, ...], np.ndarray] = {}
    for degree in range(order + 1):
        mine, gammas = exponents(degree, d), betas[: sizes[degree]]
        spare = degree - gammas.sum(axis=1)
        left = _products(features, mine) * weights[:, None]
        right = _products(np.column_stack([features, residuals]), np.column_stack([gammas, spare]))
        table = (left.T @ right) * multinomials(np.column_stack([gammas, spare]))
        for each, row in zip(mine.tolist(), table):
            single[tuple(each)] = row / math.prod(map(math.factorial, each))
    batch = _power(single, batch_size, powers)
    scaled = {
        beta: Polynomial(keys[: row.size], row / float(batch_size) ** sum(beta)) for beta, row in batch.items()
    }
    return scaled.__getitem__


def listed_batches(basis: Monomials, pulls: np.ndarray, shifts: np.ndarray, weights: np.ndarray) -> Series:
    """Of batches that are listed one by one: S = pull z + shift.

    Parameters
    ----------
    pulls, shifts : (n, d, d), (n, d) arrays
    weights : (n,) array of probabilities
    """
    d, powers = shifts.shape[1], _Powers(basis)
    what = f"the moments of order {basis.order} of {len(shifts)} batches in {d} directions"
    check_time(what, 20.0 * len(shifts) * d * len(powers.betas) ** 2, ADVICE, warn=True)
    check_memory(what, 16.0 * len(shifts) * len(powers.betas) ** 2, ADVICE)
    forms = np.concatenate([shifts[:, :, None], pulls[:, :, ::-1]], axis=2)  # 1 and z_k in the order of the basis
    known = {(0,) * d: np.ones((len(weights), 1))}
    for beta in powers.betas[1:].tolist():
        k = next(k for k in range(d) if beta[k])
        before = tuple(one - (j == k) for j, one in enumerate(beta))
        product = known[before][:, :, None] * forms[:, k, None, :]
        found = np.zeros((len(weights), powers.sizes[sum(beta)]))
        for form, places in zip(np.moveaxis(product, 2, 0), powers.places(sum(before), 1).T):
            found[:, places] += form  # times one variable, or 1, no two monomials become the same
        known[tuple(beta)] = found
    means = {
        beta: Polynomial(powers.keys[: rows.shape[1]], weights @ rows / math.prod(map(math.factorial, beta)))
        for beta, rows in known.items()
    }  # fmt: skip
    return means.__getitem__


def centred(series: Series, mean: np.ndarray) -> Series:
    """The same of S - mean."""
    if not mean.any():
        return series
    known: dict[tuple[int, ...], Polynomial] = {}

    def of(beta: tuple[int, ...]) -> Polynomial:
        if beta not in known:
            parts = []
            for taken in below(np.array(beta)):
                factor = float(np.prod((-mean) ** taken)) / math.prod(map(math.factorial, taken.tolist()))
                one = series(tuple((np.array(beta) - taken).tolist()))
                parts.append((one.keys, factor * one.coefficients))
            known[beta] = Polynomial(*(np.concatenate(part) for part in zip(*parts)))
        return known[beta]

    return of


def about(basis: Monomials, series: Series, offset: np.ndarray) -> Series:
    """From polynomials in y to those in z, y = z + offset; `basis` holds all monomials."""
    if not offset.any():
        return series
    shift = np.zeros((len(basis.exponents),) * 2)
    whole = {tuple(each): place for place, each in enumerate(basis.exponents.tolist())}
    d = offset.size
    for place, alpha in enumerate(basis.exponents):
        if alpha[d:].any():
            continue
        for kept in below(alpha[:d]):
            weight = float(np.prod(offset ** (alpha[:d] - kept)))
            weight *= math.prod(map(math.comb, alpha[:d].tolist(), kept.tolist()))
            shift[place, whole[(*kept.tolist(), *alpha[d:].tolist())]] = weight
    keys = keys_of(basis.exponents)
    known: dict[tuple[int, ...], Polynomial] = {}

    def of(beta: tuple[int, ...]) -> Polynomial:
        if beta not in known:
            row = basis.row(series(beta)) @ shift
            used = np.flatnonzero(row)
            known[beta] = Polynomial(keys[used], row[used])
        return known[beta]

    return of


class _Powers:
    """All powers of d variables up to a degree, and where products of polynomials lie among them.

    Attributes
    ----------
    betas : (size, d) array
        Lower degrees first.
    sizes : list of int
        How many there are up to each degree.
    keys : (size,) array
    """

    def __init__(self, basis: Monomials) -> None:
        d, degrees = basis.width, range(basis.order + 1)
        self.betas = np.concatenate([exponents(degree, d) for degree in degrees])
        self.sizes = [math.comb(d + degree, degree) for degree in degrees]
        self.keys = keys_of(self.betas)
        self.known: dict[tuple[int, int], np.ndarray] = {}

    def places(self, one: int, other: int) -> np.ndarray:
        """Of the products of all monomials up to these two degrees, among those up to their sum."""
        if (one, other) not in self.known:
            mine = self.keys[: self.sizes[one + other]]
            order = np.argsort(mine)
            with np.errstate(over="ignore"):
                sums = np.add.outer(self.keys[: self.sizes[one]], self.keys[: self.sizes[other]])
            self.known[one, other] = order[np.searchsorted(mine[order], sums)]
        return self.known[one, other]


def _power(
    series: dict[tuple[int, ...], np.ndarray], power: int, powers: _Powers
) -> dict[tuple[int, ...], np.ndarray]:
    """The power of a series that begins with 1: |beta| Q_beta = sum (B |b| - |beta - b|) P_b Q_(beta - b)."""
    if power == 1:
        return series
    found = {tuple(powers.betas[0].tolist()): np.ones(1)}
    for beta in powers.betas[1:]:
        degree = int(beta.sum())
        total = np.zeros(powers.sizes[degree])
        for taken in below(beta)[1:]:
            mine, rest = int(taken.sum()), degree - int(taken.sum())
            factor = (power * mine - rest) / degree
            if factor:
                product = np.outer(series[tuple(taken.tolist())], found[tuple((beta - taken).tolist())])
                where = powers.places(mine, rest)
                total += factor * np.bincount(where.ravel(), weights=product.ravel(), minlength=total.size)
        found[tuple(beta.tolist())] = total
    return found


def _products(columns: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """columns^powers (n, m) of (n, d) numbers and (m, d) exponents."""
    found = np.ones((len(columns), len(powers)))
    for column, power in zip(columns.T, powers.T):
        used = power > 0
        found[:, used] *= column[:, None] ** power[used]
    return found


def _rising(start: float, count: int) -> float:
    """start (start + 1) ... of `count` factors."""
    return math.prod(start + k for k in range(count))

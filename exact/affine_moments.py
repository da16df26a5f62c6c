"""Moments of all monomials of z' = kept z - step_size S and its like, from those of a batch's gradient. Derived."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from .batch_polynomials import Series
from .even_moments import EvenMoments, check_cost
from .monomials import Monomials, Polynomial, below


def affine_moments(
    basis: Monomials, kept: np.ndarray, entry: np.ndarray, series: Series
) -> EvenMoments:
    """Moments of a state (slots, d) with state'_(slot, k) = sum_r kept[k, slot, r] state_(r, k) + entry[slot] S_k.

    Parameters
    ----------
    basis : Monomials
        Of slots * d variables.
    kept : (d, slots, slots) array
    entry : (slots,) array
    series : callable
        beta -> E S^beta / beta! given the first slot, in keys of the basis.

    Raises
    ------
    OutOfReach
        If it takes hours.
    """
    d, slots = basis.width, basis.groups
    pieces = sum(float(np.prod(alpha + 1)) for alpha in basis.exponents)
    check_cost(len(basis.exponents), basis.order, pieces)
    moved = _Moved(basis, kept)
    rows = np.zeros((len(basis.exponents),) * 2)
    for place, alpha in enumerate(basis.exponents):
        parts = []
        for noise in below(alpha):
            beta = noise.reshape(slots, d).sum(axis=0)
            weight = float(np.prod(entry[:, None] ** noise.reshape(slots, d)))
            weight *= math.prod(math.factorial(each) for each in beta.tolist())
            weight *= math.prod(map(math.comb, alpha.tolist(), noise.tolist()))
            if weight:
                product = moved(tuple((alpha - noise).tolist())).times(series(tuple(beta.tolist())))
                parts.append((product.keys, weight * product.coefficients))
        rows[place] = basis.row(Polynomial(*(np.concatenate(part) for part in zip(*parts))))
    orders = range(2, basis.order + 1, 2)

    def values(points: np.ndarray) -> np.ndarray:
        return basis.values(np.concatenate([points, np.zeros((len(points), (slots - 1) * d))], axis=1))

    norms = np.column_stack([basis.norm(order) for order in orders])
    return EvenMoments(rows, basis.degrees, values, norms, True, basis.exponents)


class _Moved:
    """(kept state)^alpha as polynomials of the state."""

    def __init__(self, basis: Monomials, kept: np.ndarray) -> None:
        self.basis, self.kept = basis, kept
        self.known = {(0,) * basis.variables: Polynomial(np.zeros(1, dtype=np.uint64), np.ones(1))}

    def __call__(self, alpha: tuple[int, ...]) -> Polynomial:
        if alpha not in self.known:
            place = next(place for place, power in enumerate(alpha) if power)
            slot, k = divmod(place, self.basis.width)
            form = Polynomial(self.basis.numbers[k :: self.basis.width], self.kept[k, slot])
            before = tuple(power - (other == place) for other, power in enumerate(alpha))
            product = self(before).times(form)
            keys, places = np.unique(product.keys, return_inverse=True)
            self.known[alpha] = Polynomial(keys, np.bincount(places, weights=product.coefficients))
        return self.known[alpha]


def radial_moments(
    dimension: int, variance: float, label_variance: float, kept: float, step_size: float, batch_size: int, order: int
) -> EvenMoments:
    """E |z|^2m, m = 0..order / 2, of SGD where all directions are alike: each is driven by the lower ones alone.

    From the closed form of E exp(t . S) (`batch_polynomials`), averaged over directions t and z; the alternating sums
    are made of fractions, so that they lose no digits.

    Parameters
    ----------
    dimension : int
    variance, label_variance : float
        Of each feature, and of the labels.
    kept : float
        1 - step_size * ridge.
    """
    half = order // 2
    h, noise, keep = Fraction(variance), Fraction(label_variance), Fraction(kept)
    push, middle, one = -Fraction(step_size) / batch_size, Fraction(dimension, 2), Fraction(1, 2)
    rows = np.zeros((half + 1, half + 1))
    for m in range(half + 1):
        row = [Fraction(0)] * (half + 1)
        for j in range(m + 1):
            left = 2 * (m - j)
            alternating = sum(
                _rising(Fraction(batch_size + 2 * j), i) * (push * h) ** i * keep ** (left - i)
                / (math.factorial(i) * math.factorial(left - i))
                for i in range(left + 1)
            )  # fmt: skip
            part = alternating * _rising(Fraction(batch_size, 2), j) * (push**2 * h) ** j / math.factorial(j)
            part *= _rising(one, m - j) / _rising(middle, m - j)
            for u in range(j + 1):
                row[m - j + u] += part * math.comb(j, u) * h**u * noise ** (j - u)
        scale = math.factorial(2 * m) * _rising(middle, m) / _rising(one, m)
        rows[m] = [float(scale * each) for each in row]
    return _radial(rows, True)


def radial_flow(
    dimension: int, rate: float, coupling: float, floor: float, own: float, order: int
) -> EvenMoments:
    """The same of dz = -rate z dt + noise of covariance (coupling |z|^2 + floor) 1 + own^2 z z^T."""
    half = order // 2
    rows = np.zeros((half + 1, half + 1))
    for m in range(1, half + 1):
        rows[m, m] = -2 * m * rate + m * (dimension + 2 * m - 2) * coupling + m * (2 * m - 1) * own**2
        rows[m, m - 1] = m * (dimension + 2 * m - 2) * floor
    return _radial(rows, False)


def _radial(rows: np.ndarray, discrete: bool) -> EvenMoments:
    size = len(rows)

    def values(points: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return (np.square(points).sum(axis=1)[:, None] ** np.arange(size)).mean(axis=0)

    return EvenMoments(rows, 2 * np.arange(size), values, np.eye(size)[:, 1:], discrete)


def _rising(start: Fraction, count: int) -> Fraction:
    return math.prod((start + k for k in range(count)), start=Fraction(1))

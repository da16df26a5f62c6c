"""Eigenpairs of a diagonal matrix less a matrix of rank one, to high relative accuracy and in O(d^2). Derived.

diag(g) - w w^T has one eigenvalue below each g_j and above the one before, the root of 1 = sum w_i^2 / (g_i - x). Roots
are solved for as offsets from the nearest pole, or from 0, so that a decay of 1e-14 beside one of 1 keeps its digits
(R.-C. Li's rational interpolation, LAPACK working note 89). The weights are then made anew from the roots (Gu and
Eisenstat, SIAM J. Matrix Anal. 15, 1994), of which eigenvectors follow that are orthogonal to rounding. Products
with them need no matrix: each is made where it is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .compiling import compiled
from .spectral_sums import share

SUMS = {"reassoc", "contract", "nsz"}  # sums may be put into vectors
ROUNDS = 80  # of a root; a few do
ROOT_ERROR = 4e-16
SMALLEST = 1e-290  # square of a weight that couples nothing


@compiled
def _gaps(poles, origin, s, out):
    # Apart from the sums, which may be put in another order: this difference may not.
    for i in range(poles.size):
        out[i] = (poles[i] - origin) - s


@compiled(fastmath=SUMS)
def _sums(gaps, squares, first, last):
    value, slope = 0.0, 0.0
    for i in range(first, last):
        part = 1.0 / gaps[i]
        value += squares[i] * part
        slope += squares[i] * part * part
    return value, slope


@compiled
def _sides(poles, squares, origin, s, split, gaps):
    """Sums of w^2 / (g - x) and of their derivatives over the poles before `split` and from it on; x = origin + s."""
    _gaps(poles, origin, s, gaps)
    left, left_slope = _sums(gaps, squares, 0, split)
    right, right_slope = _sums(gaps, squares, split, poles.size)
    return left, left_slope, right, right_slope


@compiled
def _roots(poles, squares, total, first, last, origins, offsets):
    """Roots first..last-1 as x = origins - offsets."""
    gaps = np.empty_like(poles)
    for j in range(first, last):
        high = poles[j]
        low = poles[j - 1] if j else high - total * (1.0 + 1e-15)
        # On which half does it lie? The origin is the pole nearer to it; 0 may stand for one below the first.
        if j:
            left, _, right, _ = _sides(poles, squares, high, -(high - low) / 2, j, gaps)
            origin = high if left + right < 1.0 else low
        else:
            origin = high
            if high > 0.0:
                _, _, right, _ = _sides(poles, squares, 0.0, high / 2, 0, gaps)
                origin = high if right < 1.0 else 0.0
        a, b = low - origin, high - origin  # poles beside it, seen from the origin; of the first root only b
        lower, upper = a, b
        if j and origin == high:
            lower = -(high - low) / 2
        elif j:
            upper = (high - low) / 2
        elif origin == 0.0:
            upper = high / 2
        else:  # all of `total` below its pole, which may be less than the pole's rounding
            lower = -total * (1.0 + 1e-15)
            if high > 0.0:
                lower = max(lower, -high / 2)
        s = (lower + upper) / 2
        if s == 0.0 or not (lower < s < upper):
            s = lower if lower != 0.0 else upper
        for _ in range(ROUNDS):
            left, left_slope, right, right_slope = _sides(poles, squares, origin, s, j, gaps)
            value = 1.0 - left - right
            if value > 0.0:
                lower = s
            else:
                upper = s
            if abs(value) <= 1e-16 * (1.0 + abs(left) + abs(right)):
                break
            # left ~ p0 + p1 / (a - x), right ~ q0 + q1 / (b - x), by value and slope.
            q1 = right_slope * (b - s) * (b - s)
            q0 = right - right_slope * (b - s)
            moved = np.nan
            if j:
                p1 = left_slope * (a - s) * (a - s)
                p0 = left - left_slope * (a - s)
                c = 1.0 - p0 - q0
                linear = c * (a + b) - p1 - q1
                constant = c * a * b - p1 * b - q1 * a
                root = linear * linear - 4.0 * c * constant
                if root >= 0.0:
                    half = (linear + (np.sqrt(root) if linear >= 0.0 else -np.sqrt(root))) / 2
                    one = half / c if c != 0.0 else np.nan
                    two = constant / half if half != 0.0 else np.nan
                    moved = one if lower < one < upper else two
            elif 1.0 - q0 > 0.0:
                moved = b - q1 / (1.0 - q0)
            if not lower < moved < upper:
                same = lower * upper > 0.0
                moved = np.sign(lower) * np.sqrt(lower * upper) if same else (lower + upper) / 2
                if not lower < moved < upper:
                    break
            done = abs(moved - s) <= ROOT_ERROR * abs(moved)
            s = moved
            if done:
                break
        origins[j], offsets[j] = origin, -s


@compiled
def _remade(poles, origins, offsets, first, last, weights):
    """The weights of which these roots are exact."""
    for i in range(first, last):
        product = (poles[i] - origins[i]) + offsets[i]
        for j in range(poles.size):
            if j != i:
                product *= ((poles[i] - origins[j]) + offsets[j]) / (poles[i] - poles[j])
        weights[i] = np.sqrt(product) if product > 0.0 else 0.0


@compiled(fastmath=SUMS)
def _dot(a, b):
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@compiled
def _projected(poles, weights, origins, offsets, columns, first, last, lengths, out):
    """Products (k, m) of the eigenvectors first..last-1 with columns (k, m), and their lengths before scaling."""
    vector = np.empty_like(poles)
    for j in range(first, last):
        _gaps(poles, origins[j], -offsets[j], vector)
        for i in range(poles.size):
            vector[i] = weights[i] / vector[i]
        lengths[j] = np.sqrt(_dot(vector, vector))
        for k in range(columns.shape[0]):
            out[k, j] = _dot(columns[k], vector) / lengths[j]


@dataclass(frozen=True, eq=False)
class RankOneSpectrum:
    """Of diag(g) - w w^T, where w acts.

    Modes with equal g are turned so that one alone is coupled; the others, and those with w = 0, keep g as their
    eigenvalue.

    Parameters
    ----------
    diagonal : (d,) array
        g.
    root : (d,) array
        w, not negative.

    Attributes
    ----------
    decays : (m,) array
        Eigenvalues of the coupled part, rising.
    """

    diagonal: np.ndarray
    root: np.ndarray

    @cached_property
    def _unit(self) -> float:
        """Decays are counted in it, a power of four: tiny ones, squared, would leave the range of numbers."""
        largest = float(np.abs(self.diagonal).max(initial=0.0))
        return float(4.0 ** np.rint(np.log2(largest) / 2)) if 0 < largest < np.inf else 1.0

    @cached_property
    def _root(self) -> np.ndarray:
        return self.root / np.sqrt(self._unit)

    @cached_property
    def _groups(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Coupled modes in rising order, the group of each, distinct poles (m,), weights (m,) of the groups."""
        coupled = np.flatnonzero(np.square(self._root) > SMALLEST)
        order = coupled[np.argsort(self.diagonal[coupled], kind="stable")]
        poles, group = np.unique(self.diagonal[order] / self._unit, return_inverse=True)
        squares = np.bincount(group, np.square(self._root[order]), minlength=poles.size)
        return order, group, poles, np.sqrt(squares)

    @cached_property
    def _solved(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Origins, offsets, remade weights and lengths of the eigenvectors."""
        _, _, poles, weights = self._groups
        squares, pairs = np.square(weights), poles.size**2
        origins, offsets, remade, lengths = (np.empty(poles.size) for _ in range(4))
        total = float(squares.sum())
        share(poles.size, lambda i, j: _roots(poles, squares, total, i, j, origins, offsets), pairs)
        share(poles.size, lambda i, j: _remade(poles, origins, offsets, i, j, remade), pairs)
        nothing, out = np.empty((0, poles.size)), np.empty((0, poles.size))
        share(
            poles.size, lambda i, j: _projected(poles, remade, origins, offsets, nothing, i, j, lengths, out), pairs
        )
        return origins, offsets, remade, lengths

    @cached_property
    def decays(self) -> np.ndarray:
        origins, offsets, _, _ = self._solved
        return (origins - offsets) * self._unit

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Coefficients (..., m) of vectors (..., d) in the coupled eigenvectors."""
        order, group, poles, weights = self._groups
        origins, offsets, remade, lengths = self._solved
        flat = np.atleast_2d(vectors)
        grouped = np.zeros((len(flat), poles.size))
        for row, vector in zip(grouped, flat):
            row += np.bincount(group, vector[order] * self._root[order], minlength=poles.size)
        columns, out = grouped / weights, np.empty_like(grouped)
        share(
            poles.size, lambda i, j: _projected(poles, remade, origins, offsets, columns, i, j, lengths, out),
            poles.size**2,
        )  # fmt: skip
        return out.reshape(*np.shape(vectors)[:-1], poles.size)

    def vectors(self) -> np.ndarray:
        """Coupled eigenvectors (d, m), one a column."""
        order, group, poles, weights = self._groups
        origins, offsets, remade, lengths = self._solved
        inner = remade[:, None] / ((poles[:, None] - origins) + offsets) / lengths
        found = np.zeros((self.diagonal.size, poles.size))
        found[order] = inner[group] * (self._root[order] / weights[group])[:, None]
        return found

    def eigenpairs(self) -> tuple[np.ndarray, np.ndarray]:
        """All eigenvalues (d,) and eigenvectors (d, d), one a column: first the coupled ones, rising."""
        d, (order, group, poles, _) = self.diagonal.size, self._groups
        vectors, values, place = np.zeros((d, d)), np.empty(d), poles.size
        vectors[:, :place] = self.vectors()
        values[:place] = self.decays
        for index in range(poles.size):
            members = order[group == index]
            if members.size > 1:  # what is orthogonal to w in the group
                turned = np.linalg.qr(np.column_stack([self._root[members], np.eye(members.size)[:, :-1]]))[0][:, 1:]
                vectors[np.ix_(members, range(place, place + members.size - 1))] = turned
                values[place : place + members.size - 1] = poles[index] * self._unit
                place += members.size - 1
        for mode in np.flatnonzero(np.square(self._root) <= SMALLEST):
            vectors[mode, place], values[place] = 1.0, self.diagonal[mode]
            place += 1
        return values, vectors

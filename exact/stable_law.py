"""The symmetric stable law on the line: E exp(i t (X - centre)) = exp(-|scale t|^index).

At index 2 it is normal with variance 2 scale^2, at index 1 Cauchy's. With the angle and the exponential variable of
Chambers, Mallows and Stuck (1976), P(X > x) is a mean of exp(-g), or of 1 - exp(-g) below index 1, over angles; g is
monotone in the angle, and the double-exponential rule is applied on both sides of the angle where g = 1. Far out a
series takes over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from .errors import InvalidInput, non_negative, positive, real_array, real_number

Array = np.ndarray
NEAR_ONE = 1e-3  # within it of index 1 a parabola through three indices is taken: the integral loses digits there
NODES, MORE_NODES = 161, 321  # of the double-exponential rule, on each side; the second within SHARP of index 1
SHARP = 0.1
TERMS = 6  # of the series in x^-index, which is used where that is below FAR
FAR = 1e-3
BLOCK = 4096  # points of one array of nodes
KNOTS = 8192  # of the table of quantiles
BISECTIONS = 70
LEAST_TAIL = 1e-20  # down to which quantiles are tabulated; beyond, the tail is its leading power


def stable_index(index: Any) -> float:
    """The index as a number above 0 and at most 2.

    Raises
    ------
    InvalidInput
        If it is none.
    """
    index = positive("index", index)
    if index > 2:
        raise InvalidInput(f"index must be above 0 and at most 2, got {index:g}: no law is stable with more")
    return index


@dataclass(frozen=True)
class StableLaw:
    """The law; `cdf`, `sf`, `pdf` and `ppf` take arrays, as a frozen distribution of scipy.stats does.

    Probabilities are right to 1e-9, and tails to a relative 1e-6 for indices from 0.3 to 1.999.

    Parameters
    ----------
    index : float
        Above 0, at most 2; below 2 it is the tail index.
    scale : float
        At least zero; at zero all mass lies at the centre.
    centre : float
    """

    index: float
    scale: float = 1.0
    centre: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "index", stable_index(self.index))
        object.__setattr__(self, "scale", non_negative("scale", self.scale))
        object.__setattr__(self, "centre", real_number("centre", self.centre))

    def characteristic_function(self, t: Array) -> Array:
        """E exp(i t X)."""
        t = real_array("t", t)
        return np.exp(1j * self.centre * t - np.abs(self.scale * t) ** self.index)

    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        if self.scale == 0:
            return np.where(real_array("x", x) < self.centre, 1.0, 0.0)
        z = self._standard(x)
        above = _standard_tail(np.abs(z), self.index)
        return np.where(z > 0, above, 1 - above)

    def cdf(self, x: Array) -> Array:
        """P(X <= x)."""
        if self.scale == 0:
            return 1 - self.sf(x)
        z = self._standard(x)
        beyond = _standard_tail(np.abs(z), self.index)
        return np.where(z < 0, beyond, 1 - beyond)

    def pdf(self, x: Array) -> Array:
        """Density.

        Raises
        ------
        InvalidInput
            At scale zero, where there is none.
        """
        if self.scale == 0:
            raise InvalidInput("scale is 0: all mass lies at the centre, and there is no density; take cdf")
        return _standard_density(np.abs(self._standard(x)), self.index) / self.scale

    def ppf(self, probability: Array) -> Array:
        """Quantiles, to a relative 1e-5 of the distance from the centre."""
        p = real_array("probability", probability)
        if p.size and not (p.min() >= 0 and p.max() <= 1):
            raise InvalidInput(f"probability must lie between 0 and 1, got {p.min():g} to {p.max():g}")
        with np.errstate(divide="ignore"):
            return self.centre + self.scale * np.sign(p - 0.5) * _standard_place(np.minimum(p, 1 - p), self.index)

    def absolute_moment(self, order: float) -> float:
        """E |X - centre|^order; inf from the index on, below 2. Derived."""
        p = real_number("order", order)
        if p <= -1 or (p >= self.index and self.index < 2):
            return math.inf
        if self.index == 2:
            return float((2 * self.scale) ** p * special.gamma((1 + p) / 2) / math.sqrt(math.pi))
        ratio = special.gamma((1 + p) / 2) * special.gamma(1 - p / self.index) / special.gamma(1 - p / 2)
        return float((2 * self.scale) ** p * ratio / math.sqrt(math.pi))

    def mean(self) -> float:
        """The centre; nan, as in scipy.stats, up to index 1, where there is no mean."""
        return self.centre if self.index > 1 else math.nan

    def var(self) -> float:
        """inf below index 2."""
        return 2 * self.scale**2 if self.index == 2 else math.inf

    @property
    def tail_constant(self) -> float:
        """C of P(X > x) ~ C x^-index; zero at index 2."""
        return _tail_constant(self.index) * self.scale**self.index

    def _standard(self, x: Array) -> Array:
        return (real_array("x", x) - self.centre) / self.scale


def _tail_constant(index: float) -> float:
    if index == 2:
        return 0.0
    return float(special.gamma(index) * math.sin(math.pi * (1 - index / 2)) / math.pi)


def _standard_tail(x: Array, index: float) -> Array:
    """P(X > x) at x >= 0."""
    if index == 2:
        return special.ndtr(-x / math.sqrt(2))
    if index == 1:
        with np.errstate(divide="ignore"):
            return np.arctan(1 / x) / math.pi
    if abs(index - 1) < NEAR_ONE:
        return _across_one(_standard_tail, x, index)
    return np.where(x > _far(index), _series(x, index)[0], _integrals(np.minimum(x, _far(index)), index)[0])


def _standard_density(x: Array, index: float) -> Array:
    """Density at x >= 0."""
    if index == 2:
        return np.exp(-x * x / 4) / math.sqrt(4 * math.pi)
    if index == 1:
        return 1 / (math.pi * (1 + x * x))
    if abs(index - 1) < NEAR_ONE:
        return _across_one(_standard_density, x, index)
    # Near 0 the first terms of the power series, elsewhere the integral over x.
    peak, bend = special.gamma(1 + 1 / index) / math.pi, special.gamma(3 / index) / (2 * math.pi * index)
    near = np.sqrt(peak / bend) * 1e-5
    inside = _integrals(np.clip(x, near, _far(index)), index)[1]
    return np.where(x < near, peak - bend * x * x, np.where(x > _far(index), _series(x, index)[1], inside))


def _across_one(function: Any, x: Array, index: float) -> Array:
    """Parabola in the index through those of 1 - h, 1 and 1 + h, right to h^3, h = 2 NEAR_ONE."""
    u = (index - 1) / (2 * NEAR_ONE)
    ends = [function(x, 1 + sign * 2 * NEAR_ONE) for sign in (-1, 1)]
    return ends[0] * u * (u - 1) / 2 + function(x, 1.0) * (1 - u * u) + ends[1] * u * (u + 1) / 2


def _far(index: float) -> float:
    """From here on the series is taken."""
    return max(FAR ** (-1 / index), 40.0)


def _series(x: Array, index: float) -> tuple[Array, Array]:
    """Tail and density by the series in x^-index, which below index 1 converges: the Fourier integral, term by term."""
    x, k = np.maximum(x, _far(index)), np.arange(1, TERMS + 1)
    # sin(pi k index / 2) of the distance from pi k, so that it is exact near index 2
    signs = np.sin(math.pi * k * (1 - index / 2))
    terms = signs * special.gamma(index * k) / special.gamma(k + 1) / math.pi * x[..., None] ** (-index * k)
    return terms.sum(axis=-1), (terms * index * k).sum(axis=-1) / x


@lru_cache
def _rule(nodes: int) -> tuple[Array, Array]:
    """Places in (0, 1) and weights of the double-exponential rule; the places are told from 0, not from 1."""
    u = np.linspace(-4.0, 4.0, nodes)
    inner = math.pi * np.sinh(u)
    return special.expit(inner), (u[1] - u[0]) * math.pi * np.cosh(u) * special.expit(inner) * special.expit(-inner)


def _integrals(x: Array, index: float) -> tuple[Array, Array]:
    """Tail and density at x >= 0, by blocks."""
    flat = np.asarray(x, float).ravel()
    found = [_block(flat[first : first + BLOCK], index) for first in range(0, flat.size, BLOCK)]
    if not found:
        return np.empty(np.shape(x)), np.empty(np.shape(x))
    tail, density = (np.concatenate(parts).reshape(np.shape(x)) for parts in zip(*found))
    return tail, density


def _block(x: Array, index: float) -> tuple[Array, Array]:
    with np.errstate(divide="ignore", over="ignore"):
        log_x = np.log(np.maximum(x, 1e-300))
        low, high = np.full(x.shape, -700.0), np.full(x.shape, 700.0)
        for _ in range(BISECTIONS):  # the angle is pi / 2 expit(r), where g = 1
            r = (low + high) / 2
            short = (_log_g(math.pi / 2 * special.expit(r), math.pi / 2 * special.expit(-r), log_x, index) > 0) == (
                index > 1
            )
            low, high = np.where(short, r, low), np.where(short, high, r)
        share, weights = _rule(MORE_NODES if abs(index - 1) < SHARP else NODES)
        tail, slope = np.zeros(x.shape), np.zeros(x.shape)
        for first in (True, False):  # from angle 0, and from angle pi / 2
            length = math.pi / 2 * special.expit(r if first else -r)
            near = length[:, None] * share
            away = math.pi / 2 - near
            g = np.exp(_log_g(*((near, away) if first else (away, near)), log_x[:, None], index))
            kept = np.exp(-g) if index > 1 else -np.expm1(-g)
            tail += length * (kept @ weights)
            slope += length * ((np.minimum(g, 700.0) * np.exp(-np.minimum(g, 700.0))) @ weights)
        density = index / (abs(index - 1) * math.pi) * slope / np.maximum(x, 1e-300)
    return tail / math.pi, density


def _log_g(angle: Array, rest: Array, log_x: Array, index: float) -> Array:
    """log of x^(a / (a - 1)) V(angle); `rest` is pi / 2 - angle, whose sine is the cosine."""
    sine = np.sin(index * angle)
    if index > 1:
        sine = np.where(angle > rest, np.sin((2 - index) * math.pi / 2 + index * rest), sine)
    with np.errstate(divide="ignore"):
        logs = index * (log_x - np.log(sine)) + np.log(np.sin(rest))
        return np.log(np.cos((index - 1) * angle)) + logs / (index - 1)


@lru_cache(maxsize=32)
def _table(index: float) -> Any:
    """Place as a function of -log of the tail, by cubics with exact slopes in log(1 + place / unit), and that unit."""
    from scipy.interpolate import CubicHermiteSpline

    unit = 1 / float(special.gamma(1 + 1 / index))  # of the order of the width of the density's peak
    last = max((_tail_constant(index) / LEAST_TAIL) ** (1 / index), 40.0)
    grid = np.linspace(0.0, math.log1p(last / unit), KNOTS)
    x = unit * np.expm1(grid)
    tail, density = _standard_tail(x, index), _standard_density(x, index)
    levels = -np.log(tail)
    kept = np.r_[True, levels[1:] > np.maximum.accumulate(levels)[:-1] + 1e-12] & (density > 0)  # rounding left out
    slopes = tail / np.maximum(density, 1e-300) / (unit + x)
    return CubicHermiteSpline(levels[kept], grid[kept], slopes[kept]), unit


def _standard_place(tail: Array, index: float) -> Array:
    """x >= 0 with P(X > x) = tail, at most 1/2."""
    if index == 2:
        return -math.sqrt(2) * special.ndtri(tail)
    if index == 1:
        return 1 / np.tan(math.pi * tail)
    table, unit = _table(index)
    levels = np.maximum(-np.log(tail), table.x[0])
    far = levels > table.x[-1]
    power = (_tail_constant(index) / np.where(far, np.maximum(tail, 5e-324), 1.0)) ** (1 / index)
    inside = unit * np.expm1(table(np.minimum(levels, table.x[-1])))
    return np.where(tail == 0, np.inf, np.where(far, power, np.maximum(inside, 0.0)))

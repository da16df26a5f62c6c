"""Growth of moments of products of random factors, by quadrature: log E exp(s L), L the logarithm of one factor.

A random factor on a line, |1 - step_size curvature| for example; or |A e| of an isotropic matrix, whose products have
the norms of independent such factors (derived; the form without ridge is that of Gurbuzbalaban, Simsekli and Zhu 2021).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy.special import gammaln, logsumexp

from .tail_index import positive_root

FINEST = 1e-9  # width of the panels next to a singular point
MOST = 400.0  # power of a chi variable that its panels reach
ORDERS = MOST / 2  # of moments of a factor that is quadratic in such variables
NARROW = 60  # degrees of freedom from which on panels begin where the law does
FAR = 600.0  # power of e up to which a moment is added up as it is
EPSILONS = 64.0  # of rounding in a sum of small parts
FEW_EPSILONS = 4.0  # the same of one of them
TINY = 1e-6  # order of moments that is next to 0
CLOSEST = 1e-12  # part of an order, how near roots come to where moments are infinite
ALIKE = 1e-12  # of the largest: eigenvalues that are one; what is isotropic is then right to about that


@dataclass(frozen=True)
class PowerTail:
    """A part of a law whose log sizes L lie beyond a start, |L - start| with an exponential law: a power of the factor.

    Attributes
    ----------
    start : float
    log_mass : float
        Logarithm of its probability.
    rate : float
        Of the exponential law: above the start moments are finite below that order.
    side : int
        1 above the start, -1 below it.
    rate_error : float
    """

    start: float
    log_mass: float
    rate: float
    side: int
    rate_error: float = 0.0

    def power(self, order: float) -> float:
        """log of the mean of exp(order L); inf where it is infinite."""
        part = self.side * order / self.rate
        return order * self.start - math.log1p(-part) if part < 1 else math.inf

    def slope(self, order: float) -> float:
        """Derivative of `power`."""
        return self.start + self.side / (self.rate - self.side * order)


@dataclass(frozen=True, eq=False)
class FactorGrowth:
    """Moments of a factor with log sizes (n,) of log weights (n,), which are made to add up to 1.

    Attributes
    ----------
    log_sizes, log_weights : (n,) arrays
        -inf for a factor 0.
    rounding : float or (n,) array
        Error of the log sizes that they have in common, or of each.
    tails : tuple of PowerTail
        Beside the sizes.
    log_bound : float, optional
        Log of the largest size that is possible, inf where there is none; None: the largest of the sizes.
    reach : float
        Order of moments up to which the sizes serve.
    """

    log_sizes: np.ndarray
    log_weights: np.ndarray
    rounding: float | np.ndarray = 0.0
    tails: tuple[PowerTail, ...] = ()
    log_bound: float | None = None
    reach: float = math.inf

    def __call__(self, order: float) -> float:
        """log E |factor|^order."""
        powers = self._powers(order)
        if powers.max(initial=0.0) <= FAR:
            # What is small keeps its digits: in high dimension the growth is, at every order below the index.
            change = float(np.exp(self._weights) @ np.expm1(powers) - self._vanishing)
            if change > -0.5:
                return math.log1p(change)
        return float(logsumexp(powers + self._weights))

    def per_order(self, order: float) -> float:
        """log E |factor|^order / order: it rises from the Lyapunov exponent, and keeps its digits at small orders."""
        return self(order) / order

    def _powers(self, order: float) -> np.ndarray:
        return np.append(order * self._seen, [tail.power(order) for tail in self.tails])

    @cached_property
    def _kept(self) -> np.ndarray:
        return np.isfinite(self.log_sizes)

    @cached_property
    def _seen(self) -> np.ndarray:
        return self.log_sizes[self._kept]

    @cached_property
    def _total(self) -> float:
        return float(logsumexp(np.append(self.log_weights, [tail.log_mass for tail in self.tails])))

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.append(self.log_weights[self._kept], [tail.log_mass for tail in self.tails]) - self._total

    @cached_property
    def _vanishing(self) -> float:
        """Probability of a factor 0."""
        return float(np.exp(self.log_weights[~self._kept] - self._total).sum())

    @property
    def exponent(self) -> float:
        """E log |factor|; -inf where it may be 0."""
        if self._vanishing > 0:
            return -np.inf
        return float(np.exp(self._weights) @ np.append(self._seen, [tail.slope(0.0) for tail in self.tails]))

    def error(self, order: float) -> float:
        """Of log E |factor|^order, by rounding."""
        powers = np.minimum(self._powers(order), FAR)
        weights = np.exp(self._weights)
        lost = min(EPSILONS, FEW_EPSILONS + weights.size) + np.abs(powers) + np.where(weights > 0, -self._weights, 0.0)
        small = float(weights @ (lost * np.abs(np.expm1(powers)))) + EPSILONS * self._vanishing
        known = self.rounding
        if isinstance(known, np.ndarray):
            known = float(weights[: self._seen.size] @ (known[self._kept] * np.exp(powers[: self._seen.size])))
        return float(np.finfo(float).eps) * small + order * known

    @property
    def exponent_error(self) -> float:
        """Of E log |factor|, by rounding; nan where that is -inf."""
        return self.error(TINY) / TINY if math.isfinite(self.exponent) else math.nan

    @property
    def largest(self) -> float:
        """Of the log sizes of some probability."""
        if self.log_bound is not None:
            return self.log_bound
        return float(self._seen[np.isfinite(self.log_weights[self._kept])].max(initial=-np.inf))

    @property
    def finite_below(self) -> float:
        """Order from which on moments are infinite."""
        return min((tail.rate for tail in self.tails if tail.side > 0), default=math.inf)

    def slope(self, order: float) -> float:
        """Derivative of log E |factor|^order."""
        terms = self._powers(order) + self._weights
        sizes = np.append(self._seen, [tail.slope(order) for tail in self.tails])
        return float(np.exp(terms - logsumexp(terms)) @ sizes)


def factor_root(fine: FactorGrowth, coarse: FactorGrowth, largest: float) -> tuple[float, float]:
    """The order at which a moment is 1, and its error; inf where there is none up to the largest.

    The exponent must lie below 0. From two resolutions of one law; roots near 0 keep their digits.
    """
    top, largest = fine.finite_below, min(largest, fine.reach)
    if top <= largest:
        largest = top * (1 - CLOSEST)
        if fine(largest) <= 0:  # the rest of the way up goes through 1
            return top, CLOSEST * top + abs(top - coarse.finite_below)
    index = positive_root(fine.per_order, largest, smallest=0.0)
    if not math.isfinite(index):
        return math.inf, 0.0
    slope = fine.slope(index) - fine(index) / index
    return index, (abs(fine(index) - coarse(index)) + fine.error(index)) / slope + 1e-13 * index


def alike(eigenvalues: np.ndarray) -> bool:
    """Whether eigenvalues (d,) are one number, up to rounding."""
    return bool(np.ptp(eigenvalues) <= ALIKE * np.abs(eigenvalues).max())


def isotropic_growth(dimension: int, kept: float, scale: float, batch_size: float, nodes: int = 16) -> FactorGrowth:
    """Of |A e|, A = kept - scale * sum of batch_size squares a a^T, a ~ N(0, 1) in `dimension`: derived.

    |A e|^2 = (kept - scale X)^2 + scale^2 X Y with X ~ chi^2 of batch_size and Y ~ chi^2 of dimension - 1 degrees. The
    formula takes any real batch size of at least 1.
    """
    x, log_x = chi_panels(batch_size, 0.0 if scale == 0 else np.sqrt(max(kept / scale, 0.0)), nodes)
    rounding = 0.0 if kept == 1 else float(np.spacing(kept))
    bound = None if scale == 0 else math.inf
    if dimension == 1:
        with np.errstate(divide="ignore"):
            return FactorGrowth(np.log(np.abs(kept - scale * x**2)), log_x, rounding, log_bound=bound)
    y, log_y = chi_panels(dimension - 1, 0.0, nodes)
    step, along = scale * x[:, None], kept - scale * x[:, None] ** 2
    change = (kept - 1 - step * x[:, None]) * (along + 1) + (step * y) ** 2  # |A e|^2 - 1
    with np.errstate(divide="ignore"):
        near = np.log1p(np.maximum(change, -0.5))
        sizes = 0.5 * np.where(change > -0.5, near, np.log(along**2 + (step * y) ** 2))
    return FactorGrowth(sizes.ravel(), np.add.outer(log_x, log_y).ravel(), rounding, log_bound=bound)


def chi_panels(
    degrees: float, singular: float | np.ndarray, nodes: int, finest: float = FINEST, most: float = MOST
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of a chi law with panels that shrink towards singular points, and logarithms of their weights.

    Parameters
    ----------
    nodes : int
        A panel.
    finest : float
        Width of the panels next to a singular point.
    most : float
        Power of the number whose mean is still exact.
    """
    from scipy.stats import chi

    first = float(chi.ppf(1e-30, degrees)) if degrees > NARROW else 0.0
    last = float(chi.isf(1e-20, degrees + most))
    width = 1.5
    edges = set(np.linspace(first, last, int((last - first) / width) + 2).tolist())
    steps = width * 0.25 ** np.arange(int(np.log(width / finest) / np.log(4)) + 2)
    for place in np.unique(singular):
        for away in (0.0, *steps, *-steps):
            edges |= {float(place + away)} if first <= place + away < last else set()
    points, weights = gauss_panels(np.array(sorted(edges)), nodes)
    power = degrees - 1
    mode = np.sqrt(power)
    if power:  # from the mode: the parts of the logarithm would cancel
        away = (points - mode) / mode
        density = power * (np.log1p(away) - away * (1 + away / 2)) + power * (np.log(mode) - 0.5)
    else:
        density = -(points**2) / 2
    return points, density - (degrees / 2 - 1) * np.log(2) - gammaln(degrees / 2) + np.log(weights)


@lru_cache(maxsize=8)
def _gauss(nodes: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(nodes)


def gauss_panels(edges: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on the panels between edges (n,)."""
    points, weights = _gauss(nodes)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + points)).ravel(), (half * weights).ravel()


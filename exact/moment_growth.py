"""Growth of moments of products of random factors, by quadrature: log E exp(s L), L the logarithm of one factor.

A random factor on a line, |1 - step_size curvature| for example; or |A e| of an isotropic matrix, whose products have
the norms of independent such factors (derived; the form without ridge is that of Gurbuzbalaban, Simsekli and Zhu 2021).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy.special import gammaln, logsumexp

from .errors import InvalidInput

FINEST = 1e-9  # width of the panels next to a singular point
MOST = 400.0  # power of a chi variable that its panels reach
ORDERS = MOST / 2  # of moments of a factor that is quadratic in such variables
NARROW = 60  # degrees of freedom from which on panels begin where the law does
FAR = 600.0  # power of e up to which a moment is added up as it is
EPSILONS = 64.0  # of rounding in a sum of small parts
CONTINUOUS = 32.0  # the same of a distribution, from its quantiles


@dataclass(frozen=True, eq=False)
class FactorGrowth:
    """Moments of a factor with log sizes (n,) of log weights (n,), which are made to add up to 1.

    Attributes
    ----------
    log_sizes, log_weights : (n,) arrays
        -inf for a factor 0.
    rounding : float
        Error of the log sizes that they have in common.
    bounded : bool
        False where some factor is larger than all of these.
    """

    log_sizes: np.ndarray
    log_weights: np.ndarray
    rounding: float = 0.0
    bounded: bool = True

    def __call__(self, order: float) -> float:
        """log E |factor|^order."""
        powers = order * self._seen
        if powers.max(initial=0.0) > FAR:
            return float(logsumexp(powers + self._weights))
        # What is small keeps its digits: in high dimension the growth is, at every order below the index.
        return float(np.log1p(np.exp(self._weights) @ np.expm1(powers) - self._vanishing))

    @cached_property
    def _kept(self) -> np.ndarray:
        return np.isfinite(self.log_sizes)

    @cached_property
    def _seen(self) -> np.ndarray:
        return self.log_sizes[self._kept]

    @cached_property
    def _weights(self) -> np.ndarray:
        return self.log_weights[self._kept] - logsumexp(self.log_weights)

    @cached_property
    def _vanishing(self) -> float:
        """Probability of a factor 0."""
        return float(np.exp(self.log_weights[~self._kept] - logsumexp(self.log_weights)).sum())

    @property
    def exponent(self) -> float:
        """E log |factor|; -inf where it may be 0."""
        if self._vanishing > 0:
            return -np.inf
        return float(np.exp(self._weights) @ self._seen)

    def error(self, order: float) -> float:
        """Of log E |factor|^order, by rounding."""
        powers = np.minimum(order * self._seen, FAR)
        small = float(np.exp(self._weights) @ np.abs(np.expm1(powers))) + self._vanishing
        return EPSILONS * float(np.finfo(float).eps) * small + order * self.rounding

    @property
    def largest(self) -> float:
        """Of the log sizes of some probability."""
        return float(self._seen[np.isfinite(self._weights)].max(initial=-np.inf))

    def slope(self, order: float) -> float:
        """Derivative of log E |factor|^order."""
        terms = order * self._seen + self._weights
        return float(np.exp(terms - logsumexp(terms)) @ self._seen)


def isotropic_growth(dimension: int, kept: float, scale: float, batch_size: int, nodes: int = 16) -> FactorGrowth:
    """Of |A e|, A = kept - scale * sum of batch_size squares a a^T, a ~ N(0, 1) in `dimension`: derived.

    |A e|^2 = (kept - scale X)^2 + scale^2 X Y with X ~ chi^2 of batch_size and Y ~ chi^2 of dimension - 1 degrees.
    """
    x, log_x = chi_panels(batch_size, 0.0 if scale == 0 else np.sqrt(max(kept / scale, 0.0)), nodes)
    rounding = 0.0 if kept == 1 else float(np.spacing(kept))
    if dimension == 1:
        with np.errstate(divide="ignore"):
            return FactorGrowth(np.log(np.abs(kept - scale * x**2)), log_x, rounding, False)
    y, log_y = chi_panels(dimension - 1, 0.0, nodes)
    step, along = scale * x[:, None], kept - scale * x[:, None] ** 2
    change = (kept - 1 - step * x[:, None]) * (along + 1) + (step * y) ** 2  # |A e|^2 - 1
    with np.errstate(divide="ignore"):
        near = np.log1p(np.maximum(change, -0.5))
        sizes = 0.5 * np.where(change > -0.5, near, np.log(along**2 + (step * y) ** 2))
    return FactorGrowth(sizes.ravel(), np.add.outer(log_x, log_y).ravel(), rounding, False)


def chi_panels(
    degrees: int, singular: float | np.ndarray, nodes: int, finest: float = FINEST, most: float = MOST
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


def continuous_growth(law: Any, nodes: int, digits: int = 18) -> FactorGrowth:
    """Of a factor with a continuous distribution of scipy: panels between its quantiles, finer about 0.

    The outermost are those of 10^-digits.

    Raises
    ------
    InvalidInput
        If the weights of the panels do not add up to 1: a density that is rough, or not one.
    """
    tails = 10.0 ** -np.arange(float(digits), 0.0, -1.0)
    edges = np.concatenate([law.ppf(tails), law.ppf(np.linspace(0.15, 0.85, 15)), law.isf(tails)])
    edges = edges[np.isfinite(edges)]
    low, high = float(edges.min()), float(edges.max())
    near = (high - low) * 0.25 ** np.arange(1.0, 24.0)
    about = np.concatenate([[0.0], near, -near])
    edges = np.unique(np.concatenate([edges, about[(about > low) & (about < high)]]))
    points, weights = gauss_panels(edges, nodes)
    with np.errstate(divide="ignore"):
        logs = np.log(weights) + np.log(law.pdf(points))
        found = FactorGrowth(np.log(np.abs(points)), logs)
    total = float(np.exp(logsumexp(logs)))
    if not abs(total - 1) < 1e-6:
        raise InvalidInput(
            f"the density of the law adds up to {total:.6g} by quadrature, not to 1: give factors with "
            "probabilities instead"
        )
    return found


def gauss_panels(edges: np.ndarray, nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights on the panels between edges (n,)."""
    points, weights = _gauss(nodes)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (1 + points)).ravel(), (half * weights).ravel()


"""Distribution functions of stable laws with skewness, and their fit to a sample by its quantiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from .stable_table import MOST, index_of, ratios

LEVELS = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
NODES = 241  # of the angle; right to 1e-6 but within 0.1 of index one, where to 1e-3
NOT_ONE = 0.01  # distance from index one, where the parametrisation has a pole
PLACES = 400  # of a sample where its fitted law is computed, the rest between them
HALVINGS = 60  # of a bracket of a quantile
WIDEST = math.asinh(1e12)


@dataclass(frozen=True)
class StableFit:
    """A stable law fitted to a sample by McCulloch's quantiles.

    Attributes
    ----------
    index, skewness, location, scale : float
        Location and scale of scipy's levy_stable in its parametrisation S1.
    below : (n,) array
        P(X <= x) of the fitted law at the sorted sample.
    """

    index: float
    skewness: float
    location: float
    scale: float
    below: np.ndarray

    def outside(self, centre: float, t: np.ndarray) -> np.ndarray:
        """P(|X - centre| > t) for t (m,)."""
        right, left = (centre - self.location + t) / self.scale, (self.location - centre + t) / self.scale
        return survival(right, self.index, self.skewness) + survival(left, self.index, -self.skewness)


def fit_stable(ordered: np.ndarray, symmetric: bool = False) -> StableFit:
    """The law with the sample's spread and leaning, median and middle half; `ordered` (n,) rises."""
    whole = np.quantile(ordered, LEVELS, method="hazen")  # McCulloch's convention
    spread, leaning = ratios(whole)
    index, skewness = (
        float(found[0]) for found in index_of(np.array([spread]), np.array([0.0 if symmetric else leaning]))
    )
    index = 1 + math.copysign(max(abs(index - 1), NOT_ONE), index - 1)
    lower, middle, upper = quantiles(index, skewness, LEVELS[1:4])
    scale = (whole[3] - whole[1]) / (upper - lower)
    location = whole[2] - scale * middle
    n = len(ordered)
    places = np.unique(np.linspace(0, n - 1, min(PLACES, n)).astype(int))
    below = survival((location - ordered[places]) / scale, index, -skewness)
    return StableFit(index, skewness, float(location), float(scale), np.interp(np.arange(n), places, below))


def draw_stable(index: float, skewness: float, n: int, generator: np.random.Generator) -> np.ndarray:
    """n values of that law by Chambers, Mallows and Stuck (1976), index other than one."""
    angle, wait = math.pi * (generator.random(n) - 0.5), generator.standard_exponential(n)
    lean = skewness * math.tan(math.pi * index / 2)
    turned = index * angle + math.atan(lean)
    bent = np.sin(turned) / np.cos(angle) ** (1 / index) * (np.cos(angle - turned) / wait) ** ((1 - index) / index)
    return (1 + lean**2) ** (0.5 / index) * bent


def survival(x: np.ndarray, index: float, skewness: float) -> np.ndarray:
    """P(X > x) for x (m,) of the law that Chambers, Mallows and Stuck (1976) draw: scipy's levy_stable, S1."""
    x = np.asarray(x, dtype=float)
    if index >= MOST:
        from scipy.special import ndtr

        return ndtr(-x / math.sqrt(2))
    return np.where(x > 0, _beyond(np.maximum(x, 0), index, skewness), 1 - _beyond(np.maximum(-x, 0), index, -skewness))


def _beyond(x: np.ndarray, index: float, skewness: float) -> np.ndarray:
    # P(X > x) for x >= 0: given the angle of the draw, X is a power of an exponential variable, of known survival.
    turn = math.atan(skewness * math.tan(math.pi * index / 2)) / index
    share, weights = _nodes()
    width = math.pi / 2 + turn
    if width < 1e-9:  # all of the law is on the other side
        return np.zeros(len(x))
    from_edge = width * (1 - share)  # of the angle to pi / 2, kept without cancellation
    edge = np.sin(np.minimum(from_edge, math.pi / 2 + turn))  # cosine of the angle
    turned = index * width * share
    size = math.cos(index * turn) ** (-1 / index) * np.sin(turned) / edge ** (1 / index)
    rest = np.maximum(np.cos(width * share - turn - turned), 1e-300)
    power = index / (index - 1)
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        rate = rest * np.exp(power * (np.log(x)[:, None] - np.log(np.maximum(size, 1e-300))))
    each = np.exp(-rate) if index > 1 else -np.expm1(-rate)
    return each @ weights * (width / math.pi)


@cache
def _nodes() -> tuple[np.ndarray, np.ndarray]:
    # Shares of an interval and their weights, doubly exponential: both ends hold what is far or near zero.
    t = np.linspace(-3.6, 3.6, NODES)
    bent = 0.5 * math.pi * np.sinh(t)
    share = 1 / (1 + np.exp(-2 * bent))
    weights = 0.5 * math.pi * np.cosh(t) / np.cosh(bent) ** 2 / 2 * (t[1] - t[0])
    keep = (share > 0) & (share < 1)
    return share[keep], weights[keep]


def quantiles(index: float, skewness: float, levels: np.ndarray) -> np.ndarray:
    """Where P(X <= x) passes levels (m,), by halving in asinh x."""
    low, high = np.full(len(levels), -WIDEST), np.full(len(levels), WIDEST)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        beyond = survival(np.sinh(middle), index, skewness) > 1 - levels
        low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
    return np.sinh(0.5 * (low + high))


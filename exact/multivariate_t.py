"""Student's t law in d dimensions, the same in every direction about its centre."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from .errors import finite_array, points, positive, real_array, real_number


@dataclass(frozen=True, eq=False)
class MultivariateT:
    """Density ~ (1 + |x - centre|^2 / (index scale^2))^(-(index + d) / 2).

    Parameters
    ----------
    centre : (d,) array
    scale : float
    index : float
        Tail index, the degrees of freedom.
    """

    centre: np.ndarray
    scale: float
    index: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "centre", finite_array("centre", self.centre, ndim=1))
        object.__setattr__(self, "scale", positive("scale", self.scale))
        object.__setattr__(self, "index", positive("index", self.index))

    @property
    def dimension(self) -> int:
        """d."""
        return self.centre.size

    @property
    def covariance(self) -> np.ndarray:
        """(d, d); inf on the diagonal up to index 2, and nan off it."""
        if self.index > 2:
            return self.scale**2 * self.index / (self.index - 2) * np.eye(self.dimension)
        return np.where(np.eye(self.dimension) > 0, np.inf, np.nan)

    def pdf(self, x: np.ndarray) -> np.ndarray:
        """Density at x (..., d)."""
        d, nu = self.dimension, self.index
        square = np.square((points("x", x, d) - self.centre) / self.scale).sum(axis=-1)
        front = special.gammaln((nu + d) / 2) - special.gammaln(nu / 2) - d / 2 * math.log(nu * math.pi)
        return np.exp(front - d * math.log(self.scale) - (nu + d) / 2 * np.log1p(square / nu))

    def norm_cdf(self, radius: np.ndarray) -> np.ndarray:
        """P(|X - centre| <= radius)."""
        square = np.square(real_array("radius", radius) / self.scale)
        return special.betainc(self.dimension / 2, self.index / 2, square / (square + self.index))

    def coordinate_cdf(self, y: np.ndarray) -> np.ndarray:
        """P(u . (X - centre) <= y) for every unit vector u."""
        return special.stdtr(self.index, real_array("y", y) / self.scale)

    def norm_moment(self, order: float) -> float:
        """E |X - centre|^order; inf from the index on."""
        p, d, nu = real_number("order", order), self.dimension, self.index
        if p >= nu:
            return math.inf
        logs = special.gammaln((d + p) / 2) - special.gammaln(d / 2)
        logs += special.gammaln((nu - p) / 2) - special.gammaln(nu / 2)
        return float(np.exp(logs + p * math.log(self.scale) + p / 2 * math.log(nu)))

"""Means over draws of the features in a finite dimension: deterministic equivalents of the resolvent. Derived.

With G = D^(1/2) W W^T D^(1/2), on average (G - z)^-1 is 1 / (m (D + y)) up to O(1/d), where y = -z / m and
m = 1 - (1/d) sum_j D_j / (D_j + y). So z = -y m is a function of y, and integrals about the spectrum are integrals over
y with nothing to solve:

    sum_j c_j f(G)_jj = -(1 / 2 pi i) contour integral of f(z) sum_j c_j / (m (D_j + y)) (dz / dy) dy.

The contour begins between y = kappa, which is z = 0, and the lower edge of the spectrum, goes round the image of the
spectrum, scaled, and ends left of the image of the upper edge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ANGLE = 0.85 * np.pi  # of the ray along which the contour follows the spectrum
NODES = (48, 220, 24)  # of Gauss and Legendre: about the smallest eigenvalues, along the ray, beyond the largest
BISECTIONS = 60
BEYOND = 1.5  # how far the contour lies beyond the upper edge


@dataclass(frozen=True, eq=False)
class Equivalent:
    """Mean spectral sums.

    Attributes
    ----------
    variances : array (v,)
        D.
    dimension : int
        Of the features, below v.
    kappa : float
        y at z = 0.
    """

    variances: np.ndarray
    dimension: int
    kappa: float

    def mean(
        self, coefficients: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Mean of sum_j c_j f(G)_jj without what lies at eigenvalue 0; `function` of z (n,) gives (..., n)."""
        y, weights, z, slope, m = self._contour
        sums = (coefficients / (self.variances + y[:, None])).sum(axis=1) / m
        return np.asarray(-(function(z) * (sums * slope * weights)).sum(axis=-1).imag / np.pi)

    def _places(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """z, dz / dy and m at y (n,)."""
        parts = self.variances / (self.variances + y[:, None])
        m = 1 - parts.sum(axis=1) / self.dimension
        return -y * m, np.square(parts).sum(axis=1) / self.dimension - 1, m

    @cached_property
    def _contour(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """y, weights dy, z, dz / dy, m on the upper half, from right to left in z."""
        low, high = self._edge(0.0, self.kappa), self._upper()
        scale = np.sqrt(self.kappa / low)
        angle, each = _nodes(0.0, ANGLE, NODES[0])
        radius, change = self._image(angle)
        turn = np.exp(1j * angle)
        near = scale * radius * turn, scale * (change + 1j * radius) * turn * each
        last = scale * self._image(np.array([ANGLE]))[0][0]
        logs, each = _nodes(np.log(last), np.log(high), NODES[1])
        along = np.exp(logs + 1j * ANGLE)
        turn, weight = _nodes(ANGLE, np.pi, NODES[2])
        far = high * np.exp(1j * turn)
        y = np.concatenate([near[0], along, far])
        weights = np.concatenate([near[1], along * each, 1j * far * weight])
        # Upper half of y is the lower half of z, from left to right: once counterclockwise about the spectrum.
        return y, weights, *self._places(y)

    def _edge(self, left: float, right: float) -> float:
        """Where dz / dy = 0 between them."""
        from scipy.optimize import brentq

        def slope(y: float) -> float:
            return float(self._places(np.array([y]))[1][0])

        return float(brentq(slope, left, right, xtol=1e-14 * right))

    def _upper(self) -> float:
        """|y| beyond the image of the upper edge."""
        size = float(self.variances[0]) * (1 + 1e-9)
        while self._places(np.array([-size]))[1][0] > 0:
            size *= 1.1
        return BEYOND * size

    def _image(self, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Radius of the image of the spectrum at each angle (n,), and its derivative."""
        turn = np.exp(1j * angle)
        low, high = np.full(angle.size, np.log(self.kappa) - 40), np.full(angle.size, np.log(self.variances[0]) + 2)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            inside = self._places(np.exp(middle) * turn)[0].imag > 0
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        radius = np.exp((low + high) / 2)
        slope = self._places(radius * turn)[1]
        return radius, -(slope * 1j * radius * turn).imag / (slope * turn).imag


def _nodes(first: float, last: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    x, weights = np.polynomial.legendre.leggauss(count)
    return first + (last - first) * (x + 1) / 2, weights * (last - first) / 2

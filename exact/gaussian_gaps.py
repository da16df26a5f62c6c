"""Integrals of the difference between a distribution function and that of the standard normal law."""

from __future__ import annotations

import math

import numpy as np


def excess(z: float) -> float:
    """E max(N - z, 0) of a standard normal N."""
    from scipy.special import ndtr

    return max(0.0, math.exp(-z * z / 2) / math.sqrt(2 * math.pi) - z * float(ndtr(-z)))


def area(places: np.ndarray, below: np.ndarray) -> float:
    """Integral of |F - Phi| of the step function that is below[i] from places[i] on, exact in every cell."""
    from scipy.special import ndtr, ndtri

    def integral(x: np.ndarray) -> np.ndarray:
        return x * ndtr(x) + np.exp(-x * x / 2) / math.sqrt(2 * math.pi)

    level, left, right = below[:-1], places[:-1], places[1:]
    crossing = np.clip(ndtri(np.clip(level, 0.0, 1.0)), left, right)
    areas = level * (2 * crossing - left - right) - 2 * integral(crossing) + integral(left) + integral(right)
    return float(np.maximum(areas, 0.0).sum()) + excess(-float(places[0])) + excess(float(places[-1]))

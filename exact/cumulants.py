"""Cumulants from moments, and moments from cumulants."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np


def cumulants_of_moments(moments: Sequence[float]) -> np.ndarray:
    """Cumulants of orders 1, 2, ... from the raw moments of the same orders; best of a variable near mean 0."""
    found: list[float] = []
    for n, moment in enumerate(moments, start=1):
        lower = sum(math.comb(n - 1, m - 1) * found[m - 1] * moments[n - m - 1] for m in range(1, n))
        found.append(float(moment) - lower)
    return np.array(found)


def moments_of_cumulants(cumulants: Sequence[float]) -> np.ndarray:
    """Raw moments of orders 1, 2, ... from the cumulants of the same orders."""
    found = [1.0]
    for n in range(1, len(cumulants) + 1):
        found.append(sum(math.comb(n - 1, m - 1) * float(cumulants[m - 1]) * found[n - m] for m in range(1, n + 1)))
    return np.array(found[1:])

"""Where Hill's form gives a number that is none: the moment estimate says whether a power law is seen at all."""

from __future__ import annotations

import math

import numpy as np

from sgdlimits.compare.estimates import normal_quantile

from .dependence import clustered
from .result import TailEstimate
from .samples import Tail

LIGHT = 0.99  # confidence with which a light tail is told from a heavy one
BEYOND = 4.0  # times the largest index that is told from a light tail, from which Hill's number is no number


def moment_shape(above: np.ndarray) -> tuple[float, float]:
    """xi and its standard error from log-excesses (k,)."""
    k = len(above)
    first, second = float(above.mean()), float(np.square(above).mean())
    rest = 1 - first**2 / second
    xi = first + 1 - 0.5 / rest if rest > 0 else -math.inf
    if xi >= 0:
        return xi, math.sqrt((1 + xi**2) / k)
    xi = max(xi, -1e3)
    a, b = 1 - 2 * xi, 1 - 3 * xi
    variance = (1 - xi) ** 2 * a * (4 - 8 * a / b + (5 - 11 * xi) * a / (b * (1 - 4 * xi)))
    return xi, math.sqrt(variance / k)


def judged(
    tail: Tail, index: float, lower: float, upper: float, confidence: float, k: int, method: str,
    warnings: tuple[str, ...], details: dict[str, float] | None = None,
) -> TailEstimate:
    """An estimate from the k largest, with what ties, clusters and the moment estimate say against it."""
    shape, error = moment_shape(tail.above(k))
    half = normal_quantile(LIGHT) * error
    if shape + half < 0:
        index = upper = math.inf
        warnings += (
            f"no power law is seen: the moment estimate's shape {shape:.3g} +- {half:.2g} is that of a lighter tail",
        )
    elif shape - half <= 0:
        if shape <= 0:
            upper = math.inf
            index = index if index < BEYOND / half else math.inf
        warnings += (
            f"an index of {1 / half:.3g} and more is beyond what {k} values show: the moment estimate's shape "
            f"{shape:.3g} +- {half:.2g} does not exclude zero, a tail lighter than every power",
        )
    warnings = tail.tied(k) + clustered(tail.sizes, tail.threshold(k)) + warnings
    details = {"threshold": tail.threshold(k), **(details or {})}
    return TailEstimate(index, lower, upper, confidence, k, method, tail.n, warnings, details)

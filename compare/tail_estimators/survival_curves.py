"""The survival function that an estimate of a tail index stands for, beside that of the sample."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .result import TailEstimate
from .samples import Tail
from .stable_law import survival
from .student_fits import skewed_distribution

POINTS = 100


def beyond_threshold(estimate: TailEstimate, tail: Tail) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Levels P(|X| > t) (m,) from the threshold on, and t (m,) there of the index and of both ends of its interval.

    All go through the sample at the threshold: a power for Hill, the power with its second term for the corrected form,
    the generalised Pareto law for moment and Pickands.
    """
    threshold = estimate.details["threshold"]
    above = int(np.count_nonzero(tail.logs > math.log(threshold) * (1 + 1e-12)))
    share = np.geomspace(1.0, min(0.5, 0.5 / max(above, 1)), POINTS)
    sizes = _quantiles(estimate)
    middle, near, far = (
        threshold * sizes(share, 1 / index) for index in (estimate.index, estimate.upper, estimate.lower)
    )
    return share * above / tail.n, middle, near, far


def _quantiles(estimate: TailEstimate) -> Callable[[np.ndarray, float], np.ndarray]:
    # t over the threshold, at these shares of what lies above it, for 1 / index.
    details = estimate.details
    if "shape" in details:
        scale = details["scale"] / details["threshold"]

        def general(share: np.ndarray, shape: float) -> np.ndarray:
            logs = -np.log(share)
            return 1 + scale * (np.expm1(shape * logs) / shape if shape > 0 else logs)

        return general
    if "bend" not in details:
        return lambda share, gamma: share**-gamma

    def second_order(share: np.ndarray, gamma: float) -> np.ndarray:
        # Spacings of mean gamma + slope share^-rho, whose mean is Hill's, added up.
        power = -details["rho"]
        slope = (1 / details["hill"] - gamma) * (1 + power)
        return np.exp(-gamma * np.log(share) + slope * (1 - share**power) / power)

    return second_order


def whole_law(estimate: TailEstimate, side: str, origin: float) -> Callable[[np.ndarray], np.ndarray] | None:
    """P(|X - origin| > t), or of one side, of a law fitted to the whole sample; None where it is not all known."""
    details = estimate.details
    if estimate.k is not None or not {"location", "scale"} <= details.keys() or not math.isfinite(estimate.index):
        return None
    location, scale = details["location"], details["scale"]
    right, left = _sides(estimate)

    def outside(t: np.ndarray) -> np.ndarray:
        parts = {"right": right((t + origin - location) / scale), "left": left((t - origin + location) / scale)}
        return parts["right"] + parts["left"] if side == "both" else parts[side]

    return outside


def _sides(estimate: TailEstimate) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    from scipy.special import stdtr

    details, index = estimate.details, estimate.index
    if "skewness" in details:
        skewness = details["skewness"]
        return lambda t: survival(t, index, skewness), lambda t: survival(t, index, -skewness)
    if "a" in details:
        a, b = details["a"], details["b"]
        return lambda t: skewed_distribution(-t, b, a), lambda t: skewed_distribution(-t, a, b)
    return lambda t: stdtr(index, -t), lambda t: stdtr(index, -t)

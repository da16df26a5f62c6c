"""The first step size, past one at which a growth is below 0, at which it is 0: searched for, and on a line exactly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.stationary_law import Threshold

Exponent = Callable[[float, bool], tuple[float, float]]  # of a step size, roughly or finely: value and error
FIRST, LARGEST = 1e-3, 1e3  # of the mean-square threshold, how far past it the search begins and ends
FEW, FURTHER = 3, 0.05  # directions up to which it begins further out: where they are many thresholds are close
CLOSE, ROUGH = 1e-8, 1e-3  # part of the gap between thresholds to which a root is found, of numbers and of samples
LEAST = -1e3  # growth: a factor 0 makes that of order 0 -inf
WIDE = 0.02  # part of the gap over which the slope of an error is taken
MOST_POLES = 1000  # curvatures between whose inverses all is looked at
GOLDEN, HALVINGS = 0.6180339887498949, 60
ROUNDED = 4 * float(np.finfo(float).eps)


def first_crossing(
    exponent: Exponent, sampled: bool, below: float, label: str, first: float = FIRST
) -> Threshold:
    """Where the exponent rises through 0, past a step size at which it is below 0; `first`, of that, for a beginning.

    Steps are doubled: a stretch without a law that is shorter than they are is stepped over.

    Raises
    ------
    OutOfReach
        If no crossing is found, or the exponent is not resolved below it.
    """
    from scipy.optimize import brentq

    def rough(size: float) -> float:
        return max(exponent(size, False)[0], LEAST)

    gap, low = first * below, below
    while rough(below + gap) <= 0:
        low, gap = below + gap, 2 * gap
        if gap > LARGEST * below:
            raise OutOfReach(f"the Lyapunov exponent of {label} stays below 0 up to step size {below + gap:.4g}")
    if not rough(low) < 0:  # the exponent is 0 there, up to its error
        low = below * (1 - first)
        if not rough(low) < 0:
            raise OutOfReach(
                f"the Lyapunov exponent of {label} comes out as {rough(low):.3g} at step size {low:.4g}, where it must "
                "be below 0: it is too small to be resolved, so where it crosses 0 is not known"
            )
    close = (ROUGH if sampled else CLOSE) * gap
    root = float(brentq(rough, low, below + gap, xtol=close))
    part = WIDE * (root - below + gap)
    slope = (rough(root + part) - rough(root - part)) / (2 * part)
    value, error = exponent(root, True)
    return Threshold(root - value / slope, error / abs(slope) + close)


def crossing_on_a_line(curvatures: np.ndarray, weights: np.ndarray, order: float, below: float) -> Threshold | None:
    """Where E |1 - size c|^order - 1, at order 0 E log |1 - size c|, first rises through 0 past `below`. Derived.

    At orders below 1 each term is concave between the poles 1 / c, so that between two of them the sum rises through 0
    at most once, and before its maximum: none of its crossings is missed, also where the law comes back soon after.

    Parameters
    ----------
    curvatures, weights : (m,) arrays
        Curvatures with the ridge, and their probabilities.
    order : float
        From 0 to below 1.
    below : float
        A step size at which it is below 0.

    Returns
    -------
    Threshold or None
        None where it stays below 0, or there are too many curvatures.
    """
    from scipy.optimize import brentq

    if curvatures.size > MOST_POLES:
        return None

    def growth(size: float) -> float:
        with np.errstate(divide="ignore"):
            logs = np.log(np.abs(1 - size * curvatures))
        return max(float(weights @ np.expm1(order * logs) if order else weights @ logs), LEAST)

    poles = np.unique(1 / curvatures[curvatures > 0])
    for low, high in zip(np.r_[below, poles[poles > below]], np.r_[poles[poles > below], np.inf]):
        top = _above_zero(growth, float(low), float(high))
        if top is not None:
            size = float(brentq(growth, low, top, xtol=ROUNDED * low, rtol=ROUNDED))
            rest = 1 - size * curvatures
            slope = -float(weights @ (curvatures / rest * np.abs(rest) ** order)) * (order or 1.0)
            lost = ROUNDED * float(weights @ ((1 + np.abs(size * curvatures)) / np.abs(rest) * np.abs(rest) ** order))
            lost = lost * (order or 1.0) + ROUNDED
            return Threshold(size, lost / abs(slope) + 4 * ROUNDED * size)
    return None


def _above_zero(growth: Callable[[float], float], low: float, high: float) -> float | None:
    """A place between two at which a function that is concave there is above 0; None where none is."""
    if np.isinf(high):  # past the last pole it rises
        for k in range(HALVINGS):
            if growth(low * 2.0 ** (k + 1)) > 0:
                return low * 2.0 ** (k + 1)
        return None
    if growth(high) > 0:
        return high
    left, right = (high - GOLDEN * (high - low), low + GOLDEN * (high - low))
    at_left, at_right = growth(left), growth(right)
    for _ in range(HALVINGS):
        if max(at_left, at_right) > 0:
            return left if at_left > 0 else right
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = growth(right)
        else:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = growth(left)
    return None

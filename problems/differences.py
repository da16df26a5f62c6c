"""Derivatives that a user left out, by central differences of sixth order of those that were given.

A step starts at one that suits coordinates of order 1 (or as large as the point is) and is cut where the same values
combined to fourth order say that it was too long for this function at this point; each point decides for itself.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

FIRST = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}  # coefficient of f(w + q s) - f(w - q s)
FIRST_LOWER = {1: 2 / 3, 2: -1 / 12, 3: 0.0}
SECOND = {0: -49 / 18, 1: 3 / 2, 2: -3 / 20, 3: 1 / 90}  # coefficient of f(w + q s) + f(w - q s); once at 0
SECOND_LOWER = {0: -5 / 2, 1: 4 / 3, 2: -1 / 12, 3: 0.0}
FIRST_STEP, SECOND_STEP = 4e-3, 2e-2  # truncation and rounding meet near 1e-12 and 1e-10 for functions of order 1
CUT, CUTS = 1 / 8, 12  # a step is cut this far and this often at most
ENOUGH = 1e-7  # relative disagreement of the two orders below which the sixth is far better than asked
ROUGH = 1e-2  # relative change by a cut above which the steps see nothing of the function yet


def slope_along(function: Function, w: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Derivative of `function` at w (..., m) along `direction` (..., m)."""

    def estimate(step):
        move, apart, size = step[..., None] * direction, {}, 0.0
        for q in FIRST:
            ahead, behind = function(w + q * move), function(w - q * move)
            apart[q], size = ahead - behind, np.maximum(size, np.abs(ahead))
        scale = _own(step, size)
        orders = (sum(c * apart[q] for q, c in rule.items()) / scale for rule in (FIRST, FIRST_LOWER))
        return *orders, size / scale

    return _settled(estimate, w, direction, FIRST_STEP)


def bend_along(function: Function, w: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Second derivative of `function` at w (..., m) along `direction` (..., m)."""
    centre = function(w)

    def estimate(step):
        move, around, size = step[..., None] * direction, {}, np.abs(centre)
        for q in (1, 2, 3):
            ahead, behind = function(w + q * move), function(w - q * move)
            around[q], size = ahead + behind, np.maximum(size, np.abs(ahead))
        scale = _own(step, size) ** 2
        orders = (
            (rule[0] * centre + sum(rule[q] * around[q] for q in (1, 2, 3))) / scale for rule in (SECOND, SECOND_LOWER)
        )
        return *orders, size / scale

    return _settled(estimate, w, direction, SECOND_STEP)


def _own(step: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Steps (...) of the points, shaped to divide values (..., own axes)."""
    return step.reshape(step.shape + (1,) * (values.ndim - step.ndim))


def _settled(
    estimate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    w: np.ndarray,
    direction: np.ndarray,
    first: float,
) -> np.ndarray:
    """Estimate with steps that are cut, point by point, until both orders agree or rounding takes over.

    `estimate(steps)` gives sixth order, fourth order and the size of the values over the step.
    """
    lead = np.broadcast_shapes(np.shape(w)[:-1], np.shape(direction)[:-1])
    largest = np.broadcast_to(np.abs(w).max(axis=-1), lead)
    step, finite = first * np.maximum(1.0, largest / 8), np.isfinite(largest)

    def judged(step):
        with np.errstate(all="ignore"):  # a step may leave the domain of the function: it is cut
            found, lower, size = estimate(step)
            own = tuple(range(len(lead), found.ndim))
            apart, largest = np.abs(found - lower).max(axis=own), np.abs(found).max(axis=own)
            rounding = 4 * np.finfo(float).eps * size.max(axis=own)
            error = np.where(largest == 0, 0.0, (apart + rounding) / largest)
            return found, np.where(np.isfinite(error), error, np.inf), ~(apart <= ENOUGH * largest + rounding)

    found, error, poor = judged(step)
    poor, last = poor & finite, found
    for _ in range(CUTS):
        if not poor.any():
            break
        step = np.where(poor, CUT * step, step)
        new, new_error, still = judged(step)
        own = tuple(range(len(lead), new.ndim))
        with np.errstate(all="ignore"):
            settles = np.abs(new - last).max(axis=own) <= ROUGH * np.abs(new).max(axis=own)
        better, last = poor & (new_error < error), new
        found = np.where(_own(better, found), new, found)
        poor, error = still & poor & (better | ~settles), np.where(better, new_error, error)
    return found


def derivative(function: Function, w: np.ndarray) -> np.ndarray:
    """Derivative of `function` in each coordinate of w, along a new last axis."""
    return np.stack([slope_along(function, w, e) for e in np.eye(w.shape[-1])], axis=-1)


def laplacian(function: Function, w: np.ndarray) -> np.ndarray:
    """Sum of the second derivatives of `function` in the coordinates of w."""
    return sum(bend_along(function, w, e) for e in np.eye(w.shape[-1]))


def contraction(function: Function, w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Second derivative of `function` contracted with a symmetric matrix (..., m, m), by its eigenvectors."""
    values, vectors = np.linalg.eigh(matrix)
    total = 0.0
    for q in range(w.shape[-1]):
        bent = bend_along(function, w, vectors[..., q])
        total = total + values[..., q].reshape(values.shape[:-1] + (1,) * (bent.ndim - values.ndim + 1)) * bent
    return total

"""Derivatives of functions of many points by central differences, of two kinds.

`derivative_along`, `derivative_by_entry` and `jacobian` are of second order, for coefficients that are asked at every
step of a path: mostly two calls, each coordinate on its own scale. A step starts relative to the smallest coordinate
that moves, so that it stays on x's side of zero. It widens by factors of 100, up to a step relative to max(1, |x|),
only for the entries of the result whose change is lost in rounding; every entry keeps its first step at which it is
not. At the edge of a domain, where one side gives no number, the difference is one-sided. Derived.

`slope_along`, `bend_along`, `derivative`, `laplacian` and `contraction` are of sixth order, for derivatives of smooth
functions that a user left out. A step starts at one that suits coordinates of order 1 (or as large as the point is) and
is cut where the same values combined to fourth order say that it was too long for this function at this point; each
point decides for itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Function = Callable[[np.ndarray], np.ndarray]

STEP = 6e-6  # relative: cube root of the spacing of floats, where truncation and rounding meet
CHANGE = 1e-7  # relative change of the function from which on rounding is no matter
WIDENING = 100.0
SMALLEST = 1e-10  # scale of a coordinate that is zero, relative to the largest of its row
TINY = 1e-16  # scale that the first widening reaches at least
MOST_STAGES = 12  # from the smallest scale to the largest are fewer

FIRST = {1: 3 / 4, 2: -3 / 20, 3: 1 / 60}  # coefficient of f(w + q s) - f(w - q s)
FIRST_LOWER = {1: 2 / 3, 2: -1 / 12, 3: 0.0}
SECOND = {0: -49 / 18, 1: 3 / 2, 2: -3 / 20, 3: 1 / 90}  # coefficient of f(w + q s) + f(w - q s); once at 0
SECOND_LOWER = {0: -5 / 2, 1: 4 / 3, 2: -1 / 12, 3: 0.0}
FIRST_STEP, SECOND_STEP = 4e-3, 2e-2  # truncation and rounding meet near 1e-12 and 1e-10 for functions of order 1
OUTER_STEP = 0.05  # of second differences of differences, whose error is that of these over its square
CUT, CUTS = 1 / 8, 12  # a step is cut this far and this often at most
ROUNDING = 4 * np.finfo(float).eps
NESTED = 1e-8  # relative error of a value that is a difference itself
ENOUGH = 1e-7  # relative disagreement of the two orders below which the sixth is far better than asked
ROUGH = 1e-2  # relative change by a cut above which the steps see nothing of the function yet


def derivative_along(function: Function, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Derivative of `function` at x (P, d) along v (P, d), shaped as its values (P, ...).

    Row p of `function(x)` must depend on row p of x alone. Most functions are called twice.
    """
    x, v = np.asarray(x, dtype=np.float64), np.asarray(v, dtype=np.float64)
    with np.errstate(all="ignore"):
        length = STEP * _first_lengths(x, v)
    found: Any = None
    done: Any = None
    longest: Any = None
    for _ in range(MOST_STAGES):
        with np.errstate(all="ignore"):
            value, size, change = _quotient(function, x, v, length)
            settled = (change >= CHANGE * size) | ~np.isfinite(value)
        if found is None:
            found, done = value, settled
        else:
            found = np.where(~done & np.isfinite(value), value, found)
            done |= settled
        if done.all():
            break
        if longest is None:
            with np.errstate(all="ignore"):
                next_at_least, longest = (STEP * _least(np.maximum(np.abs(x), floor), v) for floor in (TINY, 1.0))
        done |= _beside(length >= longest, done.ndim)
        if done.all():
            break
        length = np.minimum(np.maximum(length * WIDENING, next_at_least), longest)
    return np.asarray(found)


def derivative_by_entry(function: Function, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`derivative_along` of a function (P, d) -> (P, d) whose entry i depends on coordinate i alone.

    Every coordinate has a step of its own.
    """

    def entries(column: np.ndarray) -> np.ndarray:
        return function(column.reshape(x.shape)).reshape(-1)

    return derivative_along(entries, x.reshape(-1, 1), v.reshape(-1, 1)).reshape(x.shape)


def jacobian(function: Function, x: np.ndarray) -> np.ndarray:
    """Derivatives (P, ..., d) of `function` (P, d) -> (P, ...) at x (P, d) in each coordinate."""
    columns = []
    for i in range(x.shape[1]):
        v = np.zeros_like(x)
        v[:, i] = 1.0
        columns.append(derivative_along(function, x, v))
    return np.stack(columns, axis=-1)


def _first_lengths(x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Multiples (P,) of v to begin with, before the factor STEP; 1 where v is 0."""
    size = np.abs(x)
    if not size.all():
        largest = size.max(axis=1, keepdims=True)
        size = np.where(size > 0, size, SMALLEST * np.where(largest > 0, np.minimum(largest, 1.0), 1.0))
    return _least(size, v)


def _least(size: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The least of size / |v| over the coordinates that move, (P,); 1 where none does."""
    ratio = size / np.abs(v)
    ratio = ratio[:, 0] if ratio.shape[1] == 1 else np.fmin.reduce(ratio, axis=1)  # 0 / 0 is no coordinate's
    return np.where(ratio < np.inf, ratio, 1.0)


def _quotient(
    function: Function, x: np.ndarray, v: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference quotient with steps `length` (P,), size of the function's values, and of their change."""
    shift = length[:, None] * v
    after, before = function(x + shift), function(x - shift)
    change = after - before
    value = change / _beside(2 * length, change.ndim)
    size, change = np.maximum(np.abs(after), np.abs(before)), np.abs(change)
    if np.isfinite(value).all():
        return value, size, change
    here = function(x)
    for sign, beside in ((1.0, after), (-1.0, before)):
        total = sign * (-1.5 * here + 2 * beside - 0.5 * function(x + 2 * sign * shift))
        side = total / _beside(length, total.ndim)
        missing = ~np.isfinite(value) & np.isfinite(side)
        value, size = np.where(missing, side, value), np.where(missing, np.abs(here), size)
        change = np.where(missing, np.abs(total), change)
    return value, size, change


def slope_along(
    function: Function, w: np.ndarray, direction: np.ndarray, noise: float = ROUNDING
) -> np.ndarray:
    """Derivative of `function` at w (..., m) along `direction` (..., m); `noise`: relative error of its values."""

    def estimate(step):
        move, apart, size = step[..., None] * direction, {}, 0.0
        for q in FIRST:
            ahead, behind = function(w + q * move), function(w - q * move)
            apart[q], size = ahead - behind, np.maximum(size, np.abs(ahead))
        scale = _beside(step, size.ndim)
        orders = (sum(c * apart[q] for q, c in rule.items()) / scale for rule in (FIRST, FIRST_LOWER))
        return *orders, size / scale

    return _settled(estimate, w, direction, FIRST_STEP, noise)


def bend_along(
    function: Function, w: np.ndarray, direction: np.ndarray, noise: float = ROUNDING
) -> np.ndarray:
    """Second derivative of `function` at w (..., m) along `direction` (..., m); `noise` as in `slope_along`."""
    centre = function(w)

    def estimate(step):
        move, around, size = step[..., None] * direction, {}, np.abs(centre)
        for q in (1, 2, 3):
            ahead, behind = function(w + q * move), function(w - q * move)
            around[q], size = ahead + behind, np.maximum(size, np.abs(ahead))
        scale = _beside(step, size.ndim) ** 2
        orders = (
            (rule[0] * centre + sum(rule[q] * around[q] for q in (1, 2, 3))) / scale for rule in (SECOND, SECOND_LOWER)
        )
        return *orders, size / scale

    return _settled(estimate, w, direction, SECOND_STEP if noise == ROUNDING else OUTER_STEP, noise)


def _settled(
    estimate: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    w: np.ndarray,
    direction: np.ndarray,
    first: float,
    noise: float,
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
            rounding = noise * size.max(axis=own)
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
        found = np.where(_beside(better, found.ndim), new, found)
        poor, error = still & poor & (better | ~settles), np.where(better, new_error, error)
    return found


def derivative(function: Function, w: np.ndarray) -> np.ndarray:
    """Derivative of `function` in each coordinate of w, along a new last axis."""
    return np.stack([slope_along(function, w, e) for e in np.eye(w.shape[-1])], axis=-1)


def laplacian(
    function: Function, w: np.ndarray, noise: float = ROUNDING, lengths: np.ndarray | None = None
) -> np.ndarray:
    """Sum of the second derivatives of `function` in the coordinates of w (..., m), times lengths^2 (..., m) if given.

    `noise` as in `slope_along`.
    """
    each = np.eye(w.shape[-1])
    moves = each if lengths is None else np.moveaxis(lengths[..., None] * each, -2, 0)
    return sum((bend_along(function, w, move, noise) for move in moves), start=np.zeros(()))


def bilaplacian(function: Function, w: np.ndarray) -> np.ndarray:
    """Laplacian of the Laplacian of `function`."""
    return laplacian(lambda place: laplacian(function, place), w, NESTED)


def contraction(function: Function, w: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Second derivative of `function` contracted with a symmetric matrix (..., m, m), by its eigenvectors."""
    values, vectors = np.linalg.eigh(matrix)
    total = np.zeros(())
    for q in range(w.shape[-1]):
        bent = bend_along(function, w, vectors[..., q])
        total = total + _beside(values[..., q], np.ndim(bent)) * bent
    return total


def _beside(column: np.ndarray, ndim: int) -> np.ndarray:
    """Numbers of the points (...), shaped to meet values (..., own axes) with `ndim` axes in all."""
    return column.reshape(column.shape + (1,) * (ndim - column.ndim))

"""First derivatives of functions of many rows by central differences, each coordinate on its own scale.

A step starts relative to the smallest coordinate that moves, so that it stays on x's side of zero. It widens by factors
of 100, up to a step relative to max(1, |x|), only for the entries of the result whose change is lost in rounding; every
entry keeps its first step at which it is not. At the edge of a domain, where one side gives no number, the difference
is one-sided. Derived.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Rows = Callable[[np.ndarray], np.ndarray]

STEP = 6e-6  # relative: cube root of the spacing of floats, where truncation and rounding meet
CHANGE = 1e-7  # relative change of the function from which on rounding is no matter
WIDENING = 100.0
SMALLEST = 1e-10  # scale of a coordinate that is zero, relative to the largest of its row
TINY = 1e-16  # scale that the first widening reaches at least
MOST_STAGES = 12  # from the smallest scale to the largest are fewer


def derivative_along(function: Rows, x: np.ndarray, v: np.ndarray) -> np.ndarray:
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


def derivative_by_entry(function: Rows, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`derivative_along` of a function (P, d) -> (P, d) whose entry i depends on coordinate i alone.

    Every coordinate has a step of its own.
    """

    def entries(column: np.ndarray) -> np.ndarray:
        return function(column.reshape(x.shape)).reshape(-1)

    return derivative_along(entries, x.reshape(-1, 1), v.reshape(-1, 1)).reshape(x.shape)


def jacobian(function: Rows, x: np.ndarray) -> np.ndarray:
    """Derivatives (P, ..., d) of `function` (P, d) -> (P, ...) at x (P, d) in each coordinate."""
    columns = []
    for i in range(x.shape[1]):
        v = np.zeros_like(x)
        v[:, i] = 1.0
        columns.append(derivative_along(function, x, v))
    return np.stack(columns, axis=-1)


def _beside(column: np.ndarray, ndim: int) -> np.ndarray:
    return column.reshape(-1, *(1,) * (ndim - 1))


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
    function: Rows, x: np.ndarray, v: np.ndarray, length: np.ndarray
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

"""Derivatives of functions of many rows by differences, each coordinate on its own scale.

A step starts relative to the smallest coordinate that moves, so that it stays on x's side of zero. It widens by factors
of 100, up to a step relative to max(1, |x|), only for the entries of the result whose change is lost in rounding; every
entry keeps its first step at which it is not. At the edge of a domain, where one side gives no number, the difference
is one-sided. Derived.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rows = Callable[[np.ndarray], np.ndarray]

WIDENING = 100.0
SMALLEST = 1e-10  # scale of a coordinate that is zero, relative to the largest of its row
TINY = 1e-16  # scale that the first widening reaches at least
MOST_STAGES = 12  # from the smallest scale to the largest are fewer
COMPLEX_STEP = 1e-25


@dataclass(frozen=True)
class Stencil:
    """A difference quotient, and what makes a step of it trustworthy.

    Attributes
    ----------
    power : 1 or 2
        Which derivative.
    weights : tuple of floats
        Of f(x + q s) - f(x - q s), or for the second derivative f(x + q s) + f(x - q s) - 2 f(x), q = 1, 2, ...
    step : float
        Relative to the scale: where truncation and rounding meet.
    change : float
        Relative change of f from which on rounding is no matter.
    """

    power: int
    weights: tuple[float, ...]
    step: float
    change: float


FIRST = {
    2: Stencil(1, (1 / 2,), 6e-6, 1e-7),
    6: Stencil(1, (3 / 4, -3 / 20, 1 / 60), 4e-3, 1e-4),
}
SECOND = {6: Stencil(2, (3 / 2, -3 / 20, 1 / 90), 2e-2, 1e-5)}


def derivative_along(function: Rows, x: np.ndarray, v: np.ndarray, order: int = 2) -> np.ndarray:
    """Derivative of `function` at x (P, d) along v (P, d), shaped as its values (P, ...).

    Parameters
    ----------
    function : (P, d) array -> (P, ...) array
        Row by row: row p of the result depends on row p of the argument.
    order : 2 or 6
        Of the truncation error: 2 or more evaluations, or 6 or more.
    """
    return _along(FIRST[order], function, x, v)


def second_derivative_along(function: Rows, x: np.ndarray, v: np.ndarray, order: int = 6) -> np.ndarray:
    """Second derivative of `function` at x (P, d) along v (P, d), shaped as its values (P, ...)."""
    return _along(SECOND[order], function, x, v)


def derivative_by_entry(function: Rows, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """`derivative_along` of a function (P, d) -> (P, d) whose entry i depends on coordinate i alone.

    Every coordinate has a step of its own.
    """

    def entries(column: np.ndarray) -> np.ndarray:
        return function(column.reshape(x.shape)).reshape(-1)

    return _along(FIRST[2], entries, x.reshape(-1, 1), np.asarray(v, dtype=float).reshape(-1, 1)).reshape(x.shape)


def jacobian(function: Rows, x: np.ndarray, order: int = 2) -> np.ndarray:
    """Derivatives (P, ..., d) of `function` (P, d) -> (P, ...) at x (P, d) in each coordinate.

    Where the function takes complex numbers and agrees with its own differences there, by complex steps, which have no
    rounding to lose digits by.
    """
    columns = []
    for i in range(x.shape[1]):
        v = np.zeros_like(x)
        v[:, i] = 1.0
        rough = derivative_along(function, x, v, order)
        columns.append(_by_complex_step(function, x, i, rough))
    return np.stack(columns, axis=-1)


def _by_complex_step(function: Rows, x: np.ndarray, i: int, rough: np.ndarray) -> np.ndarray:
    """Derivative by coordinate i from one complex step, or `rough` where the function does not allow it."""
    moved = x.astype(complex)
    height = COMPLEX_STEP * np.where(x[:, i] == 0, 1.0, np.abs(x[:, i]))
    moved[:, i] += 1j * height
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("error")  # a discarded imaginary part is a warning
        try:
            values = np.asarray(function(moved))
        except Exception:  # whatever a function of real numbers does with others: it does not allow them
            return rough
    if values.dtype.kind != "c" or values.shape != rough.shape:
        return rough
    fine = values.imag / _beside(height, values.ndim)
    with np.errstate(invalid="ignore"):
        scale = np.maximum(np.abs(fine), np.abs(rough))
        agrees = np.abs(fine - rough) <= 1e-4 * scale
    return np.where(agrees & np.isfinite(fine), fine, rough)


def _beside(column: np.ndarray, ndim: int) -> np.ndarray:
    return column.reshape(-1, *(1,) * (ndim - 1))


def _along(stencil: Stencil, function: Rows, x: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The derivative, entry by entry from the first step at which it is not lost in rounding."""
    x, v = np.asarray(x, dtype=np.float64), np.asarray(v, dtype=np.float64)
    with np.errstate(all="ignore"):
        length, next_at_least, longest = (stencil.step * part for part in _lengths(x, v))
    found = done = None
    for _ in range(MOST_STAGES):
        with np.errstate(all="ignore"):
            value, size, change = _quotient(stencil, function, x, v, length)
            settled = change >= stencil.change * size
        if found is None:
            found, done = value, settled | ~np.isfinite(value)
        else:
            better = ~done & np.isfinite(value)
            found = np.where(better, value, found)
            done |= settled | ~np.isfinite(value)
        last = length >= longest
        if (done | _beside(last, done.ndim)).all():
            break
        done |= _beside(last, done.ndim)
        length = np.minimum(np.maximum(length * WIDENING, next_at_least), longest)
    return np.asarray(found)


def _lengths(x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Multiples (P,) of v, before the stencil's factor: first, second at least, last; 1 where v is 0."""
    size = np.abs(x)
    largest = size.max(axis=1, keepdims=True)
    floor = SMALLEST * np.where(largest > 0, np.minimum(largest, 1.0), 1.0)
    moves = v != 0
    pace, still = np.where(moves, np.abs(v), 1.0), ~moves.any(axis=1)

    def least(scale: np.ndarray) -> np.ndarray:
        return np.where(still, 1.0, np.where(moves, scale / pace, np.inf).min(axis=1))

    return least(np.where(size > 0, size, floor)), least(np.maximum(size, TINY)), least(np.maximum(size, 1.0))


def _quotient(
    stencil: Stencil, function: Rows, x: np.ndarray, v: np.ndarray, length: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Difference quotient with steps `length` (P,), size of the function's values, and of their change."""
    shift = length[:, None] * v
    centre = np.array(function(x), dtype=np.float64) if stencil.power == 2 else None
    total, size, change = 0.0, 0.0, 0.0
    for q, weight in enumerate(stencil.weights, 1):
        after = np.array(function(x + q * shift), dtype=np.float64)
        before = np.array(function(x - q * shift), dtype=np.float64)
        gap = after - before if centre is None else (after - centre) + (before - centre)
        total = total + weight * gap
        size, change = np.maximum(size, np.maximum(np.abs(after), np.abs(before))), np.maximum(change, np.abs(gap))
    value = total / _beside(length**stencil.power, np.ndim(total))
    if not np.isfinite(value).all():
        value, size, change = _one_sided(stencil, function, x, shift, length, value, size, change)
    return value, size, change


def _one_sided(
    stencil: Stencil,
    function: Rows,
    x: np.ndarray,
    shift: np.ndarray,
    length: np.ndarray,
    value: np.ndarray,
    size: np.ndarray,
    change: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The entries without a number by a second-order difference to the side that has numbers."""
    at = [np.array(function(x), dtype=np.float64)]
    for sign in (1.0, -1.0):
        f = at + [np.array(function(x + sign * q * shift), dtype=np.float64) for q in (1, 2, 3)[: stencil.power + 1]]
        if stencil.power == 1:
            total = sign * (-1.5 * f[0] + 2 * f[1] - 0.5 * f[2])
        else:
            total = 2 * f[0] - 5 * f[1] + 4 * f[2] - f[3]
        side = total / _beside(length**stencil.power, total.ndim)
        missing = ~np.isfinite(value) & np.isfinite(side)
        value = np.where(missing, side, value)
        size = np.where(missing, np.abs(f[0]), size)
        change = np.where(missing, np.abs(total), change)
    return value, size, change

"""Powers of the matrix of a linear recurrence by repeated squaring, and forced recurrences in leaps. Derived.

    y(k + 1) = A y(k) + B z(k),    z(k + 1) = D z(k),    y(2^j + k) = A_j y(k) + B_j z(k),

with A_(j + 1) = A_j^2 and B_(j + 1) = A_j B_j + B_j D_j. A slow decay is the small difference of a diagonal entry from
1: it is squared by itself, so that a decay of 1e-12 a step keeps its digits over 1e12 steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Power:
    """A power of square matrices.

    Attributes
    ----------
    matrix : (..., n, n) array
    excess : (..., n) array
        Its diagonal less 1, with all its digits.
    """

    matrix: np.ndarray
    excess: np.ndarray

    @classmethod
    def of(cls, difference: np.ndarray) -> Power:
        """The first power of matrices that are given less 1."""
        excess = np.diagonal(difference, axis1=-2, axis2=-1).copy()
        return cls(difference + np.eye(difference.shape[-1]), excess)

    def squared(self) -> Power:
        """The power of twice the exponent."""
        matrix, places = _times(self.matrix, self.matrix), np.arange(self.excess.shape[-1])
        others = self.matrix.copy()
        others[..., places, places] = 0.0
        returned = (others * np.swapaxes(others, -2, -1)).sum(axis=-1)  # no number where the diagonal has none
        excess = self.excess * (2 + self.excess) + returned
        near = np.abs(excess) < 0.5
        matrix[..., places, places] = np.where(near, 1 + excess, matrix[..., places, places])
        return Power(matrix, excess)


@dataclass(frozen=True, eq=False)
class Forcing:
    """What drives a recurrence and fades by itself, in small blocks.

    Attributes
    ----------
    enters : (groups, n, blocks, width) array
        B.
    fading : Power
        D, matrices (groups, blocks, width, width).
    value : (groups, blocks, width) array
        z at the start.
    """

    enters: np.ndarray
    fading: Power
    value: np.ndarray

    def squared(self, own: Power) -> Forcing:
        """Over twice as many steps, of a recurrence with this power over the steps so far."""
        flat = self.enters.reshape(*self.enters.shape[:2], -1)
        enters = _times(own.matrix, flat).reshape(self.enters.shape)
        enters += np.swapaxes(_times(np.swapaxes(self.enters, 1, 2), self.fading.matrix), 1, 2)
        return Forcing(enters, self.fading.squared(), self.value)


def leaps(own: Power, start: np.ndarray, forcings: Sequence[Forcing], steps: Sequence[int] | np.ndarray) -> np.ndarray:
    """y (groups, n, steps) after each number of steps, in any order, from y (groups, n).

    Matrices of one recurrence commute: each state takes the powers of two of its own number of steps as they come.
    """
    left = [int(count) for count in steps]
    states = np.repeat(start[..., None], len(left), axis=-1)
    values = [np.repeat(forcing.value[..., None], len(left), axis=-1) for forcing in forcings]
    while any(left):
        odd = [index for index, count in enumerate(left) if count % 2]
        if odd:
            moved = _times(own.matrix, states[..., odd])
            for forcing, value in zip(forcings, values):
                now = value[..., odd]
                flat = forcing.enters.reshape(*forcing.enters.shape[:2], -1)
                moved += _times(flat, now.reshape(now.shape[0], -1, len(odd)))
                value[..., odd] = _times(forcing.fading.matrix, now)
            states[..., odd] = moved
        left = [count // 2 for count in left]
        if any(left):
            forcings = [forcing.squared(own) for forcing in forcings]
            own = own.squared()
    return states


def _times(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A product in which nothing stays nothing where it meets what has left the range of numbers; inf there."""
    past, gone = ~np.isfinite(left), ~np.isfinite(right)
    if not past.any() and not gone.any():
        return left @ right
    found = np.where(past, 0.0, left) @ np.where(gone, 0.0, right)
    reached = past.astype(float) @ (right != 0) + (left != 0).astype(float) @ gone
    return np.where(reached > 0, np.inf, found)

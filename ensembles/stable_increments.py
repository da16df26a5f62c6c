"""Stable random numbers: symmetric ones by Chambers, Mallows and Stuck (1976), positive ones by Kanter (1975).

One Philox block a number: 64 bits of it make the angle, 64 the exponential variable. The angle is kept as its distance
from the end of its range, and every sine that vanishes there is taken of that distance, so that tails are exact down to
probabilities of 2^-52. For one block the number is a continuous function of the index, at 1 and at 2 too.
"""

from __future__ import annotations

import math

import numpy as np
from numba import uint64

from sgdlimits.exact.compiling import compiled

from .normals import unit_interval
from .philox import path_words

_32 = np.uint64(32)


@compiled(forceinline=True)
def _angle_and_wait(seed, purpose, path, block):
    """A uniform number in (0, 1) and a standard exponential one."""
    w0, w1, w2, w3 = path_words(seed, purpose, path, block)
    turn, wait = unit_interval(uint64(w0) | (uint64(w1) << _32)), unit_interval(uint64(w2) | (uint64(w3) << _32))
    return turn, -math.log(wait)


@compiled(forceinline=True)
def symmetric_stable(turn, wait, index):
    """The number with characteristic function exp(-|t|^index)."""
    side = min(turn, 1.0 - turn)  # exact, and so is the cosine near the ends
    cosine, angle = math.sin(math.pi * side), math.pi * (0.5 - side)
    if index > 1.0:
        sine = math.sin(math.pi * (1.0 - 0.5 * index + index * side))
    else:
        sine = math.sin(index * angle)
    power = (1.0 - index) / index
    size = sine / cosine ** (1.0 / index) * (math.cos((1.0 - index) * angle) / wait) ** power
    return size if turn > 0.5 else -size


@compiled(forceinline=True)
def positive_stable(turn, wait, index):
    """The number with Laplace transform exp(-s^index), index at most 1."""
    low = math.sin(math.pi * min(turn, 1.0 - turn))
    # sin(index * angle), near the upper end of the distance from it
    upper = math.sin(math.pi * (index * turn if turn < 0.5 else (1.0 - index) + index * (1.0 - turn)))
    power = (1.0 - index) / index
    return upper / low ** (1.0 / index) * (math.sin((1.0 - index) * math.pi * turn) / wait) ** power


@compiled
def path_symmetric_stable(out, seed, purpose, paths, position, index):
    """Fill `out` (P, count) with symmetric stable numbers number position, position + 1, ... of each path's stream."""
    for i in range(paths.size):
        for j in range(out.shape[1]):
            turn, wait = _angle_and_wait(seed, purpose, paths[i], position + j)
            out[i, j] = symmetric_stable(turn, wait, index)


@compiled
def path_positive_stable(out, seed, purpose, paths, position, index):
    """Fill `out` (P, count) with positive stable numbers, as above."""
    for i in range(paths.size):
        for j in range(out.shape[1]):
            turn, wait = _angle_and_wait(seed, purpose, paths[i], position + j)
            out[i, j] = positive_stable(turn, wait, index)

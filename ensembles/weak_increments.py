"""Two- and three-point random numbers that have the first moments of a normal: enough for a weak order, and
cheap."""

from __future__ import annotations

import math

import numpy as np
from numba import uint64

from sgdlimits.exact.compiling import compiled
from .philox import path_words

_THIRD = math.sqrt(3.0)
_SIXTH = np.uint64(2**32 // 6)  # bias of a probability below 2^-32


@compiled
def path_signs(out, seed, purpose, paths, position):
    """Fill `out` (P, count) with fair signs number position, position + 1, ... of each path's stream."""
    for i in range(paths.size):
        for j in range(out.shape[1]):
            q = position + j
            if j == 0 or q & 127 == 0:
                w0, w1, w2, w3 = path_words(seed, purpose, paths[i], q >> 7)
                low, high = w0 | (w1 << uint64(32)), w2 | (w3 << uint64(32))
            half = high if q & 64 else low
            out[i, j] = 1.0 if (half >> uint64(q & 63)) & uint64(1) else -1.0


@compiled
def path_three_point(out, seed, purpose, paths, position):
    """Fill `out` (P, count) with numbers that are 0 with probability 2/3 and +-sqrt(3) with 1/6 each."""
    for i in range(paths.size):
        for j in range(out.shape[1]):
            q = position + j
            if j == 0 or q & 3 == 0:
                w0, w1, w2, w3 = path_words(seed, purpose, paths[i], q >> 2)
            word = (w3 if q & 1 else w2) if q & 2 else (w1 if q & 1 else w0)
            out[i, j] = _THIRD if word < _SIXTH else (-_THIRD if word < _SIXTH + _SIXTH else 0.0)

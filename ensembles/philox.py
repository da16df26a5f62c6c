"""Philox4x32-10, a counter-based generator: any 128 bits of a stream in a fixed time, in any order.

A stream is named by (seed, purpose, path); block b of it is one application of the bijection to the counter
(b mod 2^32, b div 2^32, path mod 2^32, purpose * 2^24 + path div 2^32) under the key (seed mod 2^32, seed
div 2^32). Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

import numpy as np
from numba import uint32, uint64

from sgdlimits.exact.compiling import compiled

PACK = 16  # consecutive paths that a kernel advances together, one per SIMD lane
PURPOSE_SHIFT = np.uint64(24)

_MULTIPLIER_0, _MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


@compiled(forceinline=True)
def _round(x0, x1, x2, x3, key_0, key_1):
    # 32-bit words travel in 64-bit lanes: the widening products then need no shuffles.
    product_0, product_1 = _MULTIPLIER_0 * x0, _MULTIPLIER_1 * x2
    return (
        (product_1 >> _32) ^ x1 ^ key_0,
        product_1 & _LOW,
        (product_0 >> _32) ^ x3 ^ key_1,
        product_0 & _LOW,
    )


@compiled(forceinline=True)
def _two_rounds(x0, x1, x2, x3, key_0, key_1):
    x0, x1, x2, x3 = _round(x0, x1, x2, x3, key_0, key_1)
    return _round(x0, x1, x2, x3, (key_0 + _WEYL_0) & _LOW, (key_1 + _WEYL_1) & _LOW)


@compiled(forceinline=True)
def philox(x0, x1, x2, x3, key_0, key_1):
    """Four output words of a counter (x0, x1, x2, x3); every value is a uint64 below 2^32."""
    # Written out: an inner loop over rounds would keep LLVM from vectorising over the lanes.
    step_0, step_1 = _WEYL_0 + _WEYL_0, _WEYL_1 + _WEYL_1
    x0, x1, x2, x3 = _two_rounds(x0, x1, x2, x3, key_0, key_1)
    key_0, key_1 = (key_0 + step_0) & _LOW, (key_1 + step_1) & _LOW
    x0, x1, x2, x3 = _two_rounds(x0, x1, x2, x3, key_0, key_1)
    key_0, key_1 = (key_0 + step_0) & _LOW, (key_1 + step_1) & _LOW
    x0, x1, x2, x3 = _two_rounds(x0, x1, x2, x3, key_0, key_1)
    key_0, key_1 = (key_0 + step_0) & _LOW, (key_1 + step_1) & _LOW
    x0, x1, x2, x3 = _two_rounds(x0, x1, x2, x3, key_0, key_1)
    key_0, key_1 = (key_0 + step_0) & _LOW, (key_1 + step_1) & _LOW
    return _two_rounds(x0, x1, x2, x3, key_0, key_1)


@compiled(forceinline=True)
def path_words(seed, purpose, path, block):
    """The four words of one block of one path's stream, each a uint64 below 2^32."""
    seed, path, block = uint64(seed), uint64(path), uint64(block)
    high = (uint64(purpose) << PURPOSE_SHIFT) | (path >> _32)
    return philox(block & _LOW, block >> _32, path & _LOW, high & _LOW, seed & _LOW, seed >> _32)


@compiled
def pack_words(words, seed, purpose, path, first_block):
    """Fill `words` (4 * blocks, PACK) uint32: word w of block first_block + b of path + lane at [4 b + w,
    lane].

    `path` is the first of the pack, a multiple of PACK, so adding a lane never carries out of 32 bits.
    """
    seed, path = uint64(seed), uint64(path)
    key_0, key_1, low = seed & _LOW, seed >> _32, path & _LOW
    high = ((uint64(purpose) << PURPOSE_SHIFT) | (path >> _32)) & _LOW
    flat, lanes = words.reshape(-1), words.shape[1]
    for b in range(words.shape[0] // 4):
        block, i = uint64(first_block + b), b * 4 * PACK
        low_block, high_block = block & _LOW, block >> _32
        for lane in range(lanes):
            x0, x1, x2, x3 = philox(low_block, high_block, (low + uint64(lane)) & _LOW, high, key_0, key_1)
            flat[i + lane], flat[i + PACK + lane] = uint32(x0), uint32(x1)
            flat[i + 2 * PACK + lane], flat[i + 3 * PACK + lane] = uint32(x2), uint32(x3)

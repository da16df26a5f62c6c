"""Philox4x32-10, a counter-based generator: any 128 bits of a stream in a fixed time, in any order.

A stream is named by (seed, purpose, path); block b of it is one application of the bijection to the counter
(b mod 2^32, b div 2^32, path mod 2^32, purpose * 2^24 + path div 2^32) under the key (seed mod 2^32, seed
div 2^32). Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3 (SC 2011).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.ir as ir
import numpy as np
from numba import types, uint64
from numba.extending import intrinsic

from sgdlimits.exact.compiling import compiled

from .lanes import I32, I64, Lanes, filled, numbered, of_numbers, store

PACK = 16  # consecutive paths that a kernel advances together, one per SIMD lane
PURPOSE_SHIFT = np.uint64(24)

_ROUNDS = 10
_MULTIPLIERS, _WEYL = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85)
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


def _words(x0: Lanes, x1: Lanes, x2: Lanes, x3: Lanes, keys: Sequence[tuple[Lanes, Lanes]]) -> tuple[Lanes, ...]:
    # 32-bit words travel in 64-bit lanes: the widening products then need no shuffles. Above them the lanes hold
    # whatever the products left there.
    for key_0, key_1 in keys:
        product_0, product_1 = (x0 & 0xFFFFFFFF) * _MULTIPLIERS[0], (x2 & 0xFFFFFFFF) * _MULTIPLIERS[1]
        x0, x1, x2, x3 = (product_1 >> 32) ^ x1 ^ key_0, product_1, (product_0 >> 32) ^ x3 ^ key_1, product_0
    return x0, x1, x2, x3


def _keys(key_0: Lanes, key_1: Lanes) -> list[tuple[Lanes, Lanes]]:
    return [(key_0 + r * _WEYL[0], key_1 + r * _WEYL[1]) for r in range(_ROUNDS)]


def _philox(x0: Lanes, x1: Lanes, x2: Lanes, x3: Lanes, key_0: Lanes, key_1: Lanes) -> list[Lanes]:
    return [word & 0xFFFFFFFF for word in _words(x0, x1, x2, x3, _keys(key_0, key_1))]


_philox_of_numbers = of_numbers(_philox, [types.uint64] * 6, [types.uint64] * 4)


@compiled(forceinline=True)
def philox(x0, x1, x2, x3, key_0, key_1):
    """Four output words of a counter (x0, x1, x2, x3); every value is a uint64 below 2^32."""
    return _philox_of_numbers(x0, x1, x2, x3, key_0, key_1)


@compiled(forceinline=True)
def path_words(seed, purpose, path, block):
    """The four words of one block of one path's stream, each a uint64 below 2^32."""
    seed, path, block = uint64(seed), uint64(path), uint64(block)
    return philox(block & _LOW, block >> _32, path & _LOW, high_word(purpose, path), seed & _LOW, seed >> _32)


def block_writer(values_of: Callable[..., Sequence[Lanes]]) -> Any:
    """Function for compiled code: (out, place, block, path, high, seed) -> None, for one block of a pack.

    `values_of` is a formula: it takes the four words (64-bit lanes, of which the low halves count) of all lanes and
    returns rows, which go to the flat array `out` from number `place` on. `high` is purpose * 2^24 + path div 2^32.
    """

    def write(typing_context, out, place, block, path, high, seed):
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            number, block, path, high, seed = arguments[1:]
            low, shift = ir.Constant(I64, 0xFFFFFFFF), ir.Constant(I64, 32)
            key_0, key_1 = builder.trunc(seed, I32), builder.trunc(builder.lshr(seed, shift), I32)
            counter = [builder.and_(block, low), builder.lshr(block, shift), builder.and_(path, low), high]
            x0, x1, x2, x3 = (filled(builder, word, PACK) for word in counter)

            def spread(key: Lanes) -> Lanes:
                return filled(builder, builder.zext(key.value, I64), PACK)

            pairs = _keys(Lanes(builder, key_0), Lanes(builder, key_1))
            keys = [(spread(first), spread(second)) for first, second in pairs]
            rows = values_of(*_words(x0, x1, x2 + numbered(builder, I64, PACK), x3, keys))
            for row, values in enumerate(rows):
                store(data, builder.add(number, ir.Constant(I64, row * PACK)), values)
            return context.get_dummy_value()

        return types.void(out, types.int64, *[types.uint64] * 4), generate

    return intrinsic(write)


_write_words = block_writer(lambda *words: [word.low() for word in words])


@compiled(forceinline=True)
def high_word(purpose, path):
    """The last word of the counter, from the purpose and the high part of the path."""
    return ((uint64(purpose) << PURPOSE_SHIFT) | (uint64(path) >> _32)) & _LOW


@compiled
def pack_words(words, seed, purpose, path, first_block):
    """Fill `words` (4 * blocks, PACK) uint32: word w of block first_block + b of path + lane at [4 b + w,
    lane].

    `path` is the first of the pack, a multiple of PACK, so adding a lane never carries out of 32 bits.
    """
    flat, high = words.reshape(-1), high_word(purpose, path)
    for b in range(words.shape[0] // 4):
        _write_words(flat, b * 4 * PACK, uint64(first_block + b), uint64(path), high, uint64(seed))

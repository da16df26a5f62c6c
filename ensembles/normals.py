"""Standard normals from Philox words by Box-Muller, in two qualities, for all lanes of a pack at once.

Every operation is elementwise IEEE arithmetic (no reassociation, no contraction, no library call), so the
bits of a normal do not depend on how many lanes are taken at once.

- float32: four normals a block, radius and angle from 32-bit words, |normal| < 6.67, relative error about
  1e-7;
- float64: two normals a block, radius and angle from 64-bit words, |normal| < 8.58, error of a few units in
  the last place.
"""

from __future__ import annotations

import math

import llvmlite.ir as ir
import numpy as np
from numba import int8, int32, types, uint32, uint64
from numba.extending import intrinsic, overload

from sgdlimits.exact.compiling import compiled

from .lanes import F32, F64, I32, I64, Lanes, load, of_numbers, store, transposed
from .philox import PACK, block_writer, high_word, pack_words

_U = np.uint32  # numba widens 32-bit integers: every operation is cast back


def _log32(u: Lanes) -> Lanes:
    # u = 2^e (1 + m) with 1 + m in [sqrt(1/2), sqrt(2)); minimax polynomial of Cephes logf
    shifted = u.bits(I32) + (0x3F800000 - 0x3F3504F3)
    e = ((shifted >> 23) - 127).real(F32)
    m = ((shifted & 0x007FFFFF) + 0x3F3504F3).bits(F32) - 1.0
    p = 7.0376836292e-2 * m - 1.1514610310e-1
    p = p * m + 1.1676998740e-1
    p = p * m - 1.2420140846e-1
    p = p * m + 1.4249322787e-1
    p = p * m - 1.6668057665e-1
    p = p * m + 2.0000714765e-1
    p = p * m - 2.4999993993e-1
    p = p * m + 3.3333331174e-1
    square = m * m
    return (m - 0.5 * square + square * m * p) + 0.69314718056 * e


def _polar32(radius_word: Lanes, angle_word: Lanes) -> tuple[Lanes, Lanes]:
    u = (radius_word >> 1).real(F32) * 2.0**-31 + 2.0**-32
    radius = (-2.0 * _log32(u)).root()
    angle = (angle_word << 2).real(F32) * (2.0**-31 * math.pi / 4)
    q = angle * angle
    sine = angle + angle * q * (-1.6666654611e-1 + q * (8.3321608736e-3 - q * 1.9515295891e-4))
    cosine = 4.166664568298827e-2 + q * (-1.388731625493765e-3 + q * 2.443315711809948e-5)
    cosine = (1.0 - 0.5 * q) + q * q * cosine
    sine_bits = (sine * radius).bits(I32)
    cosine_bits = (cosine * radius).bits(I32) ^ ((angle_word << 1) & 0x80000000)
    exchange = (sine_bits ^ cosine_bits) & angle_word.signed_shift(31)
    return (cosine_bits ^ exchange).bits(F32), (sine_bits ^ exchange).bits(F32)


_polar32_of_numbers = of_numbers(_polar32, [types.uint32] * 2, [types.float32] * 2)


@compiled(forceinline=True)
def box_muller32(radius_word, angle_word):
    """Two float32 normals of two 32-bit words: bits 31 and 30 of the second choose the quarter of the
    circle."""
    return _polar32_of_numbers(radius_word, angle_word)


def _unit_interval(word: Lanes) -> Lanes:
    return ((word >> 12) | 0x3FF0000000000000).bits(F64) - (1.0 - 2.0**-53)


_unit_interval_of_number = of_numbers(_unit_interval, [types.uint64], [types.float64])


@compiled(forceinline=True)
def unit_interval(word):
    """Odd multiple of 2^-53 in (0, 1) from the high 52 bits of a 64-bit word."""
    return _unit_interval_of_number(word)


def _log64(u: Lanes) -> Lanes:
    # fdlibm's log: u = 2^e (1 + f), s = f / (2 + f)
    shifted = u.bits(I64) + (0x3FF0000000000000 - 0x3FE6A09E00000000)
    e = ((shifted >> 52) | 0x4330000000000000).bits(F64) - (2.0**52 + 1023.0)
    f = ((shifted & 0x000FFFFFFFFFFFFF) + 0x3FE6A09E00000000).bits(F64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    even = w * (3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01))
    odd = 2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01)
    odd = z * (6.666666666666735130e-01 + w * odd)
    half = 0.5 * f * f
    return e * 6.93147180369123816490e-01 - (
        (half - (s * (half + (even + odd)) + e * 1.90821492927058770002e-10)) - f
    )


def _polar64(radius_word: Lanes, angle_word: Lanes) -> tuple[Lanes, Lanes]:
    radius = (-2.0 * _log64(_unit_interval(radius_word))).root()
    turn = (((angle_word << 2) >> 12) | 0x3FF0000000000000).bits(F64) - 1.5
    angle = (turn + 2.0**-53) * (math.pi / 2)
    z = angle * angle
    sine = 2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
    sine = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * sine)
    sine = angle + angle * z * (-1.66666666666666324348e-01 + z * sine)
    cosine = -2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 - z * 1.13596475577881948265e-11)
    cosine = -1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 + z * cosine)
    cosine = (1.0 - 0.5 * z) + z * z * (4.16666666666666019037e-02 + z * cosine)
    sine_bits = (sine * radius).bits(I64)
    cosine_bits = (cosine * radius).bits(I64) ^ ((angle_word << 1) & 0x8000000000000000)
    exchange = (sine_bits ^ cosine_bits) & angle_word.signed_shift(63)
    return (cosine_bits ^ exchange).bits(F64), (sine_bits ^ exchange).bits(F64)


_polar64_of_numbers = of_numbers(_polar64, [types.uint64] * 2, [types.float64] * 2)


@compiled(forceinline=True)
def box_muller64(radius_word, angle_word):
    """Two float64 normals of two 64-bit words: bits 63 and 62 of the second choose the quarter of the
    circle."""
    return _polar64_of_numbers(radius_word, angle_word)


def _four_normals(w0: Lanes, w1: Lanes, w2: Lanes, w3: Lanes) -> tuple[Lanes, ...]:
    return _polar32(w0.low(), w2.low()) + _polar32(w1.low(), w3.low())


def _two_normals(w0: Lanes, w1: Lanes, w2: Lanes, w3: Lanes) -> tuple[Lanes, ...]:
    return _polar64((w0 & 0xFFFFFFFF) | (w1 << 32), (w2 & 0xFFFFFFFF) | (w3 << 32))


# One pass: the words of a block stay in registers until they are normals.
_write_four, _write_two = block_writer(_four_normals), block_writer(_two_normals)


@compiled
def _fill32(normals, words, seed, purpose, path, first_block):
    flat, high = normals.reshape(-1), high_word(purpose, path)
    for b in range(normals.shape[0] // 4):
        _write_four(flat, b * 4 * PACK, uint64(first_block + b), uint64(path), high, uint64(seed))


@compiled
def _fill64(normals, words, seed, purpose, path, first_block):
    flat, high = normals.reshape(-1), high_word(purpose, path)
    for b in range(normals.shape[0] // 2):
        _write_two(flat, b * 2 * PACK, uint64(first_block + b), uint64(path), high, uint64(seed))


@compiled
def _fill_signs(signs, words, seed, purpose, path, first_block):
    pack_words(words, seed, purpose, path, first_block)
    out, word, lanes = signs.reshape(-1), words.reshape(-1), words.shape[1]
    for w in range(words.shape[0]):
        for bit in range(32):
            i, o, shift = w * PACK, (32 * w + bit) * PACK, uint32(bit)
            for lane in range(lanes):
                out[o + lane] = int8(int32(uint32((word[i + lane] >> shift) & _U(1)) << _U(1)) - int32(1))


def fill_normals(normals, words, seed, purpose, path, first_block):
    """Inside a kernel: the normals of consecutive blocks of a pack of paths.

    `normals` is float32 (4 * blocks, PACK) or float64 (2 * blocks, PACK), which chooses the quality: normal
    number q of lane l of the stream lands at [q - first_block * (4 or 2), l]. `words` is uint32 (4 * blocks,
    PACK) of scratch, which tells how many normals make a block. `path` is the first of the pack, a multiple of
    PACK. An int8 (128 * blocks, PACK) array is filled with fair signs in place of normals: two-point increments.
    """
    raise NotImplementedError("fill_normals is called from compiled kernels only")


@overload(fill_normals)
def _fill_normals(normals, words, seed, purpose, path, first_block):
    chosen = {types.float32: _fill32, types.float64: _fill64, types.int8: _fill_signs}[normals.dtype]
    return lambda normals, words, seed, purpose, path, first_block: chosen(
        normals, words, seed, purpose, path, first_block
    )


def scratch(quality: str, blocks: int = 32) -> tuple[np.ndarray, np.ndarray]:
    """Arrays (normals, words) for `fill_normals`, holding `blocks` blocks of a pack in the given quality.

    The quality "two_point" stands for signs, a hundred and twenty-eight of which fill a block.
    """
    words = np.zeros((4 * blocks, PACK), np.uint32)
    if quality == "two_point":
        return np.zeros((128 * blocks, PACK), np.int8), words
    return (words.astype(np.float32) if quality == "float32" else np.empty((2 * blocks, PACK))), words


@compiled
def pack_normals(out, normals, words, seed, purpose, path, position):
    """Fill `out` (count, PACK) with normals number position, position + 1, ... of a pack; scratch as
    above."""
    per_block, lanes = 4 * normals.shape[0] // words.shape[0], out.shape[1]
    start, stop = position, position + out.shape[0]
    while start < stop:
        first = start // per_block
        blocks = min((stop - 1) // per_block + 1 - first, words.shape[0] // 4)
        fill_normals(normals[: blocks * per_block], words[: 4 * blocks], seed, purpose, path, first)
        end = min(stop, (first + blocks) * per_block)
        for q in range(start, end):
            for lane in range(lanes):
                out[q - position, lane] = normals[q - first * per_block, lane]
        start = end


@intrinsic
def _turn(typing_context, out, column, normals, row):
    """Columns of PACK rows of normals (n, PACK), from `row` on, into the rows of `out` (PACK, m), from `column` on."""

    def generate(context, builder, signature, arguments):
        target = context.make_array(signature.args[0])(context, builder, arguments[0])
        source = context.make_array(signature.args[2])(context, builder, arguments[2]).data
        length = builder.extract_value(target.shape, 1)
        begin = builder.mul(arguments[3], ir.Constant(I64, PACK))
        rows = [load(builder, source, builder.add(begin, ir.Constant(I64, PACK * q)), PACK) for q in range(PACK)]
        for lane, values in enumerate(transposed(rows)):
            place = builder.add(arguments[1], builder.mul(length, ir.Constant(I64, lane)))
            store(target.data, place, values)
        return context.get_dummy_value()

    return types.void(out, types.int64, normals, types.int64), generate


def ahead(count: int) -> int:
    """Columns that `rows_of_normals` needs to hold `count` numbers, wherever they start."""
    return -(-count // PACK) * PACK + PACK


@compiled
def rows_of_normals(out, normals, words, seed, purpose, path, position, count):
    """Normals position..position + count - 1 of a pack of paths, a row a path; returns the column of the first.

    `out` is (PACK, `ahead(count)`) in the quality of the scratch, which holds a multiple of PACK rows.
    """
    first, per_block = position - position % PACK, 4 * normals.shape[0] // words.shape[0]
    stop = position + count
    for start in range(first, stop, normals.shape[0]):
        squares = min((stop - start - 1) // PACK + 1, normals.shape[0] // PACK)
        blocks = squares * PACK // per_block
        fill_normals(normals[: squares * PACK], words[: 4 * blocks], seed, purpose, path, start // per_block)
        for q in range(squares):
            _turn(out, start - first + q * PACK, normals, q * PACK)
    return position - first

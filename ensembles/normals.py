"""Standard normals from Philox words by Box-Muller, in two qualities, written to be vectorised over lanes.

Every operation is elementwise IEEE arithmetic (no reassociation, no contraction, no library call), so the
bits of a normal do not depend on how many lanes the compiler takes at once.

- float32: four normals a block, radius and angle from 32-bit words, |normal| < 6.67, relative error about
  1e-7;
- float64: two normals a block, radius and angle from 64-bit words, |normal| < 8.58, error of a few units in
  the last place.
"""

from __future__ import annotations

import math

import llvmlite.ir as ir
import numpy as np
from numba import float32, int8, int32, types, uint32, uint64
from numba.extending import intrinsic, overload

from sgdlimits.exact.compiling import compiled
from .philox import PACK, pack_words


def _bitcast(source, target, llvm_type):
    @intrinsic
    def cast(typing_context, value):
        def generate(context, builder, signature, arguments):
            return builder.bitcast(arguments[0], llvm_type)

        return target(source), generate

    return cast


_bits32 = _bitcast(types.float32, types.uint32, ir.IntType(32))
_float32 = _bitcast(types.uint32, types.float32, ir.FloatType())
_bits64 = _bitcast(types.float64, types.uint64, ir.IntType(64))
_float64 = _bitcast(types.uint64, types.float64, ir.DoubleType())

_F, _U, _W = np.float32, np.uint32, np.uint64  # numba widens 32-bit integers: every operation is cast back


@compiled(forceinline=True)
def _log32(u):
    # u = 2^e (1 + m) with 1 + m in [sqrt(1/2), sqrt(2)); minimax polynomial of Cephes logf
    shifted = uint32(_bits32(u) + _U(0x3F800000 - 0x3F3504F3))
    e = float32(int32(int32(shifted >> _U(23)) - int32(127)))
    m = _float32(uint32((shifted & _U(0x007FFFFF)) + _U(0x3F3504F3))) - _F(1.0)
    p = _F(7.0376836292e-2) * m - _F(1.1514610310e-1)
    p = p * m + _F(1.1676998740e-1)
    p = p * m - _F(1.2420140846e-1)
    p = p * m + _F(1.4249322787e-1)
    p = p * m - _F(1.6668057665e-1)
    p = p * m + _F(2.0000714765e-1)
    p = p * m - _F(2.4999993993e-1)
    p = p * m + _F(3.3333331174e-1)
    square = m * m
    return (m - _F(0.5) * square + square * m * p) + _F(0.69314718056) * e


@compiled(forceinline=True)
def box_muller32(radius_word, angle_word):
    """Two float32 normals of two 32-bit words: bits 31 and 30 of the second choose the quarter of the
    circle."""
    u = float32(int32(radius_word >> _U(1))) * _F(2.0**-31) + _F(2.0**-32)
    radius = float32(math.sqrt(_F(-2.0) * _log32(u)))
    angle = float32(int32(uint32(angle_word << _U(2)))) * _F(2.0**-31 * math.pi / 4)
    q = angle * angle
    sine = angle + angle * q * (_F(-1.6666654611e-1) + q * (_F(8.3321608736e-3) - q * _F(1.9515295891e-4)))
    cosine = _F(4.166664568298827e-2) + q * (_F(-1.388731625493765e-3) + q * _F(2.443315711809948e-5))
    cosine = (_F(1.0) - _F(0.5) * q) + q * q * cosine
    sine_bits = _bits32(sine * radius)
    cosine_bits = uint32(_bits32(cosine * radius) ^ uint32(uint32(angle_word << _U(1)) & _U(0x80000000)))
    exchange = uint32((sine_bits ^ cosine_bits) & uint32(int32(angle_word) >> int32(31)))
    return _float32(uint32(cosine_bits ^ exchange)), _float32(uint32(sine_bits ^ exchange))


@compiled(forceinline=True)
def unit_interval(word):
    """Odd multiple of 2^-53 in (0, 1) from the high 52 bits of a 64-bit word."""
    return _float64((word >> _W(12)) | _W(0x3FF0000000000000)) - (1.0 - 2.0**-53)


@compiled(forceinline=True)
def _log64(u):
    # fdlibm's log: u = 2^e (1 + f), s = f / (2 + f)
    shifted = _bits64(u) + _W(0x3FF0000000000000 - 0x3FE6A09E00000000)
    e = _float64((shifted >> _W(52)) | _W(0x4330000000000000)) - (2.0**52 + 1023.0)
    f = _float64((shifted & _W(0x000FFFFFFFFFFFFF)) + _W(0x3FE6A09E00000000)) - 1.0
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


@compiled(forceinline=True)
def box_muller64(radius_word, angle_word):
    """Two float64 normals of two 64-bit words: bits 63 and 62 of the second choose the quarter of the
    circle."""
    radius = math.sqrt(-2.0 * _log64(unit_interval(radius_word)))
    turn = _float64(((angle_word << _W(2)) >> _W(12)) | _W(0x3FF0000000000000)) - 1.5
    angle = (turn + 2.0**-53) * (math.pi / 2)
    z = angle * angle
    sine = 2.75573137070700676789e-06 + z * (-2.50507602534068634195e-08 + z * 1.58969099521155010221e-10)
    sine = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * sine)
    sine = angle + angle * z * (-1.66666666666666324348e-01 + z * sine)
    cosine = -2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 - z * 1.13596475577881948265e-11)
    cosine = -1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 + z * cosine)
    cosine = (1.0 - 0.5 * z) + z * z * (4.16666666666666019037e-02 + z * cosine)
    sine_bits = _bits64(sine * radius)
    cosine_bits = _bits64(cosine * radius) ^ ((angle_word << _W(1)) & _W(0x8000000000000000))
    exchange = (sine_bits ^ cosine_bits) & (_W(0) - (angle_word >> _W(63)))
    return _float64(cosine_bits ^ exchange), _float64(sine_bits ^ exchange)


# The lane loops below run over flat arrays at constant distances with a number of lanes that the compiler
# does not know: so it neither unrolls them (nothing would be vectorised) nor meets too many arrays to check
# for overlap.


@compiled
def _fill32(normals, words, seed, purpose, path, first_block):
    pack_words(words, seed, purpose, path, first_block)
    out, word, lanes = normals.reshape(-1), words.reshape(-1), words.shape[1]
    for b in range(words.shape[0] // 4):
        i = b * 4 * PACK
        for lane in range(lanes):
            x, y = box_muller32(word[i + lane], word[i + 2 * PACK + lane])
            out[i + lane], out[i + PACK + lane] = x, y
        for lane in range(lanes):
            x, y = box_muller32(word[i + PACK + lane], word[i + 3 * PACK + lane])
            out[i + 2 * PACK + lane], out[i + 3 * PACK + lane] = x, y


@compiled
def _fill64(normals, words, seed, purpose, path, first_block):
    pack_words(words, seed, purpose, path, first_block)
    out, word, lanes = normals.reshape(-1), words.reshape(-1), words.shape[1]
    for b in range(words.shape[0] // 4):
        i, o = b * 4 * PACK, b * 2 * PACK
        for lane in range(lanes):
            radius_word = uint64(word[i + lane]) | (uint64(word[i + PACK + lane]) << _W(32))
            angle_word = uint64(word[i + 2 * PACK + lane]) | (uint64(word[i + 3 * PACK + lane]) << _W(32))
            out[o + lane], out[o + PACK + lane] = box_muller64(radius_word, angle_word)


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
    number q of lane l of the stream lands at [q - first_block * (4 or 2), l]. `words` is uint32 (4 *
    blocks, PACK) of scratch. `path` is the first of the pack, a multiple of PACK. An int8 (128 * blocks, PACK)
    array is filled with fair signs in place of normals: two-point increments.
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

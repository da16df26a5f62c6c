"""tanh in arithmetic alone, without branches and calls: a compiled loop over units does several at once."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from sgdlimits.exact.compiling import compiled

SHIFT = 1.5 * 2.0**52  # added to a small number it leaves the nearest whole number in the last bits
BIAS = 1023  # of the exponent of a double
MANTISSA = 52  # bits
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 0.6931471803691238, 1.9082149292705877e-10  # their sum is ln 2; the first has 20 zero bits
SATURATED = -40.0  # e^-40 is rounding beside 1


@intrinsic
def _bits(context: Any, value: Any) -> Any:
    """The 64 bits of a double as a whole number."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@intrinsic
def _double(context: Any, bits: Any) -> Any:
    """The double of 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


@compiled
def compiled_tanh(z):
    """tanh z to three units in the last place, by e^x - 1 at x = -2 |z|.

    x = k ln 2 + r with whole k and |r| below ln 2 / 2, e^r - 1 by its series up to r^14, 2^k by its bits.
    """
    x = -2.0 * abs(z)
    x = SATURATED if x < SATURATED else x  # written so that nan stays nan
    shifted = x * LOG2_E + SHIFT
    k = shifted - SHIFT
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    series = 1 / 87178291200
    series = series * r + 1 / 6227020800
    series = series * r + 1 / 479001600
    series = series * r + 1 / 39916800
    series = series * r + 1 / 3628800
    series = series * r + 1 / 362880
    series = series * r + 1 / 40320
    series = series * r + 1 / 5040
    series = series * r + 1 / 720
    series = series * r + 1 / 120
    series = series * r + 1 / 24
    series = series * r + 1 / 6
    series = series * r + 1 / 2
    rest = r + r * r * series
    power = _double((_bits(shifted) - _bits(SHIFT) + BIAS) << MANTISSA)
    below = power * rest + (power - 1.0)
    t = -below / (2.0 + below)
    return t if z >= 0 else -t

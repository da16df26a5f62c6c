"""Functions for compiled loops over lanes: without branches or a library's call, so that LLVM vectorises the loop."""

from __future__ import annotations

import math

from numba import types

from sgdlimits.exact.compiling import compiled

from .lanes import F64, I64, Lanes, of_numbers

_SIGN, _REST = 1 << 63, (1 << 63) - 1
_LOG2_HIGH, _LOG2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # the first with 32 zeros at its end
_WHOLE = 1.5 * 2.0**52  # added, it leaves a whole number in the lowest bits
_TERMS = 13  # of exp on half of log 2: the next is below 1e-17 of the sum
_ONE = 20.0  # tanh rounds to 1 from 19.1 on


def _tanh(z: Lanes) -> Lanes:
    # With E = exp(2 |z|) - 1 it is E / (E + 2); 2 |z| = k log 2 + r, E = 2^k (exp(r) - 1) + (2^k - 1).
    size = (z.bits(I64) & _REST).bits(F64)
    double = 2.0 * size.at_most(_ONE)
    shifted = double * (1 / math.log(2)) + _WHOLE
    k = shifted - _WHOLE
    r = (double - k * _LOG2_HIGH) - k * _LOG2_LOW
    p = r * (1 / math.factorial(_TERMS)) + 1 / math.factorial(_TERMS - 1)
    for n in range(_TERMS - 2, 1, -1):
        p = p * r + 1 / math.factorial(n)
    grown = r + (r * r) * p
    power = ((shifted.bits(I64) << 52) + 0x3FF0000000000000).bits(F64)
    e = power * grown + (power - 1.0)
    return ((e / (e + 2.0)).bits(I64) | (z.bits(I64) & _SIGN)).bits(F64)


_tanh_of_number = of_numbers(_tanh, [types.float64], [types.float64])


@compiled(forceinline=True)
def tanh(z):
    """Hyperbolic tangent of a float64, to three units in the last place."""
    return _tanh_of_number(z)

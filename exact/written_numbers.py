"""How numbers are written: to the digits that are known of them."""

from __future__ import annotations

import math

NOTHING = "–"


def number(value: float, digits: int = 4, sign: bool = False) -> str:
    """`value` with so many significant digits: 0.2612, +9.831e-5, inf; a dash where there is none."""
    value = float(value)
    if math.isnan(value):
        return NOTHING
    if value == 0:
        return "0"
    if math.isinf(value):
        return f"{value:{'+' if sign else ''}}"
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    plus = "+" if sign else ""
    if -4 < exponent < max(digits, 5):
        return f"{value:{plus}.{max(digits - 1 - exponent, 0)}f}"
    mantissa, _, power = f"{value:{plus}.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(power)}"


def rounded(value: float, error: float, sign: bool = False, most: int = 7) -> str:
    """`value` to the digit that its error leaves: two digits of the error, at most `most` of the value."""
    value, error = float(value), float(error)
    if not (math.isfinite(value) and math.isfinite(error)) or error <= 0 or value == 0:
        return number(value, sign=sign)
    last = math.floor(math.log10(error)) - 1  # power of ten of the last digit shown
    shown = round(value / 10.0**last) * 10.0**last if abs(last) < 300 else value
    if shown == 0:
        return number(value, 1, sign)
    return number(value, min(max(math.floor(math.log10(abs(shown))) - last + 1, 1), most), sign)


def known(value: float, error: float) -> str:
    """`value` to the digit that its error leaves, at most ten, which a closed form has."""
    return f"{value:.10g}" if error == 0 else rounded(value, error, most=10)

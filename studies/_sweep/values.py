"""Values of a setting along an axis of a sweep, from a text such as step_size=0.01:0.1:10log or batch_size=1,2,4."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from dataclasses import Field
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, nearest, real_number, shown, whole_number
from sgdlimits.studies.options import kind_of, number, options_of, whole

MOST = 10_000  # values along one axis
MACHINE = ("threads", "out", "overwrite", "quiet", "from", "workers", "dask", "over")
EXACT = Context(prec=60)  # digits in which a range is computed: a double keeps 17, so the last step alone rounds
SHOWN = 6  # values that a message lists
FORM = "NAME=VALUE,VALUE,... or NAME=FIRST:LAST:COUNT, with log after the count for geometric values"
COUNT = re.compile(r"(\d+)(lin|log)?")


def swept_values(study: type, text: str) -> tuple[str, list[Any]]:
    """The setting that a text names, and its values.

    Parameters
    ----------
    study : type
        Settings of a study, whose fields are made by `studies.options.option`.
    text : str
        "batch_size=1,2,4", "ridge=0:1:5" or "ridge=0:1:5lin" (evenly spaced, both ends in), "step_size=0.01:0.1:10log"
        (geometric, both ends in), "sampling=reshuffle,with_replacement", "quick=true,false". A comma always separates
        values. The same text gives the same bits on every machine.

    Returns
    -------
    name : str
    values : list
        Of the setting's own type, in the order of the text.

    Raises
    ------
    InvalidInput
        If the setting is not known or cannot be swept, or a value is not of its type, not finite or there twice.
        What a study itself refuses is found when its settings are made.
    """
    if not isinstance(text, str):
        raise InvalidInput(f"what is swept must be a text, {FORM}; got {shown(text)}")
    name, equals, given = (part.strip() for part in text.partition("="))
    if not equals or not name:
        raise InvalidInput(f"what is swept must be {FORM}; got {shown(text)}")
    entry = swept_setting(study, name)
    name, kind = entry.name, kind_of(entry)
    if not given:
        raise InvalidInput(f"{name} is given no value; it needs {FORM.replace('NAME', name)}")
    if kind in ("int", "float") and ":" in given:
        return name, _distinct(name, _range(name, kind, given))
    return name, _distinct(name, [_read(name, kind, part.strip()) for part in given.split(",")])


def checked_values(study: type, name: str, values: Iterable[Any]) -> list[Any]:
    """Values of a setting that are given as such, in its own type: each once, at least one; refused as in a text."""
    entry = swept_setting(study, name)
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise InvalidInput(f"{entry.name} must have a list of values, got {shown(values)}; for one value give [value]")
    listed = values.tolist() if isinstance(values, np.ndarray) and values.ndim else list(values)
    return _distinct(entry.name, [_own_type(entry.name, kind_of(entry), value) for value in listed])


def swept_setting(study: type, name: str) -> Field[Any]:
    """The field of a setting that can be swept, step_size or step-size.

    Raises
    ------
    InvalidInput
        If there is none, or no number depends on it.
    """
    if not isinstance(name, str):
        raise InvalidInput(f"the name of a setting must be a text, got {shown(name)}")
    found = {entry.name: (entry, words) for entry, words in options_of(study)}
    plain = name.replace("-", "_")
    allowed = [key for key, (_, words) in found.items() if words.stored]
    if plain in MACHINE and plain not in found or plain in found and not found[plain][1].stored:
        raise InvalidInput(f"{plain} cannot be swept, since no number depends on it; give it beside what is swept")
    if plain not in found:
        raise InvalidInput(f"{shown(name)} is no setting that can be swept; {nearest(plain, allowed)}")
    return found[plain][0]


def _read(name: str, kind: str, text: str) -> Any:
    """One value of a list."""
    if not text:
        raise InvalidInput(f"{name} has an empty value; give one value between commas, and none after the last comma")
    if kind == "bool":
        if text not in ("true", "false"):
            raise InvalidInput(f"{name} must be true or false, got {shown(text)}")
        return text == "true"
    if kind in ("int", "float"):
        try:
            return _own_type(name, kind, whole(text) if kind == "int" else number(text))
        except argparse.ArgumentTypeError as error:
            raise InvalidInput(f"{name} {error}") from None
    return text


def _own_type(name: str, kind: str, value: Any) -> Any:
    """A value as its setting has it."""
    if kind == "bool":
        if not isinstance(value, (bool, np.bool_)):
            raise InvalidInput(f"{name} must be true or false, got {shown(value)}")
        return bool(value)
    if kind == "int":
        # Seeds reach beyond 2^62, up to which a whole number is checked; their own bounds are the study's.
        return whole_number(name, value, -(2**64), 2**64)
    if kind == "float":
        return real_number(name, value) + 0.0  # -0.0 is 0.0: one value, one text
    if not isinstance(value, str) or not value:
        raise InvalidInput(f"{name} must be a text, got {shown(value)}")
    return str(value)


def _range(name: str, kind: str, text: str) -> list[Any]:
    """Values of FIRST:LAST:COUNT; the ends are the numbers as they stand there."""
    parts = [part.strip() for part in text.split(":")]
    form = f"{name}=FIRST:LAST:COUNT or FIRST:LAST:COUNTlog"
    if len(parts) != 3 or "," in text:
        raise InvalidInput(f"{name} has a range {shown(text)}, which is not understood; it must be {form}")
    first, last = (_read(name, kind, part) for part in parts[:2])
    count = COUNT.fullmatch(parts[2])
    if count is None or len(count[1]) > 9 or not 2 <= int(count[1]) <= MOST:
        raise InvalidInput(
            f"the count of values of {name} must be a whole number from 2 to {MOST}, alone or with log or lin after "
            f"it, got {shown(parts[2])}"
        )
    points, spacing = int(count[1]), count[2]
    if spacing == "log":
        if not (first > 0 and last > 0):
            raise InvalidInput(
                f"geometric values of {name} need ends above zero, got {first!r} and {last!r}; leave log out for even "
                "spacing"
            )
        inner = _geometric(first, last, points)
    else:
        inner = _even(first, last, points)
    if kind == "float":
        return [first, *map(float, inner), last]
    rounded = [first, *(round(value) for value in inner), last]
    if any(abs(value - round(value)) > Fraction(1, 10**30) * max(first, last) for value in inner):
        gave = _listed([first, *(f"{float(value):.6g}" for value in inner), last])
        distinct = ",".join(map(str, dict.fromkeys(rounded)))
        hint = f"such as {name}={distinct}" if len(distinct) <= 100 else "or another count"
        raise InvalidInput(f"{name} takes whole numbers, but {text} gives {gave}; give a list, {hint}")
    return rounded


def _even(first: float, last: float, points: int) -> list[Fraction]:
    """Inner values, exact for the ends in decimal notation: 0:0.3:4 gives 0.1, not 0.09999999999999999."""
    a, b = Fraction(repr(first)), Fraction(repr(last))
    return [a + (b - a) * k / (points - 1) for k in range(1, points - 1)]


def _geometric(first: float, last: float, points: int) -> list[Fraction]:
    """Inner values to many more digits than a double has: neither the machine nor its library decides the last bit."""
    start, end = (EXACT.ln(Decimal(repr(value))) for value in (first, last))
    exponents = [
        EXACT.divide(EXACT.add(EXACT.multiply(start, Decimal(points - 1 - k)), EXACT.multiply(end, Decimal(k))),
                     Decimal(points - 1))
        for k in range(1, points - 1)
    ]  # fmt: skip
    return [Fraction(EXACT.exp(exponent)) for exponent in exponents]


def _distinct(name: str, values: list[Any]) -> list[Any]:
    """The values if there is one, none comes twice and they are not too many."""
    if not values:
        raise InvalidInput(f"{name} is given no value; give at least one")
    if len(values) > MOST:
        raise InvalidInput(f"{name} is given {len(values)} values; at most {MOST} are taken along one axis")
    seen: set[Any] = set()
    for value in values:
        if value in seen:
            raise InvalidInput(f"{name} has the value {shown(value)} twice, in {_listed(values)}; give each value once")
        seen.add(value)
    return values


def _listed(values: list[Any]) -> str:
    said = [str(value) if not isinstance(value, str) or len(value) < 20 else shown(value) for value in values]
    return ", ".join(said if len(said) <= SHOWN else [*said[: SHOWN - 2], "...", said[-1]])

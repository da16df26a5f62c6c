"""Where along a step size an error is within its allowance: components, from a scan refined by root finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from sgdlimits.exact.errors import OutOfReach

ACCURATE = 1e-7  # relative error of a root
LOWER = 100.0  # factor by which the scan goes on downwards until it is certain what happens there
MOST_LOWER = 5  # times that it does
INSIDE = 0.05  # part of the allowance at which an error is so small that its fall is certain
VANISHES = 0.1  # power of the step size with which an error falls at least, that goes to nothing
NEAR = 20.0  # over the allowance: between places of the scan a dip from there, or a peak so far below, is looked into
LOOKS = 14  # at a dip, a peak or a change of sign
FLAT = 1e-6  # relative difference of errors side by side that do not change any more
JUMPS = 3  # halvings after which a change of sign that is a jump is told


@dataclass(frozen=True)
class Component:
    """An interval of step sizes at which the error is within its allowance; `open`: it goes on past the scan."""

    low: float
    high: float
    open: bool = False


@dataclass(frozen=True)
class Found:
    """What a scan found.

    Attributes
    ----------
    first : Component or None
        The one that begins at 0; None where there is none down to the smallest step size.
    others : sequence of Component
        Further ones, in the resolution of the scan.
    smallest : float
        The least step size that was looked at.
    stays : bool
        Whether the error no longer falls there.
    """

    first: Component | None
    others: Sequence[Component]
    smallest: float
    stays: bool


def components(
    error: Callable[[float], float], scan: np.ndarray, within: float, settles: float = math.inf
) -> Found:
    """Components of {s: |error(s)| <= within} over an ascending scan of step sizes, ends found to rounding.

    Parameters
    ----------
    error : function of the step size
        With its sign; one that raises OutOfReach below the scan ends the way down.
    settles : float
        The step size past which what is compared grows without end: curves that do so cross at some step size or
        other, and between places of the scan nothing is looked into there.
    """
    sizes = [float(size) for size in scan]
    errors = [error(size) for size in sizes]
    for _ in range(MOST_LOWER):  # at least once: a dip at the lower end is not yet a fall
        try:
            lower = error(sizes[0] / LOWER)
        except OutOfReach:
            break
        sizes.insert(0, sizes[0] / LOWER)
        errors.insert(0, lower)
        if abs(lower) <= INSIDE * within:
            break
    sizes, errors = _with_turns(error, sizes, errors, within, settles)
    found: list[Component] = []
    start: float | None = 0.0 if abs(errors[0]) <= within else None
    for (left, before), (right, after) in zip(zip(sizes, errors), zip(sizes[1:], errors[1:])):
        if (abs(before) <= within) == (abs(after) <= within):
            continue
        root = _root(error, left, right, within)
        if abs(after) > within:
            found.append(Component(left if start is None else start, root))
            start = None
        else:
            start = root
    if abs(errors[-1]) <= within:
        found.append(Component(sizes[-1] if start is None else start, sizes[-1], True))
    first = found.pop(0) if found and found[0].low == 0 else None
    return Found(first, found, sizes[0], _stays(sizes, errors))


def _stays(sizes: Sequence[float], errors: Sequence[float]) -> bool:
    """Whether the error no longer falls at the lower end."""
    first, second = abs(errors[0]), abs(errors[1])
    if not (math.isfinite(first) and math.isfinite(second)):
        return not math.isfinite(first)
    if min(first, second) <= 0:
        return first > 0
    return math.log(second / first) < VANISHES * math.log(sizes[1] / sizes[0])


def _with_turns(
    error: Callable[[float], float], sizes: list[float], errors: list[float], within: float, settles: float
) -> tuple[list[float], list[float]]:
    """The scan with what lies between its places where the error dips to its allowance or rises above it."""
    levels, last = np.abs(errors), len(sizes) - 1
    more: dict[float, float] = {}
    for place in range(int(np.searchsorted(sizes, settles))):
        left, right = max(place - 1, 0), min(place + 1, last)
        dips = within < levels[place] <= NEAR * within and levels[place] <= min(levels[left], levels[right])
        rises = within / NEAR <= levels[place] <= within and levels[place] >= max(levels[left], levels[right])
        if rises or (dips and not _flat(levels, place)):
            more |= _turn(error, sizes[left], sizes[right], within, dips)
        turned = place < last and errors[place] * errors[place + 1] < 0  # what cancels between them may do so deeply
        if turned and within < min(levels[place : place + 2]) <= NEAR * within:
            more |= _change(error, sizes[place : place + 2], errors[place : place + 2], within)
    known = dict(zip(sizes, errors)) | more
    return sorted(known), [known[size] for size in sorted(known)]


def _flat(levels: np.ndarray, place: int) -> bool:
    """Whether a neighbour is as large: where one side alone has blown up the error stays what it is."""
    beside = [levels[other] for other in (place - 1, place + 1) if 0 <= other < len(levels)]
    return any(abs(level - levels[place]) <= FLAT * levels[place] for level in beside)


def _change(
    error: Callable[[float], float], sizes: Sequence[float], errors: Sequence[float], within: float
) -> dict[float, float]:
    """A step size at which an error that changes its sign is within the allowance; nothing where it jumps."""
    (left, right), (before, after) = sizes, errors
    apart = abs(before) + abs(after)
    for look in range(LOOKS):
        size = math.sqrt(left * right)
        found = error(size)
        if abs(found) <= within:
            return {size: found}
        if found * before > 0:
            left, before = size, found
        else:
            right, after = size, found
        # One that is continuous has gone down with the interval, to an eighth of it by now.
        if look + 1 >= JUMPS and math.isfinite(apart) and abs(before) + abs(after) > 0.5 * apart:
            return {}
    return {}


def _turn(
    error: Callable[[float], float], left: float, right: float, within: float, down: bool
) -> dict[float, float]:
    """A step size between two others on the other side of the allowance; nothing where none is seen."""
    ratio, sign = (math.sqrt(5) - 1) / 2, 1 if down else -1
    low, high = math.log(left), math.log(right)
    found: dict[float, float] = {}

    def at(place: float) -> float:
        size = math.exp(place)
        found[size] = error(size)
        return sign * min(abs(found[size]), 1e300)

    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    values = [at(place) for place in inner]
    for _ in range(LOOKS - 2):
        size, value = min(found.items(), key=lambda pair: sign * abs(pair[1]))
        if (abs(value) <= within) == down:
            return {size: value}
        if values[0] <= values[1]:
            high, inner[1], values[1] = inner[1], inner[0], values[0]
            inner[0] = high - ratio * (high - low)
            values[0] = at(inner[0])
        else:
            low, inner[0], values[0] = inner[0], inner[1], values[1]
            inner[1] = low + ratio * (high - low)
            values[1] = at(inner[1])
    return {}


def _root(error: Callable[[float], float], left: float, right: float, within: float) -> float:
    """Where the error crosses its allowance, in the logarithm of the step size."""

    def level(place: float) -> float:
        found = abs(error(math.exp(place)))
        return math.log(max(found, 1e-300) / within) if math.isfinite(found) else 700.0

    return math.exp(brentq(level, math.log(left), math.log(right), xtol=ACCURATE, rtol=4 * np.finfo(float).eps))

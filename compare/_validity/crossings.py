"""Where along a step size an error is within its allowance: components, from a scan refined by root finding."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

ACCURATE = 1e-7  # relative error of a root
LOWER = 100.0  # factor by which the scan goes on downwards while nothing is within
MOST_LOWER = 3  # times that it does
VANISHES = 0.1  # power of the step size with which an error falls at least, that goes to nothing


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
        The one that begins at 0; None where the error does not vanish at small step sizes.
    others : sequence of Component
        Further ones, in the resolution of the scan.
    smallest : (step size, error)
        At the lower end of the scan.
    """

    first: Component | None
    others: Sequence[Component]
    smallest: tuple[float, float]


def components(error: Callable[[float], float], scan: np.ndarray, within: float) -> Found:
    """Components of {s: error(s) <= within} over an ascending scan of step sizes, ends found to rounding."""
    sizes = [float(size) for size in scan]
    errors = [error(size) for size in sizes]
    for _ in range(MOST_LOWER):
        if errors[0] <= within or _stays(sizes, errors):
            break
        sizes.insert(0, sizes[0] / LOWER)
        errors.insert(0, error(sizes[0]))
    found: list[Component] = []
    start: float | None = 0.0 if errors[0] <= within and not _grows_downwards(sizes, errors) else None
    for (left, before), (right, after) in zip(zip(sizes, errors), zip(sizes[1:], errors[1:])):
        if (before <= within) == (after <= within):
            continue
        root = _root(error, left, right, within)
        if after > within:
            found.append(Component(left if start is None else start, root))
            start = None
        else:
            start = root
    if errors[-1] <= within:
        found.append(Component(sizes[-1] if start is None else start, sizes[-1], True))
    first = found.pop(0) if found and found[0].low == 0 else None
    return Found(first, found, (sizes[0], errors[0]))


def _stays(scan: Sequence[float], errors: Sequence[float]) -> bool:
    """Whether the error no longer falls at the lower end."""
    if not math.isfinite(errors[0]) or not math.isfinite(errors[1]) or min(errors[:2]) <= 0:
        return False
    power = math.log(errors[1] / errors[0]) / math.log(scan[1] / scan[0])
    return power < VANISHES and scan[1] / scan[0] >= LOWER


def _grows_downwards(scan: Sequence[float], errors: Sequence[float]) -> bool:
    """Whether an error that is within at the lower end grows towards smaller step sizes."""
    return len(errors) > 1 and 1e-9 < errors[1] < 0.5 * errors[0]


def _root(error: Callable[[float], float], left: float, right: float, within: float) -> float:
    """Where the error crosses its allowance, in the logarithm of the step size."""

    def level(place: float) -> float:
        found = error(math.exp(place))
        return math.log(max(found, 1e-300) / within) if math.isfinite(found) else 700.0

    return math.exp(brentq(level, math.log(left), math.log(right), xtol=ACCURATE, rtol=4 * np.finfo(float).eps))

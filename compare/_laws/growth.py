"""With which power of |x| an observable grows, seen on rays: what decides whether its mean and variance are finite."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

RADII = ((1e8, 1e16, 1e32), (1e4, 1e8, 1e16), (1e2, 1e4, 1e8), (5.0, 25.0, 625.0), (2.0, 4.0, 16.0))  # r, r^2, r^4
ALIKE = 0.02  # by which powers seen at two sets of radii may differ
RISING = 0.5  # by which a slope that keeps rising does from one radius to the next: faster than every power
DIRECTIONS = 16  # random ones, beside the axes, each in both senses
MOST_AXES = 32
NEAR = 8  # radii from r to 2 r, so that an oscillation shows its size


def growth_of(function: Callable[[np.ndarray], Any], centre: np.ndarray) -> float | None:
    """The power p of |x| with which the largest of |f| over directions grows; None where f gives no numbers far out.

    Of r^p log(r)^q the slopes of log f in log r over r to r^2 and r^2 to r^4 are p + q log 2 / log r and half of that
    excess more than p: twice the second less the first is p. Derived. It is 0 of what is bounded, and infinite of what
    grows faster than every power.
    """
    random = np.random.Generator(np.random.Philox(0))
    d, size = centre.size, max(1.0, float(np.abs(centre).max(initial=0.0)))
    drawn = random.standard_normal((DIRECTIONS, d))
    drawn /= np.linalg.norm(drawn, axis=1)[:, None]
    rays = np.concatenate([drawn, np.eye(d)[: min(d, MOST_AXES)]])
    offsets = (np.concatenate([rays, -rays])[:, None] * np.geomspace(1, 2, NEAR)[:, None]).reshape(-1, d)

    def largest(radius: float) -> float:
        values = np.abs(np.asarray(function(centre + size * radius * offsets), dtype=float))
        return math.nan if np.isnan(values).any() else float(values.max())

    try:
        with np.errstate(all="ignore"):
            sizes = {radius: largest(radius) for radius in sorted({r for radii in RADII for r in radii})}
    except Exception:  # not defined out there
        return None
    seen: list[tuple[float, bool]] = []
    for radii in RADII:
        at = np.array([sizes[radius] for radius in radii])
        if np.isfinite(at).all():
            slopes = np.diff(np.log(np.maximum(at, np.finfo(float).tiny))) / np.diff(np.log(radii))
            power = float(2 * slopes[1] - slopes[0]) if at[-1] > 0 else 0.0
            seen.append((max(0.0, power), bool(slopes[1] > slopes[0] + RISING)))
    for (far, _), (near, _) in zip(seen, seen[1:]):
        if abs(far - near) <= ALIKE:
            return round(far, 2)
    if not seen:
        return None
    power, rises = seen[0]
    return math.inf if rises else round(power, 2)


def growth_in_words(power: float | None) -> str:
    """What a power is, in words."""
    if power is None:
        return "gives no numbers there, so that it is not known whether its mean and variance are finite"
    if power > 1e299:
        return "grows faster than every power of |x|"
    return f"grows like |x|^{power:g}" if power else "grows slower than every power of |x|"

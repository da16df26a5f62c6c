"""Noise of two descents made alike: equal spread within the basin of the start, or equal rate of leaving it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach, function, instance_of, one_of, positive
from sgdlimits.exact.killed_chains import quasi_stationary
from sgdlimits.problems.wells import WellLandscape

from .descent import LandscapeDescent
from .driver import rate
from .models import model_of
from .well_mesh import NODES, mesh_of, quantiles

BY = ("interquartile_range", "rate")
WIDTHS, FINE = 6.5, 4.5  # of a panel, in widths of a step
WIDER, MOST_WIDENINGS = 8.0, 30
SPARE = 1e-11  # of the rate: mass that may leave the nodes a step
FACTOR, MOST_STEPS = 1.6, 60  # of a search for a bracket
STILL = 1e-5  # relative change of what is matched, from one level to the next, that is none


@dataclass(frozen=True)
class BasinLaw:
    """What is matched, of one descent in the basin of its start.

    Attributes
    ----------
    interquartile_range : float
        Of the position under the quasi-stationary law: of paths that have not left for a long time.
    rate : float
        Of leaving, per step.
    interquartile_error, rate_error : float
        Numerical: the change from one resolution to the next.
    """

    interquartile_range: float
    rate: float
    interquartile_error: float
    rate_error: float

    def __repr__(self) -> str:
        return (
            f"BasinLaw(interquartile range {self.interquartile_range:.6g} +- {self.interquartile_error:.1g}, left at "
            f"{self.rate:.6g} +- {self.rate_error:.1g} a step)"
        )


@dataclass(frozen=True)
class NoiseMatch:
    """A noise level at which two descents are alike in one respect, and how they differ in the other.

    Attributes
    ----------
    level : float
    by : {"interquartile_range", "rate"}
    descent : LandscapeDescent
        That of `level`.
    law, reference : BasinLaw
        Of it, and of the one it is matched to (of a number that was given, nan in the other respect).
    """

    level: float
    by: str
    descent: LandscapeDescent
    law: BasinLaw
    reference: BasinLaw

    def __repr__(self) -> str:
        return (
            f"NoiseMatch(level {self.level:.9g} by {self.by.replace('_', ' ')}: {self.law!r}, matched to "
            f"{self.reference!r})"
        )


def basin_law(descent: LandscapeDescent) -> BasinLaw:
    """Spread and rate of leaving of a descent on a line, by its transfer operator.

    Raises
    ------
    OutOfReach
        If too many nodes would be needed, the rate is too small for numbers, or paths wander too far.
    InvalidInput
        If its noise dies out at the minimum, or the law of its step is not known.
    """
    return _law(descent, (WIDTHS, FINE))


def _law(descent: LandscapeDescent, resolutions: tuple[float, ...]) -> BasinLaw:
    instance_of("descent", descent, LandscapeDescent, "made of a landscape, a step size and a noise")
    if descent.dimension != 1:
        raise InvalidInput(f"an interquartile range is of a line, but the descent has dimension {descent.dimension}")
    model = model_of(descent)
    if isinstance(descent.landscape, WellLandscape) and not descent.momentum and model is not None and model.line:
        pairs = [_in_well(model.line, descent.landscape, widths) for widths in resolutions]
        (iqr, left), (fine_iqr, fine_left) = pairs[0], pairs[-1]
        return BasinLaw(fine_iqr, fine_left, abs(iqr - fine_iqr), abs(left - fine_left))
    found = rate(descent, method="transfer")
    law = found.quasi_stationary
    assert law is not None
    low, high = quantiles(law.masses, law.points[:, 0], (0.25, 0.75))
    iqr = float(high - low)
    return BasinLaw(iqr, found.rate, max(1e-9 * iqr, iqr * found.error / found.rate), found.error)


def _in_well(steps: Any, landscape: WellLandscape, widths: float) -> tuple[float, float]:
    home = landscape.home
    low, high = (float(bound[home]) for bound in landscape.bounds)
    well, middle = landscape.basins[home], landscape.minima[home]
    reach = {-1: 2 * well.width, 1: 2 * well.width}
    for _ in range(MOST_WIDENINGS):
        first = middle - reach[-1] if math.isinf(low) else low
        last = middle + reach[1] if math.isinf(high) else high
        inner = [x for x in (well.lower, middle, well.upper) if math.isfinite(x)]
        mesh = mesh_of(steps, np.array([first, *inner, last]), widths)
        x, zero = mesh.nodes, np.zeros(mesh.nodes.size)
        matrix = steps.density(x, zero, np.broadcast_to(x, (x.size, x.size))) * mesh.weights
        law, left = quasi_stationary(matrix, steps.leaving(x, zero, low, high))
        if not left > 1e-280:
            raise OutOfReach("the rate of leaving is too small for numbers: raise the noise", about=left)
        down = float(law @ steps.leaving(x, zero, first, np.inf)) if math.isinf(low) else 0.0
        up = float(law @ steps.leaving(x, zero, -np.inf, last)) if math.isinf(high) else 0.0
        # A path out there is one that has not left: what the range loses must not matter.
        if max(down, up) <= SPARE * left:
            quarter, three = quantiles(law, x, (0.25, 0.75))
            return float(three - quarter), left
        for sign, lost in ((-1, down), (1, up)):
            reach[sign] *= WIDER if lost > SPARE * left else 1.0
    raise OutOfReach(f"paths wander so far beyond the {NODES}-node panels that no law is seen: lower the noise")


def matched(
    reference: LandscapeDescent | float, make: Callable[[float], LandscapeDescent], by: str = "interquartile_range", *,
    near: float = 1.0, tolerance: float = 1e-10,
) -> NoiseMatch:  # fmt: skip
    """The noise level at which a descent has the spread of another within the basin of its start, or its rate of exit.

    The spread is the interquartile range of the position under the quasi-stationary law: variances may be infinite, and
    at the bottom multiplicative noise makes no increment. Both are exact, by the transfer operator on a line.

    Parameters
    ----------
    reference : LandscapeDescent, or the number to reach
    make : function of a level above zero with a LandscapeDescent
        Of which spread and rate grow with the level.
    by : {"interquartile_range", "rate"}
    near : float
        Level from which the search goes out.
    tolerance : float
        Relative, of the level.

    Raises
    ------
    InvalidInput
        If no level does it; the sentence says what levels reach. Of purely multiplicative noise: it needs an additive
        part.
    """
    from scipy.optimize import brentq

    one_of("by", by, BY)
    function("make", make, "of a noise level, with a LandscapeDescent")
    near, tolerance = positive("near", near), positive("tolerance", tolerance)
    if isinstance(reference, LandscapeDescent):
        wanted = basin_law(reference)
    else:
        number = positive("reference", reference)
        pair = (number, math.nan) if by == BY[0] else (math.nan, number)
        wanted = BasinLaw(*pair, 0.0, 0.0)
    target, seen = getattr(wanted, by), dict[float, float]()

    def gap(log_level: float) -> float:
        level = math.exp(log_level)
        made = instance_of("what make returns", make(level), LandscapeDescent, "it takes a noise level")
        seen[level] = getattr(_law(made, (FINE,)), by)
        return math.log(seen[level] / target)

    low, high = _bracket(gap, math.log(near), seen, by, target)
    found = low if low == high else brentq(gap, low, high, xtol=tolerance, rtol=1e-15)
    level = math.exp(found)
    descent = make(level)
    return NoiseMatch(level, by, descent, basin_law(descent), wanted)


def _bracket(
    gap: Callable[[float], float], start: float, seen: dict[float, float], by: str, target: float
) -> tuple[float, float]:
    """Logarithms of two levels with the target between them."""
    at, why = start, ""
    for k in range(2 * MOST_STEPS):  # the nearest level of which anything is known
        try:
            here = gap(at)
            break
        except (OutOfReach, NoStationaryLaw) as error:
            why = str(error)
            at = start + math.log(FACTOR) * (k // 2 + 1) * (1 if k % 2 == 0 else -1)
    else:
        raise InvalidInput(f"no level from {FACTOR**-MOST_STEPS:.1g} to {FACTOR**MOST_STEPS:.1g} gives a law: {why}")
    sign, before = (1 if here < 0 else -1), math.inf
    for _ in range(MOST_STEPS):
        if here == 0:
            return at, at
        further = at + sign * math.log(FACTOR)
        try:
            there = gap(further)
        except (OutOfReach, NoStationaryLaw) as error:
            why = f"; beyond, {error}"
            break
        if (there < 0) != (here < 0):
            return min(at, further), max(at, further)
        if abs(there - here) < STILL and abs(before) < STILL:
            why = f"; {'higher' if sign > 0 else 'lower'} levels change nothing more"
            break
        before, here, at = there - here, there, further
    levels = sorted(seen)
    values = sorted(seen.values())
    raise InvalidInput(
        f"no noise level gives the {by.replace('_', ' ')} {target:.6g}: levels from {levels[0]:.3g} to "
        f"{levels[-1]:.3g} reach {values[0]:.6g} to {values[-1]:.6g}{why}"
    )

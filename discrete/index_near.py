"""The tail index to some digits in seconds, for maps: few values of log k about a guess from exact even moments.

`tail_index` of many directions looks for the root with large populations, in a minute. Here log k(2) and log k(4) are
exact, and as log k is convex and 0 at 0 they tell on which side of 2 and of 4 the root lies; a parabola through them
guesses it, and secants of log k(s) / s find it, by small populations, or by whatever is exact.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.secants import SecantRoot, secant_root
from sgdlimits.exact.tail_index import TailIndex, at_rest, refuse_growth
from sgdlimits.problems.least_squares import LeastSquares

from .kesten import Populations
from .moment_equations import with_a_law_of_samples
from .moment_exponents import even_exponent, few_paths, is_sampled, moment_exponent
from .tail_index import EXPANDS, moving_eigenvalues, nothing_random, tail_index

if TYPE_CHECKING:
    from .sgd import SGD

HIGHEST = 32.0  # index that is looked for
LOWEST = 0.05
CLOSE = 1e-3  # relative change of a root that is small enough
APART, WIDER = 1.05, 1.4  # of a guess, the first two places; from one to the next upwards
SLACK = 0.2  # of a slope that is sampled
GROSS = 0.25  # relative error from which on an index is a guess


def index_near(sgd: SGD, highest: float = HIGHEST, **options: Any) -> TailIndex:
    """The tail index of plain SGD or momentum on least squares, with an interval of some percent.

    Parameters
    ----------
    highest : float
        Up to which an index is looked for.
    **options
        Of the populations: paths, generations, groups, seed, threads.

    Raises
    ------
    PositiveLyapunovExponent
        If there is no stationary law, or none that could be shown.
    OutOfReach
        If the index is above `highest` (`.above`), or is not told from 0.
    """
    problem = with_a_law_of_samples(sgd, "the tail index")
    moving_eigenvalues(sgd, problem)
    if _known_at_once(sgd, problem) or not is_sampled(sgd):
        return tail_index(sgd, **options)
    sizes = few_paths(sgd, options)
    with one_blas_thread():
        second = even_exponent(sgd, 2) or moment_exponent(sgd, 2.0, sizes)
        grows = second.value >= 0 if not second.sampled else not sgd.stability().mean_square_stable
        exponent, doubt = math.nan, math.nan
        if grows:
            found = moment_exponent(sgd, 0.0, sizes)
            exponent, doubt = found.value, found.error
            if exponent - doubt > 0:
                refuse_growth(sgd.label, exponent)
        fourth = even_exponent(sgd, 4)
        if grows:
            guess = min(max(_guess(second.value, None if fourth is None else fourth.value), 4 * LOWEST), 1.8)
            ends = guess / APART, guess * APART
        else:
            ends = (2.0, 4.0) if fourth is None or fourth.value >= 0 else (4.0, 4.0 * WIDER)
        root = _root(sgd, sizes, ends, highest)
        exact = ((order, each) for order, each in ((2.0, second), (4.0, fourth)) if each and not each.sampled)
        below = [(order, each.value) for order, each in exact if each.value < 0]
        found_near = _checked(sgd, sizes, root, below, exponent, doubt)
        return at_rest(found_near, "x") if problem.noise_dies(sgd.label_noise) else found_near


def _root(sgd: SGD, sizes: Populations, ends: tuple[float, float], highest: float) -> SecantRoot | None:
    """Of log k(s) / s, from two orders; None where it is not found."""

    def known(order: float) -> tuple[float, float]:
        order = min(max(order, LOWEST / 2), 2 * highest)
        found = moment_exponent(sgd, order, sizes)
        return found.value / order, found.error / order

    low, high = ends
    if low >= 4 and known(highest)[0] < 0:
        raise _above(sgd, highest)
    while known(high)[0] < 0:  # moments that rare rows make grow are flat before
        if high >= highest:
            raise _above(sgd, highest)
        low, high = high, min(high * WIDER, highest)
    root = secant_root(known, low, high, CLOSE)
    if root is not None and root.slope > 0 and root.value > highest:
        raise _above(sgd, highest)
    return root


def _checked(
    sgd: SGD, sizes: Populations, root: SecantRoot | None, below: list[tuple[float, float]], exponent: float,
    doubt: float,
) -> TailIndex:  # fmt: skip
    """The root as an index, where it goes with the exact even moments that fall (order, log k), and has an interval."""
    if root is None or root.slope <= 0 or root.value < LOWEST:
        if not math.isnan(exponent):
            refuse_growth(sgd.label, exponent, doubt)
        raise OutOfReach(
            f"the growth of moments of {sgd.label} is too flat for small populations to find the root: give more "
            "paths, or ask tail_index()",
            about=math.nan if root is None else max(root.value, 0.0),
        )
    # log k is convex: at its root it rises at least as fast as from any moment that falls.
    slope = root.slope * root.value
    steep = all(slope * (1 + SLACK) * (root.value - order) >= -value for order, value in below)
    if root.error > GROSS * root.value or not steep:
        raise OutOfReach(
            f"the tail index of {sgd.label} is about {root.value:.3g} +- {root.error:.2g}, as {sizes.groups} "
            f"populations of {sizes.paths} paths see it" + ("" if steep else ", which even moments contradict")
            + ": no interval worth the name; give more paths",
            about=root.value,
        )
    return TailIndex(
        root.value, root.error, f"{sizes.groups} populations of {sizes.paths} paths", exponent, doubt, "95 % interval"
    )


def _above(sgd: SGD, highest: float) -> OutOfReach:
    return OutOfReach(f"the tail index of {sgd.label} is above {highest:g}, as far as was looked", above=highest)


def _guess(second: float, fourth: float | None) -> float:
    """The root beside 0 of a parabola through log k at 0, 2 and 4."""
    if fourth is None:
        return 1.0
    bend = (fourth - 2 * second) / 8
    slope = second / 2 - 2 * bend
    return -slope / bend if bend > 0 and slope < 0 else 1.0


def _known_at_once(sgd: SGD, problem: Any) -> bool:
    """Whether no step expands, or nothing is random."""
    if not isinstance(problem, LeastSquares):
        return False
    if nothing_random(sgd, problem):
        return True
    squares = np.square(problem.range_modes).sum(axis=1)
    sizes = np.maximum(
        abs(1 - sgd.step_size * problem.ridge), np.abs(1 - sgd.step_size * (squares + problem.ridge))
    )
    return not sgd.momentum and bool(sizes.max() <= 1 + EXPANDS)

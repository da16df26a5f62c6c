"""The step size at which a moment of the stationary law ceases to be finite: where the tail index is a given number.

At order 0 it is the last step size with a stationary law. Since log k is convex in the order and 0 at order 0, the
thresholds fall with the order: those of order 2 and 4, exact, enclose what lies between.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import logsumexp

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.exact.errors import InvalidInput, OutOfReach, non_negative
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.secants import SecantRoot, secant_root
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR, MomentThreshold
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem

from .first_crossings import FEW as FEW_DIRECTIONS, FIRST, FURTHER, LARGEST, crossing_on_a_line, first_crossing
from .kesten import Populations
from .moment_equations import quadratic_of, with_a_law_of_samples
from .moment_exponents import MomentExponent, even_exponent, few_paths, moment_exponent
from .tail_index import batch_curvatures, nothing_random

if TYPE_CHECKING:
    from .sgd import SGD

Exponent = Callable[[float, bool], MomentExponent]  # of a step size; finely: with its error
SMALLEST = 1e-6  # of the mean-square threshold, how far down a search goes
CLOSE, ROUGH = 1e-12, 1e-3  # relative, to which a root is found, of exact growth and of samples
WIDE = 0.02  # of a step size, over which the slope of an error is taken
HIGHEST = 64.0  # order beyond which a moment shows in no sample
EVEN = (4, 6, 8)  # orders of which the map of moments is tried


def moment_threshold(sgd: SGD, order: float, **options: Any) -> MomentThreshold:
    """As `SGD.moment_threshold`."""
    order = non_negative("order", order)
    if order > HIGHEST:
        raise InvalidInput(f"order is {order:g}: moments beyond {HIGHEST:g} show in no sample; ask for a lower one")
    if isinstance(sgd.step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {sgd.step_size!r}, of which no one number is sought: take a constant step "
            "size, dataclasses.replace(sgd, step_size=...)"
        )
    if quadratic_of(sgd).additive:
        return MomentThreshold(sgd.stability().mean_threshold, 0.0, order, "nothing multiplies at random")
    sizes = few_paths(sgd, options)
    problem = with_a_law_of_samples(sgd, "the threshold of a moment" if order else "that of the Lyapunov exponent")
    stability = sgd.stability()
    below = stability.mean_square_threshold
    if not 0 < below < math.inf:
        raise OutOfReach(
            f"the mean-square threshold of {sgd.label} is {below:g}, from which the search for others goes: give a "
            "problem with data and without negative curvature"
        )
    method = nothing_random(sgd, problem)
    if method:
        return MomentThreshold(stability.mean_threshold, THRESHOLD_ERROR * below, order, method)
    if order == 2:
        method = "spectral radius of the map of moments of order 2"
        return MomentThreshold(below, THRESHOLD_ERROR * below, 2.0, method)
    with one_blas_thread():
        exponent = _exponent_of(sgd, order, sizes)
        return _above(sgd, problem, exponent, order, below) if order < 2 else _below(exponent, order, below)


def _above(
    sgd: SGD, problem: QuadraticProblem, exponent: Exponent, order: float, below: float
) -> MomentThreshold:
    """Of an order below 2, past the mean-square threshold."""
    first = exponent(below, False)
    if order < 1 and not first.sampled and isinstance(problem, LeastSquares):  # on a line
        batches = batch_curvatures(sgd, problem, np.square(problem.range_modes).sum(axis=1))
        assert batches is not None  # as the growth is not sampled
        exact = crossing_on_a_line(batches[0] + problem.ridge, np.exp(batches[1] - logsumexp(batches[1])), order, below)
        if exact is not None:
            return MomentThreshold(exact.value, exact.error, order, first.method)
    if first.sampled:
        found = _sampled_crossing(lambda size: exponent(size, True)[:2], below)
        if found is not None:
            return MomentThreshold(found.value, found.error, order, first.method)
    few = np.count_nonzero(problem.eigenvalues > 0) <= FEW_DIRECTIONS
    crossing = first_crossing(
        lambda size, fine: exponent(size, fine)[:2], first.sampled, below, sgd.label, FURTHER if few else FIRST
    )
    return MomentThreshold(crossing.value, crossing.error, order, first.method)


def _exponent_of(sgd: SGD, order: float, sizes: Populations) -> Exponent:
    """log k(order) of a step size; by the map of even moments where there is one."""
    even = order in EVEN and isinstance(sgd.problem, LeastSquares)

    def exponent(size: float, finely: bool) -> MomentExponent:
        now = replace(sgd, step_size=size)
        found = even_exponent(now, int(order)) if even else None
        return moment_exponent(now, order, sizes, finely) if found is None else found

    return exponent


def _sampled_crossing(known: Callable[[float], tuple[float, float]], below: float) -> SecantRoot | None:
    """Above the mean-square threshold: from a step size with growth, and the one before; None where it is not found."""
    gap, low = FURTHER * below, below
    while known(below + gap)[0] <= 0:
        low, gap = below + gap, 2 * gap
        if gap > LARGEST * below:
            return None
    found = secant_root(known, low, below + gap, ROUGH)
    return found if found is not None and found.slope > 0 and found.value > below else None


def _below(exponent: Exponent, order: float, above: float) -> MomentThreshold:
    """Where the growth of a moment of order above 2 rises through 0, below the mean-square threshold."""
    from scipy.optimize import brentq

    high, low = above, above / 2
    while exponent(low, False).value >= 0:
        high, low = low, low / 2
        if low < SMALLEST * above:
            raise OutOfReach(
                f"moments of order {order:g} grow down to step size {low:.3g}, {SMALLEST:g} of the mean-square "
                "threshold: no step size is known at which they are finite; ask for a lower order"
            )
    # Over the step size, as the growth itself is 0 at 0.
    sampled = exponent(low, False).sampled
    if sampled:
        near = secant_root(lambda size: exponent(size, True)[:2], low, high, ROUGH)
        if near is not None and near.slope > 0 and low < near.value < above:
            return MomentThreshold(near.value, near.error, order, exponent(near.value, False).method)
    close = ROUGH if sampled else CLOSE
    root = float(brentq(lambda size: exponent(size, False).value / size, low, high, xtol=close * low, rtol=1e-14))
    slope = (exponent(root * (1 + WIDE), False).value - exponent(root * (1 - WIDE), False).value) / (2 * WIDE * root)
    found = exponent(root, True)
    error = found.error / abs(slope) + close * root
    return MomentThreshold(root - found.value / slope, error, order, found.method)

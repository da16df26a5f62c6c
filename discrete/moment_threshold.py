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

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.exact.errors import InvalidInput, OutOfReach, non_negative
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.secants import SecantRoot, secant_root
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR, MomentThreshold
from sgdlimits.problems.least_squares import LeastSquares

from .kesten import Populations
from .lyapunov import FIRST, FURTHER, LARGEST, FEW as FEW_DIRECTIONS
from .lyapunov import first_crossing, lyapunov_threshold
from .moment_equations import with_a_law_of_samples
from .moment_exponents import MomentExponent, even_exponent, few_paths, moment_exponent

if TYPE_CHECKING:
    from .sgd import SGD

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
    sizes = few_paths(sgd, options)
    problem = with_a_law_of_samples(sgd, "the threshold of a moment")
    stability = sgd.stability()
    whole = sgd.sampling == "without_replacement" and sgd.batch_size == getattr(problem, "samples", 0)
    if whole:
        return MomentThreshold(stability.mean_threshold, 0.0, order, "every batch is all samples")
    below = stability.mean_square_threshold
    if not 0 < below < math.inf:
        raise OutOfReach(
            f"the mean-square threshold of {sgd.label} is {below:g}, from which the search for others goes: give a "
            "problem with data and without negative curvature"
        )
    if order == 2:
        method = "spectral radius of the map of moments of order 2"
        return MomentThreshold(below, THRESHOLD_ERROR * below, 2.0, method)
    with one_blas_thread():
        first = moment_exponent(replace(sgd, step_size=below), order, sizes, finely=False)
        if not order and not first.sampled:
            last = lyapunov_threshold(sgd)
            return MomentThreshold(last.value, last.error, 0.0, first.method)
        exponent = _exponent_of(sgd, order, sizes)
        if order < 2:
            if first.sampled:
                found = _sampled_crossing(lambda size: exponent(size, True)[:2], below)
                if found is not None:
                    return MomentThreshold(found.value, found.error, order, first.method)
            few = np.count_nonzero(problem.eigenvalues > 0) <= FEW_DIRECTIONS
            crossing = first_crossing(
                lambda size, fine: exponent(size, fine)[:2], first.sampled, below, sgd.label, FURTHER if few else FIRST
            )
            return MomentThreshold(crossing.value, crossing.error, order, first.method)
        return _below(exponent, order, below)


def _exponent_of(sgd: SGD, order: float, sizes: Populations) -> Callable[[float, bool], MomentExponent]:
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


def _below(
    exponent: Callable[[float, bool], MomentExponent], order: float, above: float
) -> MomentThreshold:
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

"""Lyapunov exponent of SGD on least squares, and the step size from which paths run away almost surely."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.exact.errors import OutOfReach
from sgdlimits.exact.stationary_law import Threshold

from .kesten import TILTED, TINY, Populations, growth_of, highest_exponent, lyapunov_exponent, unlike
from .moment_equations import quadratic_of, with_a_law_of_samples
from .moment_exponents import is_sampled, moment_exponent

if TYPE_CHECKING:
    from .sgd import SGD

Exponent = Callable[[float, bool], tuple[float, float]]  # of a step size, roughly or finely: value and error
FIRST, LARGEST = 1e-3, 1e3  # of the mean-square threshold, how far past it the search begins and ends
FEW, FURTHER = 3, 0.05  # directions up to which it begins further out: where they are many thresholds are close
CLOSE, ROUGH = 1e-8, 1e-3  # part of the gap between thresholds to which a root is found, of numbers and of samples
LEAST = -1e3  # exponent: a factor 0 makes it -inf
WIDE = 0.02  # part of the gap over which the slope of an error is taken


def lyapunov_threshold(sgd: SGD) -> Threshold:
    """The first step size, from 0 up, at which the exponent is 0; with its error. Derived.

    It lies past the mean-square threshold, where the exponent is below 0: E |x|^2 bounds exp(2 E log |x|).

    Raises
    ------
    OutOfReach
        If a curvature is negative, or no crossing is found.
    """
    problem = quadratic_of(sgd)
    stability = sgd.stability()
    if problem.additive:
        return Threshold(stability.mean_threshold, 0.0)  # nothing multiplies at random
    with_a_law_of_samples(sgd, "the threshold of the Lyapunov exponent")
    if sgd.sampling == "without_replacement" and sgd.batch_size == getattr(problem, "samples", 0):
        return Threshold(stability.mean_threshold, 0.0)  # nothing is random
    below = stability.mean_square_threshold
    if not 0 < below < math.inf:
        raise OutOfReach(
            f"the mean-square threshold of {sgd.label} is {below:g}, from which the search for that of the Lyapunov "
            "exponent goes up: give a problem with data and without negative curvature"
        )
    with one_blas_thread():
        first = FURTHER if np.count_nonzero(problem.eigenvalues > 0) <= FEW else FIRST
        return first_crossing(*_exponent(sgd), below, sgd.label, first)


def first_crossing(
    exponent: Exponent, sampled: bool, below: float, label: str, first: float = FIRST
) -> Threshold:
    """Where the exponent rises through 0, past a step size at which it is below 0; `first`, of that, for a beginning.

    Raises
    ------
    OutOfReach
        If no crossing is found, or the exponent is not resolved below it.
    """
    from scipy.optimize import brentq

    def rough(size: float) -> float:
        return exponent(size, False)[0]

    gap, low = first * below, below
    while rough(below + gap) <= 0:
        low, gap = below + gap, 2 * gap
        if gap > LARGEST * below:
            raise OutOfReach(f"the Lyapunov exponent of {label} stays below 0 up to step size {below + gap:.4g}")
    if not rough(low) < 0:  # the exponent is 0 there, up to its error
        low = below * (1 - first)
        if not rough(low) < 0:
            raise OutOfReach(
                f"the Lyapunov exponent of {label} comes out as {rough(low):.3g} at step size {low:.4g}, where it must "
                "be below 0: it is too small to be resolved, so where it crosses 0 is not known"
            )
    close = (ROUGH if sampled else CLOSE) * gap
    root = float(brentq(rough, low, below + gap, xtol=close))
    part = WIDE * (root - below + gap)
    slope = (rough(root + part) - rough(root - part)) / (2 * part)
    value, error = exponent(root, True)
    return Threshold(root - value / slope, error / abs(slope) + close)


def _exponent(sgd: SGD) -> tuple[Exponent, bool]:
    """Of a step size: the exponent with its error; and whether it is sampled."""
    if not is_sampled(sgd):

        def known(size: float, fine: bool) -> tuple[float, float]:
            found = moment_exponent(replace(sgd, step_size=size), 0.0, finely=fine)
            return max(found.value, LEAST), found.error

        return known, False
    problem, sizes = quadratic_of(sgd), Populations()
    h = problem.eigenvalues[problem.eigenvalues > 0]

    def sampled(size: float, fine: bool) -> tuple[float, float]:
        now = replace(sgd, step_size=size)
        starts = [growth_of(now, problem, h)] + ([growth_of(now, problem, h, flat=True)] if unlike(h) else [])
        return lyapunov_exponent([
            grow(
                TINY, generations=sizes.generations, paths=TILTED, groups=sizes.groups, seed=sizes.seed,
                burn_in=sizes.generations // 4,
            ) for grow in starts
        ], highest_exponent(now))  # fmt: skip

    return sampled, True

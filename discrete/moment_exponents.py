"""log k(s), the rate per step at which E |A_n ... A_1|^s of SGD's linear part grows: at any order and step size.

Exactly by quadrature, a sum over batches or a transfer operator where `tail_index` has these; at orders 2 and 4 by the
spectral radius of the map of even moments; else by populations, with an interval. At order 0 it is the Lyapunov
exponent, the slope of log k there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.ensembles.populations import Growth
from sgdlimits.exact.errors import InvalidInput, OutOfReach
from sgdlimits.exact.moment_growth import ORDERS, FactorGrowth, alike, isotropic_growth
from sgdlimits.exact.quartic_growth import QuarticGrowth
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .even_moments import even_moments
from .kesten import TINY, Populations, growth_of, highest_exponent, lyapunov_exponent, unlike
from .learnt_rows import learnt_rows
from .linear_rule import linear_rule
from .moment_equations import with_a_law_of_samples
from .tail_index import batch_factors, moving_eigenvalues
from .transfer_operators import SETTLED, Operator, operator_exponent, operator_of

if TYPE_CHECKING:
    from .sgd import SGD

FEW = {"generations": 160, "groups": 6}  # some digits in a second
MOST_PATHS, FEWEST_PATHS, ROWS = 256, 64, 2048  # of a population; rows that all its paths draw in a step
SETTLING = 4  # part of the generations that is left out
EXACT = 1e-13  # error of log k by a spectral radius
MOST_MOMENTS = 1001  # that move together, of orders above 2: seconds
CHEAP_TENSORS = 12  # directions up to which forms of fourth moments take less than a second


class MomentExponent(NamedTuple):
    """log k of one order with its error: numerical, or half a 95 % interval and the bias taken off."""

    value: float
    error: float
    method: str
    sampled: bool


def few_paths(sgd: SGD, options: Mapping[str, Any]) -> Populations:
    """Small populations, smaller for large batches, whose steps differ less; `options` instead."""
    paths = max(FEWEST_PATHS, min(MOST_PATHS, ROWS // sgd.batch_size))
    return Populations.of({"paths": paths, **FEW, **options})


def moment_exponent(
    sgd: SGD, order: float, sizes: Populations | None = None, finely: bool = True
) -> MomentExponent:
    """log k(order) of the linear part, per step; at order 0 the Lyapunov exponent.

    Parameters
    ----------
    order : float
        At least 0.
    sizes : Populations, optional
        Instead of `few_paths`.
    finely : bool
        False: without the second resolution that tells the error.

    Raises
    ------
    InvalidInput
        If the law of the samples is not known, the rule is not linear, or the data are zero.
    PositiveLyapunovExponent
        If a negative ridge drives directions without data away.
    OutOfReach
        If a transfer operator does not reach the order.
    """
    problem = with_a_law_of_samples(sgd, "the growth of moments")
    problem.sampling_factor(sgd.batch_size, sgd.sampling)
    h = moving_eigenvalues(sgd, problem)
    with one_blas_thread():
        factors = _factors(sgd, problem, h)
        if factors is not None:
            return _of_factors(*factors, order, finely)
        even = even_exponent(sgd, int(order)) if order in (2, 4) else None
        if even is not None:
            return even
        operator = operator_of(sgd, problem, h)
        if operator is not None:
            return _of_operator(sgd, operator, order, finely)
        return _sampled(sgd, problem, h, order, sizes or few_paths(sgd, {}))


def is_sampled(sgd: SGD) -> bool:
    """Whether log k of an order that no map of even moments tells is sampled."""
    problem = with_a_law_of_samples(sgd, "the growth of moments")
    h = problem.eigenvalues[problem.eigenvalues > 0]
    return _factors(sgd, problem, h) is None and operator_of(sgd, problem, h) is None


def even_exponent(sgd: SGD, order: int) -> MomentExponent | None:
    """log k of an even order by the spectral radius of the map of its moments; None where they are too many."""
    problem, size = sgd.problem, sgd.step_size
    method = f"spectral radius of the map of moments of order {order}"
    plain = isinstance(problem, LeastSquares) and not sgd.momentum and sgd.sampling == "with_replacement"
    if order == 4 and plain:
        if problem.rank > CHEAP_TENSORS:
            return None
        rate = quartic(problem).rate(1 - size * problem.ridge, size / sgd.batch_size, sgd.batch_size)
    else:
        states = (problem.rank if isinstance(problem, LeastSquares) else problem.dimension) * (1 + bool(sgd.momentum))
        if order > 2 and math.comb(states + order, order) > MOST_MOMENTS:
            return None
        try:
            rate = float(even_moments(replace(sgd, label_noise=0.0), order).rates[-1])
        except InvalidInput:  # too many, or too many sets of samples
            return None
    return MomentExponent(math.log(rate) if rate else -math.inf, EXACT, method, False)


def quartic(problem: LeastSquares) -> QuarticGrowth:
    """Fourth moments of the problem's rows, kept beside it: a search asks for them often."""
    known = problem.__dict__.get("_quartic_growth")
    if known is None:
        known = problem.__dict__["_quartic_growth"] = QuarticGrowth(problem.range_modes)
    return known


def _factors(sgd: SGD, problem: QuadraticProblem, h: np.ndarray) -> tuple[FactorGrowth, FactorGrowth, str] | None:
    """Two resolutions of one factor, where products come down to factors."""
    if sgd.momentum:
        return None
    size, batch = sgd.step_size, sgd.batch_size
    if isinstance(problem, StreamingLeastSquares) and alike(h):
        kept, scale = 1 - size * problem.ridge, size / batch * float(h[0])
        fine, coarse = (isotropic_growth(h.size, kept, scale, batch, nodes) for nodes in (16, 12))
        return fine, coarse, "quadrature of |A e|, whose products are independent"
    if isinstance(problem, LeastSquares) and h.size == 1:
        found = batch_factors(sgd, problem, np.square(problem.range_modes).sum(axis=1))
        return None if found is None else (found, found, "sum over all batches")
    return None


def _of_factors(fine: FactorGrowth, coarse: FactorGrowth, method: str, order: float, finely: bool) -> MomentExponent:
    if order > ORDERS and fine is not coarse:
        raise OutOfReach(f"moments of order {order:g} are beyond the quadrature, which sees those up to {ORDERS:g}")
    if not order:
        return MomentExponent(fine.exponent, abs(fine.exponent - coarse.exponent) + fine.exponent_error, method, False)
    value = fine(order)
    return MomentExponent(value, abs(value - coarse(order)) + fine.error(order) if finely else 0.0, method, False)


def _of_operator(sgd: SGD, operator: Operator, order: float, finely: bool) -> MomentExponent:
    if not order:
        return MomentExponent(*operator_exponent(operator, finely), operator.method, False)
    reach = next((reach for reach in operator.reaches if order <= reach), None)
    if reach is None:
        raise OutOfReach(
            f"moments of order {order:g} of {sgd.label} are beyond {operator.method}, which sees those up to "
            f"{operator.reaches[-1]:g}"
        )
    if not finely:
        return MomentExponent(operator.make(operator.rough, reach)(order), 0.0, operator.method, False)
    value, change = math.nan, math.inf
    for level in range(operator.resolutions):
        before, value = value, operator.make(level, reach)(order)
        change = math.inf if math.isnan(before) else abs(value - before)
        if change <= SETTLED * max(abs(value), TINY):
            break
    return MomentExponent(value, change + EXACT, operator.method, False)


def _sampled(
    sgd: SGD, problem: QuadraticProblem, h: np.ndarray, order: float, sizes: Populations
) -> MomentExponent:
    """By populations: batches of finite data by learnt probabilities, Gaussian ones tilted."""
    options = {
        "generations": sizes.generations, "paths": sizes.paths, "groups": sizes.groups, "seed": sizes.seed,
        "threads": sizes.threads, "burn_in": sizes.generations // SETTLING,
    }  # fmt: skip
    method = f"{sizes.groups} populations of {sizes.paths} paths"
    if not order:
        starts = [False, True] if unlike(h) else [False]
        found = [_grown(sgd, problem, h, TINY, flat, options) for flat in starts]
        value, half = lyapunov_exponent(found, highest_exponent(sgd))
        return MomentExponent(value, half, method, True)
    growth = _grown(sgd, problem, h, order, False, options)
    # The bias is taken off, and known no better than by a variance: where few paths carry a population it is large.
    return MomentExponent(growth.rate, (growth.upper - growth.lower) / 2 + abs(growth.bias), method, True)


def _grown(
    sgd: SGD, problem: QuadraticProblem, h: np.ndarray, order: float, flat: bool, options: dict[str, Any]
) -> Growth:
    """From steep directions, or from flat ones."""
    if not (isinstance(problem, LeastSquares) and sgd.sampling == "with_replacement"):
        return growth_of(sgd, problem, h, flat=flat)(order, **options)
    rule = sgd.__dict__.get("_linear_rule")  # kept beside it: a search asks for many orders
    if rule is None:
        rule = sgd.__dict__["_linear_rule"] = linear_rule(sgd, problem, h)
    start = np.linalg.inv(rule.spread / np.trace(rule.spread)) if flat else rule.spread
    return learnt_rows(order, rule, problem.range_modes, sgd.batch_size, options["seed"]).grow(start, **options)

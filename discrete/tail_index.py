"""Tail index of the stationary law of SGD: of linear recurrences, plain and momentum on least squares, by Kesten.

x' = A x + b with independent (A, b): P(|x| > t) falls as t^-index, index the positive root of log k(s), k(s) = lim (E
|A_n ... A_1|^s)^(1/n). Every way here finds that root: on a line and for isotropic Gaussian features by quadrature, in
the plane and for momentum on a line by a transfer operator, and in space where features are not far from alike; else by
populations, with an interval.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import gammaln

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.moment_growth import ORDERS, FactorGrowth, isotropic_growth
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.tail_index import TailIndex, refuse_growth
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .kesten import Populations, index_of_factors, sampled_index
from .light_tails import light_tail_index
from .moment_equations import quadratic_of
from .transfer_operators import operator_index, operator_of

if TYPE_CHECKING:
    from .sgd import SGD

ALIKE = 1e-12  # of the largest: eigenvalues that are one
MOST_BATCHES = 10**6  # that are gone through one by one
EXPANDS = 1e-12  # by which a norm may be over 1 as rounding


def tail_index(sgd: SGD, **options: Any) -> TailIndex:
    """As `SGD.tail_index`."""
    sizes = Populations.of(options)
    if isinstance(sgd.step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {sgd.step_size!r}, so there is no stationary law and no index: take a constant "
            "step size, dataclasses.replace(sgd, step_size=...)"
        )
    if sgd.rule is not None or not isinstance(sgd.problem, QuadraticProblem):
        return light_tail_index(sgd, sizes.seed)
    problem = quadratic_of(sgd)
    problem.sampling_factor(sgd.batch_size, sgd.sampling)
    h = problem.eigenvalues[problem.eigenvalues > 0]
    if h.size < problem.dimension and problem.ridge < 0:
        refuse_growth(sgd.label, math.log1p(-sgd.step_size * problem.ridge))
    if not h.size:
        raise InvalidInput("the data are zero, so nothing moves at random: there is no tail")
    with one_blas_thread():  # matrices are small: threads would wait for each other
        if isinstance(problem, StreamingLeastSquares):
            found = _streaming(sgd, problem, h, sizes)
        else:
            assert isinstance(problem, LeastSquares)  # the only other leaf
            found = _finite(sgd, problem, h, sizes)
    if not problem.noise_dies(sgd.label_noise) or not math.isfinite(found.index):
        return found
    said = (
        "the risk is zero at the minimiser and there is no label noise: paths end there, and no other law is "
        f"stationary; E |x - minimiser|^p falls to zero for p below {found.index:.6g} and grows above it"
    )
    return replace(found, index=math.inf, error=0.0, note=f"{said}; {found.note}" if found.note else said)


def _streaming(sgd: SGD, problem: StreamingLeastSquares, h: np.ndarray, sizes: Populations) -> TailIndex:
    size, batch = sgd.step_size, sgd.batch_size
    kept, scale = 1 - size * problem.ridge, size / batch
    if not sgd.momentum and np.ptp(h) <= ALIKE * h[0]:
        found, coarse = (isotropic_growth(h.size, kept, scale * float(h[0]), batch, nodes) for nodes in (16, 12))
        return index_of_factors(sgd.label, found, coarse, "quadrature of |A e|, whose products are independent", ORDERS)
    operator = operator_of(sgd, problem, h)
    found = operator_index(sgd, operator) if operator is not None else None
    return sampled_index(sgd, problem, h, sizes) if found is None else found


def _finite(sgd: SGD, problem: LeastSquares, h: np.ndarray, sizes: Populations) -> TailIndex:
    rows, size = problem.range_modes, sgd.step_size
    squares = np.square(rows).sum(axis=1)
    if sgd.sampling == "without_replacement" and sgd.batch_size == problem.samples:
        decays = np.abs(1 - size * (h + problem.ridge))
        if not sgd.momentum:
            refuse_growth(sgd.label, float(np.log(decays.max())))
            return TailIndex(
                math.inf, 0.0, "every batch is all samples", float(np.log(decays.max())),
                note="nothing multiplies at random",
            )
    if not sgd.momentum:
        norms = np.maximum(np.abs(1 - size * problem.ridge), np.abs(1 - size * (squares + problem.ridge)))
        if norms.max() <= 1 + EXPANDS and size * problem.curvatures.max() < 2:
            return TailIndex(
                math.inf, 0.0, "no sample's step expands",
                note="the steps are nonexpansive, so every moment is finite, and without noise on the labels the law "
                "is bounded where they contract",
            )  # fmt: skip
        if h.size == 1:
            found = batch_factors(sgd, problem, squares)
            if found is not None:
                return index_of_factors(sgd.label, found, found, "sum over all batches")
    return sampled_index(sgd, problem, h, sizes)


def batch_factors(sgd: SGD, problem: LeastSquares, squares: np.ndarray) -> FactorGrowth | None:
    """The factor of each batch on a line; None where there are too many of them."""
    n, batch = problem.samples, sgd.batch_size
    values, counts = np.unique(squares, return_counts=True)
    if math.comb(values.size + batch - 1, batch) > MOST_BATCHES:
        return None
    chosen = np.array(list(combinations_with_replacement(range(values.size), batch)))
    times = np.array([np.bincount(one, minlength=values.size) for one in chosen])
    if sgd.sampling == "with_replacement":
        logs = gammaln(batch + 1) - gammaln(times + 1).sum(axis=1) + times @ np.log(counts / n)
    else:
        left = counts - times
        whole = np.where(left < 0, -np.inf, gammaln(counts + 1) - gammaln(np.maximum(left, 0) + 1) - gammaln(times + 1))
        logs = whole.sum(axis=1) - (gammaln(n + 1) - gammaln(n - batch + 1) - gammaln(batch + 1))
    with np.errstate(divide="ignore"):
        sizes = np.log(np.abs(1 - sgd.step_size * (values[chosen].mean(axis=1) + problem.ridge)))
    kept = np.isfinite(logs)
    return FactorGrowth(sizes[kept], logs[kept])

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
from sgdlimits.exact.moment_growth import ORDERS, FactorGrowth, alike, isotropic_growth
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.tail_index import TailIndex, at_rest, refuse_growth
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .factor_index import index_of_factors
from .kesten import Populations, sampled_index
from .light_tails import light_tail_index
from .moment_equations import quadratic_of, with_a_law_of_samples
from .transfer_operators import operator_index, operator_of

if TYPE_CHECKING:
    from .sgd import SGD

MOST_BATCHES = 10**6  # that are gone through one by one
ROUNDED = 1e-15  # relative rounding of curvatures of samples
EXPANDS = 1e-12  # by which a norm may be over 1 as rounding
ALONG = 1e-9  # from which cosine a direction counts as part of another
LOUD = 1 / 3  # of the growth of the moment that decides: a sample with that much is named (at 0.45 Hill is 12 % off)
FEW_STAIRS = 20  # samples, of fewer of which the stairs are low


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
    if problem.additive:
        return _additive(sgd)
    problem = with_a_law_of_samples(sgd, "the tail index")
    h = moving_eigenvalues(sgd, problem)
    with one_blas_thread():  # matrices are small: threads would wait for each other
        if isinstance(problem, StreamingLeastSquares):
            found = _streaming(sgd, problem, h, sizes)
        else:
            found = _finite(sgd, problem, h, sizes)
    if not problem.noise_dies(sgd.label_noise) or not math.isfinite(found.index):
        return found
    return at_rest(found, "x")


def moving_eigenvalues(sgd: SGD, problem: QuadraticProblem) -> np.ndarray:
    """Eigenvalues of the Hessian above zero (r,), those of the directions in which moments grow or fall at random.

    Raises
    ------
    PositiveLyapunovExponent
        If a negative ridge drives the other directions away.
    InvalidInput
        If there are none.
    """
    h = problem.eigenvalues[problem.eigenvalues > 0]
    if h.size < problem.dimension and problem.ridge < 0:
        refuse_growth(
            sgd.label, math.log1p(-sgd.step_size * problem.ridge),
            remedy=f"ridge is {problem.ridge:g} and drives coordinates without data away whatever the step size: raise "
            "it to 0 or above",
        )  # fmt: skip
    if not h.size:
        raise InvalidInput("the data are zero, so nothing moves at random: there is no tail")
    return h


def nothing_random(sgd: SGD, problem: QuadraticProblem) -> str:
    """Why all steps have one linear part, in words; empty where they have not."""
    if not isinstance(problem, LeastSquares):
        return ""
    if sgd.sampling == "without_replacement" and sgd.batch_size == problem.samples:
        return "every batch is all samples"
    rows = problem.range_modes
    apart = rows * np.sign(rows @ rows[0])[:, None] - rows[0]
    return "all samples are alike" if np.abs(apart).max() <= ROUNDED * np.abs(rows[0]).max() else ""


def _additive(sgd: SGD) -> TailIndex:
    """Of a law that is Gaussian, as the noise is."""
    sgd.stationary()  # refuses where nothing settles
    exponent = math.log(decays(sgd, sgd.problem.curvatures[~sgd.problem.frozen]).max())
    return TailIndex(
        math.inf, 0.0, "closed form: the noise is Gaussian and does not depend on the position", exponent, 0.0,
        "the law is Gaussian, with all its moments",
    )  # fmt: skip


def _streaming(sgd: SGD, problem: StreamingLeastSquares, h: np.ndarray, sizes: Populations) -> TailIndex:
    size, batch = sgd.step_size, sgd.batch_size
    kept, scale = 1 - size * problem.ridge, size / batch
    if not sgd.momentum and alike(h):
        fine, coarse = (isotropic_growth(h.size, kept, scale * float(h[0]), batch, nodes) for nodes in (16, 12))
        return index_of_factors(sgd.label, fine, coarse, "quadrature of |A e|, whose products are independent", ORDERS)
    operator = operator_of(sgd, problem, h)
    found = operator_index(sgd, operator) if operator is not None else None
    return sampled_index(sgd, problem, h, sizes) if found is None else found


def _finite(sgd: SGD, problem: LeastSquares, h: np.ndarray, sizes: Populations) -> TailIndex:
    rows, size = problem.range_modes, sgd.step_size
    squares = np.square(rows).sum(axis=1)
    method = nothing_random(sgd, problem)
    if method:
        with np.errstate(divide="ignore"):
            exponent = float(np.log(decays(sgd, h + problem.ridge).max()))
        refuse_growth(sgd.label, exponent)
        return TailIndex(math.inf, 0.0, method, exponent, note="nothing multiplies at random")
    if not sgd.momentum:
        norms = np.maximum(np.abs(1 - size * problem.ridge), np.abs(1 - size * (squares + problem.ridge)))
        if norms.max() <= 1 + EXPANDS and size * problem.curvatures.max() < 2:
            if sgd.batch_size == 1 and problem.ridge == 0 and only_reflected(rows, size * squares):
                refuse_growth(sgd.label, 0.0)
            return TailIndex(
                math.inf, 0.0, "no sample's step expands",
                note="the steps are nonexpansive, so every moment is finite, and without noise on the labels the law "
                "is bounded where they contract",
            )  # fmt: skip
        if h.size == 1:
            found = batch_factors(sgd, problem, squares)
            if found is not None:
                exact = index_of_factors(sgd.label, found, found, "sum over all batches")
                return _with_stairs(exact, sgd, problem, squares)
    return _with_stairs(sampled_index(sgd, problem, h, sizes), sgd, problem, squares)


def only_reflected(rows: np.ndarray, steps: np.ndarray) -> bool:
    """Whether a direction is at most reflected, by samples (n, r) whose steps (n,) in units of theirs are 2.

    Such a direction is orthogonal to all samples that contract, and to all that reflections lead to from these.
    """
    reflecting, seen = np.abs(steps - 2) <= EXPANDS, rows[(steps > 0) & (np.abs(steps - 2) > EXPANDS)]
    left = rows[reflecting] / np.linalg.norm(rows[reflecting], axis=1, keepdims=True)
    while len(left) and len(seen):
        _, sizes, basis = np.linalg.svd(seen, full_matrices=False)
        basis = basis[sizes > ALONG * sizes[0]]
        reached = np.abs(left @ basis.T).max(axis=1) > ALONG
        if not reached.any():
            break
        seen, left = np.vstack([basis, left[reached]]), left[~reached]
    return len(left) > 0


def decays(sgd: SGD, curvatures: np.ndarray) -> np.ndarray:
    """Spectral radius of a step (m,) along directions of curvatures (m,) that are the same at every step."""
    kept = 1 - sgd.step_size * curvatures
    if not sgd.momentum:
        return np.abs(kept)
    mu, matrices = sgd.momentum, np.zeros((curvatures.size, 2, 2))
    matrices[:, 0, 0] = (1 + mu) * kept if sgd.nesterov else mu + kept
    matrices[:, 0, 1] = -mu * kept if sgd.nesterov else -mu
    matrices[:, 1, 0] = 1.0
    return np.abs(np.linalg.eigvals(matrices)).max(axis=1)


def _with_stairs(found: TailIndex, sgd: SGD, problem: LeastSquares, squares: np.ndarray) -> TailIndex:
    """Says it where one sample's steps alone, drawn again and again, nearly make the moment grow. Derived.

    Along its own features a sample multiplies by f = |1 - size (|a|^2 + ridge)|, so that f^index / n of the growth, 1,
    is its own: such powers of f lie on a lattice, and each costs a factor n in probability.
    """
    if sgd.momentum or sgd.batch_size > 1 or not math.isfinite(found.index):
        return found
    factors = np.abs(1 - sgd.step_size * (squares + problem.ridge))
    share, n = min(1.0, float(factors.max() ** found.index / problem.samples)), problem.samples
    if share < LOUD or n < FEW_STAIRS or "lattice" in found.note:
        return found
    stairs = (
        f"steps of one sample of {n}, which multiply by {factors.max():.3g}, have {100 * share:.0f} % of the growth of "
        f"E |x|^index: the tail falls in stairs of {n} in probability, and above {n**-2.0:.1g} Hill's estimate may "
        "swing about the index"
    )
    return replace(found, note=f"{found.note}; {stairs}" if found.note else stairs)


def batch_factors(sgd: SGD, problem: LeastSquares, squares: np.ndarray) -> FactorGrowth | None:
    """The factor of each batch on a line; None where there are too many of them."""
    found = batch_curvatures(sgd, problem, squares)
    if found is None:
        return None
    steps = sgd.step_size * (found[0] + problem.ridge)
    factors = np.abs(1 - steps)
    with np.errstate(divide="ignore"):
        sizes, errors = np.log(factors), np.minimum(ROUNDED * (1 + np.abs(steps)) / factors, 1.0)
    return FactorGrowth(sizes, found[1], errors)


def batch_curvatures(sgd: SGD, problem: LeastSquares, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Curvatures (m,) of all batches on a line, without the ridge, and their log probabilities (m,)."""
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
    kept = np.isfinite(logs)
    return values[chosen[kept]].mean(axis=1), logs[kept]

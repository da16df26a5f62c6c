"""What is exactly known of SGD on least squares under a linear rule: moment equations, thresholds, fourth moments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact import fourth_moments
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.momentum_pairs import MomentumPairs
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.products_of_pairs import pairs_of_batches
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.sensitivities import Direction
from sgdlimits.exact.products_of_squares import squares_of_gaussian_batches
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.risk_deviations import RiskProducts
from sgdlimits.problems.samplings import batch_moments, sampling_factor, sampling_factor_slope
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.sensitivities import noise_by_batch
from sgdlimits.problems.streaming import StreamingLeastSquares

from .rules.adam import Adam
from .rules.curved import CurvedRule
from .rules.preconditioned import Preconditioned
from .rules.rmsprop import RMSProp
from .rules.rule import Linear

if TYPE_CHECKING:
    from .sgd import SGD


def quadratic_of(sgd: SGD) -> QuadraticProblem:
    """The problem, where moments close.

    Raises
    ------
    InvalidInput
        If it has no closed moments, or the rule is not linear in the gradient.
    """
    problem = quadratic_problem(sgd)
    linear_of(sgd, 1.0)
    return problem


def quadratic_problem(sgd: SGD) -> QuadraticProblem:
    """The problem, where the gradient and its covariance follow from two moments, whatever the rule.

    Raises
    ------
    InvalidInput
        If they do not.
    """
    if not isinstance(sgd.problem, QuadraticProblem):
        raise InvalidInput(
            f"{type(sgd.problem).__name__} has no closed moments; LeastSquares, StreamingLeastSquares and "
            "NoisyQuadratic have them, and problems.LocalQuadratic(problem) about a minimum; else use simulate"
        )
    return sgd.problem


def with_a_law_of_samples(sgd: SGD, what: str) -> LeastSquares | StreamingLeastSquares:
    """The problem, where more than second moments are known of the samples.

    Raises
    ------
    InvalidInput
        If only second moments close; `what` is asked, in words.
    """
    problem = quadratic_of(sgd)
    if isinstance(problem, (LeastSquares, StreamingLeastSquares)):
        return problem
    why = "the noise is additive and Gaussian" if problem.additive else "only second moments close"
    raise InvalidInput(
        f"{what} is for LeastSquares and StreamingLeastSquares; of {type(problem).__name__} {why}: use moments() and "
        "stationary()"
    )


def linear_of(sgd: SGD, step_size: float) -> Linear:
    """The rule's matrices at a step size."""
    linear = sgd.update_rule.linear(step_size)
    if linear is None and isinstance(sgd.update_rule, (CurvedRule, Preconditioned)):
        raise InvalidInput(
            f"this is known for plain SGD and momentum, and the rule is {sgd.label}, whose steps a matrix multiplies: "
            "where its law closes it has moments(), stationary(), stability() and tail_index(); else simulate"
        )
    if linear is None:
        closed = isinstance(sgd.update_rule, (Adam, RMSProp))
        closure = " (and closure() for a statement that is not exact)" if closed else ""
        raise InvalidInput(
            f"{sgd.label} has no closed moments, because its step is not linear in the gradient, or not known to be: "
            f"use simulate{closure}"
        )
    return linear


def noise_map(sgd: SGD, batch_size: float | None = None) -> NoiseMap:
    """Covariance of the batch gradient in modes; derived.

    The covariance of one sample's gradient times the sampling factor, plus label_noise^2 H / batch_size: label noise is
    fresh at every draw, whatever the sampling. Both are formulas of a real batch size, inf among them: of steps whose
    whole batch sizes are drawn afresh, with that mean of the factor.
    """
    problem = quadratic_problem(sgd)
    if batch_size is None:
        factor, batch_size = problem.sampling_factor(sgd.batch_size, sgd.sampling), sgd.batch_size
    else:
        factor = sampling_factor(batch_size, sgd.sampling, getattr(problem, "samples", 0))
    return problem.gradient_noise_map(factor, sgd.label_noise**2 / batch_size)


def moment_map(sgd: SGD, step_size: float, batch_size: float | None = None) -> MomentMap:
    """One step of the exact moment equations in modes, at this step size, and at a real batch size if one is given."""
    problem = quadratic_of(sgd)
    kept, entry = linear_of(sgd, step_size)
    transition = np.repeat(kept[None], problem.dimension, axis=0)
    transition[:, :, 0] += problem.curvatures[:, None] * entry  # the gradient of a mode
    lost = np.repeat((np.eye(entry.size) - kept)[None], problem.dimension, axis=0)
    lost[:, :, 0] -= problem.curvatures[:, None] * entry
    pairs = MomentumPairs(problem.curvatures, step_size, sgd.momentum, sgd.nesterov) if sgd.momentum else None
    return MomentMap(transition, entry, noise_map(sgd, batch_size), np.ones((1, 1)), lost=lost, pairs=pairs)


def mean_threshold(sgd: SGD) -> float:
    """Step size below which the mean settles; inf where nothing acts, 0 with a negative curvature."""
    return 0.0 if sgd.problem.curvatures.min() < 0 else settled_threshold(sgd)


def settled_threshold(sgd: SGD) -> float:
    """The same for the directions of positive curvature alone."""
    largest = sgd.problem.curvatures.max()
    if largest <= 0:
        return np.inf
    return edge_of_stability(sgd) / float(largest)


def edge_of_stability(sgd: SGD) -> float:
    """Step size times curvature from which descent without noise leaves a parabola, under a linear rule. Derived."""
    linear_of(sgd, 1.0)
    mu = sgd.momentum
    return float(2 * (1 + mu) / (1 + 2 * mu if sgd.nesterov else 1.0))


def second_moments(sgd: SGD, batch_size: float | None = None) -> SecondMoments:
    """What its first two moments obey; at a real batch size if one is given.

    Raises
    ------
    InvalidInput
        If the problem, the sampling or the rule has no closed moments.
    """
    problem = quadratic_of(sgd)
    problem.sampling_factor(sgd.batch_size, sgd.sampling)
    return SecondMoments(
        problem, sgd.label, sgd.step_size, lambda step_size: moment_map(sgd, step_size, batch_size),
        mean_threshold(sgd),
        products_at=lambda step_size, hours: risk_products(sgd, step_size, hours),
        settled_threshold=settled_threshold(sgd),
    )  # fmt: skip


def risk_products(sgd: SGD, step_size: float, hours: float) -> RiskProducts:
    """Products of modes whose moments give the variance of the risk, at this step size.

    Raises
    ------
    InvalidInput
        If they do not close: momentum, or fresh label noise on batches without replacement.
    OutOfReach
        If the fourth moments of the samples take more than so many hours.
    """
    problem = with_a_law_of_samples(sgd, "the standard deviation of the risk")
    if sgd.momentum:
        raise InvalidInput(
            f"the standard deviation of the risk is known for plain SGD, and this is {sgd.label}: leave the momentum "
            "out, or simulate"
        )
    h = problem.eigenvalues[problem.eigenvalues > 0]
    kept = 1 - step_size * problem.curvatures[: h.size]
    if isinstance(problem, StreamingLeastSquares) or not h.size:
        push = step_size * problem.curvatures[: h.size] * problem.offset_modes[: h.size]
        products = squares_of_gaussian_batches(
            h, getattr(problem, "noise", 0.0) ** 2 + sgd.label_noise**2, kept, push, step_size, sgd.batch_size
        )
        return RiskProducts.about_least_risk(problem, products)
    rows, residuals = problem.range_modes, problem.residuals_at_minimiser
    weights = np.full(len(rows), 1 / len(rows))
    if sgd.label_noise:
        if sgd.sampling != "with_replacement":
            raise InvalidInput(
                f"the standard deviation of the risk is not known for label_noise {sgd.label_noise:g} with sampling "
                f"{sgd.sampling!r}: take sampling='with_replacement', no label noise, or simulate"
            )
        errors, mass = fourth_moments.gaussian_samples(np.array([sgd.label_noise**2]), 3)
        residuals = (residuals[:, None] - errors[:, 0]).ravel()
        rows, weights = np.repeat(rows, len(errors), axis=0), np.outer(weights, mass).ravel()
    batch = batch_moments(sgd.batch_size, sgd.sampling, problem.samples)
    return RiskProducts.about_minimiser(
        problem, pairs_of_batches(rows, residuals, weights, kept, step_size, batch, hours)
    )


def directions(sgd: SGD) -> dict[str, Direction]:
    """Derivatives of the moment equations in step size, ridge and batch size; derived.

    A rule's matrices are affine in the step size. A ridge adds its multiple of the position to the gradient.
    """
    problem = quadratic_of(sgd)
    (kept, entry), (kept_twice, entry_twice) = linear_of(sgd, sgd.step_size), linear_of(sgd, 2 * sgd.step_size)
    slope = (entry_twice - entry) / sgd.step_size
    by_size = np.repeat((kept_twice - kept)[None] / sgd.step_size, problem.dimension, axis=0)
    by_size[:, :, 0] += problem.curvatures[:, None] * slope
    by_ridge = np.zeros_like(by_size)
    by_ridge[:, :, 0] = entry
    batch, cross = sgd.batch_size, np.outer(slope, entry)
    samples = getattr(problem, "samples", None)
    factor = problem.sampling_factor(batch, sgd.sampling), sampling_factor_slope(batch, sgd.sampling, samples)
    variance = sgd.label_noise**2
    noise = noise_by_batch(
        problem.gradient_noise_map, factor, (variance / batch, -variance / batch**2), problem.eigenvalues
    )
    return {
        "step_size": Direction(by_size, cross + cross.T),
        "ridge": Direction(by_ridge, push=np.outer(entry, problem.minimiser_modes)),
        "batch_size": Direction(noise=noise),
    }


def warn_if_unstable(descent: Any) -> None:
    """Warn past a known threshold, for the caller of `simulate` of SGD or SVAG; silent where none is known."""
    other = getattr(descent, "rule", None) is not None  # SVAG is of plain SGD alone
    if isinstance(descent.problem, QuadraticProblem) and descent.sampling != "reshuffle" and not other:
        descent.second_moments.warn_if_unstable()


def fourth_moments_settle(sgd: SGD) -> bool:
    """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found.

    At d up to 6 by the map of fourth moments, else by norms; momentum, other rules and schedules are not treated.
    Derived.
    """
    if sgd.rule is not None or isinstance(sgd.step_size, StepSizes):
        return False
    problem = quadratic_of(sgd)
    if sgd.sampling == "reshuffle" or sgd.step_size >= mean_threshold(sgd):
        return False
    if problem.additive:  # the law is Gaussian
        return True
    if sgd.momentum or not isinstance(problem, (LeastSquares, StreamingLeastSquares)):
        return False
    moving = problem.eigenvalues > 0
    h, small = problem.eigenvalues[moving], moving.sum() <= fourth_moments.LARGEST_TENSORS
    if isinstance(problem, StreamingLeastSquares):
        if fourth_moments.gaussian_norm_settles(h, sgd.step_size, problem.ridge):
            return True
        law = fourth_moments.gaussian_samples(h) if small else None
    else:
        rows = problem.augmented_modes[:, :-1][:, moving]
        law = rows, np.full(len(rows), 1 / len(rows))
        if fourth_moments.norm_settles(*law, sgd.step_size, problem.ridge):
            return True
    if law is None or not small:
        return False
    radius = fourth_moments.radius(*law, sgd.step_size, problem.ridge, sgd.batch_size)
    return radius < 1 - fourth_moments.MARGIN

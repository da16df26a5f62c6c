"""How long a step may be for the recurrence to stay near the zero-loss set, and where a path passes that limit."""

from __future__ import annotations

import warnings

import numpy as np

from sgdlimits.exact.errors import StabilityWarning, Unstable
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR, Stability
from sgdlimits.problems import geometry
from sgdlimits.problems.geometry import Frame
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.noise import Mechanism
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.zero_loss.model import Model, Regression

from .leaving import place


def mean_threshold(frame: Frame) -> float:
    """2 over the largest curvature at the points of a frame: the mean of the normal part settles below it."""
    return 2 / float(frame.eigenvalues.max())


def past_the_limit(frame: Frame, step_size: float) -> np.ndarray:
    """At which points (...) of the frame the normal part does not settle at this step size."""
    return step_size * frame.eigenvalues.max(-1) >= 2 * (1 - THRESHOLD_ERROR)


def stability_at(model: Model, noise: Mechanism, point: np.ndarray, step_size: float) -> Stability:
    """Step sizes below which the linearised normal part settles at one `point` (m,) of the set."""
    frame = geometry.frame(model, point)
    mean = mean_threshold(frame)
    moments = _batch_moments(model, noise, point, frame, step_size, mean)
    square = mean if moments is None else min(moments.mean_square_threshold(), mean)
    return Stability(mean, square, step_size)


def hold_stable(model: Model, noise: Mechanism, point: np.ndarray, step_size: float) -> None:
    """Hold that the recurrence stays near the set at its `point` (m,); warn where only its second moment does not.

    Raises
    ------
    Unstable
        If step_size times the largest curvature reaches 2.
    """
    frame = geometry.frame(model, point)
    if past_the_limit(frame, step_size):
        raise past_threshold(step_size, point, frame)
    moments = _batch_moments(model, noise, point, frame, step_size, mean_threshold(frame))
    if moments is not None:
        moments.warn_if_unstable(callers=3)  # below the methods of ManifoldLimit


def past_threshold(step_size: float, points: np.ndarray, frame: Frame) -> Unstable:
    """The error of a step size that is past the stability limit at points (..., m) of the set: at the worst of them."""
    threshold = mean_threshold(frame)
    point = points.reshape(-1, points.shape[-1])[np.argmax(frame.eigenvalues.max(-1))]
    return Unstable(
        f"step_size is {step_size:g}, but near the zero-loss set at {place(point)} the recurrence is stable only below "
        f"{threshold:.6g} (2 over the largest eigenvalue of the Hessian): it is thrown off the set and has no limit "
        "there; lower the step size",
        threshold,
    )


def warn_of_crossing(paths: str, step_size: float, crossing: str, stacklevel: int) -> None:
    """Warn that a path, stable at its start, came where the recurrence cannot follow."""
    warnings.warn(
        f"{paths} the stability limit of step_size {step_size:g}: {crossing} step_size times the largest eigenvalue of "
        "the Hessian is 2 or more; the limit goes on, but the recurrence cannot follow it there: lower the step size",
        StabilityWarning,
        stacklevel=stacklevel + 1,
    )


def _batch_moments(
    model: Model, noise: Mechanism, point: np.ndarray, frame: Frame, step_size: float, mean: float
) -> SecondMoments | None:
    """Moments of the normal part under minibatches, linearised at a point of the set: SGD on least squares (derived).

    None without a minibatch, where the noise does not act on the distance from the set to leading order in sigma.
    """
    batch = noise.batch
    if batch is None or not isinstance(model, Regression):  # which alone a minibatch fits
        return None
    # Near the set L is weight |J x|^2 / 2, the mean over samples of squares of these rows times x, halved.
    rows = np.sqrt(model.weight * model.samples) * model.predict_with_jacobian(point)[1] @ frame.normals
    problem = LeastSquares.from_arrays(rows, np.zeros(len(rows)))
    spread = problem.gradient_noise_map(problem.sampling_factor(batch.batch_size, batch.sampling), 0.0)

    def equations_at(size: float) -> MomentMap:
        kept = (1 - size * problem.curvatures)[:, None, None]
        return MomentMap(kept, np.array([-size]), spread, np.ones((1, 1)))

    return SecondMoments(problem, "the distance from the zero-loss set", step_size, equations_at, mean)

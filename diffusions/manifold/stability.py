"""How long a step may be for the recurrence to stay near the zero-loss set, and where a path passes that limit."""

from __future__ import annotations

import warnings

import numpy as np

from sgdlimits.exact.errors import StabilityWarning, Unstable
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR, Stability
from sgdlimits.problems import geometry
from sgdlimits.problems.frames import place
from sgdlimits.problems.geometry import Frame
from sgdlimits.problems.noise import Mechanism
from sgdlimits.problems.zero_loss.model import Model

from .batches import batch_moments


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
    moments = batch_moments(model, noise.batch, point, frame, step_size, mean)
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
    moments = batch_moments(model, noise.batch, point, frame, step_size, mean_threshold(frame))
    if moments is not None:
        moments.warn_if_unstable()


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

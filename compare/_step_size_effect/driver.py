"""Checks of compare.step_size_effect, and the paths that it puts side by side."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.diffusions import GradientFlow
from sgdlimits.discrete import SGD, sharpness
from sgdlimits.ensembles import limits
from sgdlimits.ensembles.initial import recorded_steps
from sgdlimits.ensembles.progress import open_progress
from sgdlimits.exact.errors import (
    InvalidInput,
    OverflowedPaths,
    StabilityWarning,
    finite_array,
    instance_of,
    positive,
    whole_number,
)
from sgdlimits.problems.problem import Problem

from ..capabilities import has_moments, one_blas_thread
from ..results import labelled
from .result import AXES, StepSizeEffect
from .statistics import Effects, descent_path, looks_among

LOOKS = 13  # places along the path where the Hessian is looked at
SAME_GRADIENT = 1e-6  # of its largest entry, by which two gradients of one loss may differ


@one_blas_thread
def step_size_effect(
    problem: Any,
    x0: Any,
    step_size: float,
    steps: int,
    *,
    record: int | Sequence[int] | None = None,
    sgd: SGD | None = None,
    paths: int = 1000,
    seed: int = 0,
    rtol: float = 1e-9,
    atol: float = 1e-11,
    sharpness_looks: int = LOOKS,
) -> StepSizeEffect:
    """Risk of gradient descent less that of gradient flow, its leading order, the edge of stability; and the noise's.

    Gradient descent on the whole problem and gradient flow start at one point and differ by the step size alone. To
    leading order the difference is that between the flow of f + (step_size / 4) |grad f|^2 and the flow of f, derived.
    SGD with this step size, if given, differs from gradient descent by its noise alone: of least squares exactly, else
    over simulated paths.

    Parameters
    ----------
    problem : any of `sgdlimits.problems` with a risk
        All of its samples; for an online task `task.population`, whose noiseless path is that of the expected loss.
    x0 : array (d,)
    step_size : float
    steps : int
    record : None, int or sequence of int
        Steps to look at, about 50 by default.
    sgd : discrete.SGD, optional
        With the same step size, on the problem or on the samples that it is the expected loss of.
    paths, seed : int
        Of the simulation of `sgd`, where its moments do not close.
    rtol, atol : float
        Of both flows, see `diffusions.GradientFlow`.
    sharpness_looks : int
        At so many of the recorded steps the largest Hessian eigenvalue is computed along gradient descent; 0: nowhere.

    Returns
    -------
    StepSizeEffect

    Raises
    ------
    InvalidInput
        If an argument cannot be used, SGD has another step size, dimension or rule, or a flow is stiff.

    Warns
    -----
    OverflowedPaths
        If descent or a flow leaves the range of numbers; its risk is inf from there on.
    """
    instance_of("problem", problem, Problem, "zero-loss models have compare.paths")
    if not (problem.quadratic or problem.sampled):
        raise InvalidInput(f"{type(problem).__name__} has no gradients of samples, whose mean descent follows")
    x0 = finite_array("x0", x0, shape=(problem.dimension,))
    step_size, kept = positive("step_size", step_size), recorded_steps(record, whole_number("steps", steps))
    looks = looks_among(kept, whole_number("sharpness_looks", sharpness_looks))
    if sgd is not None:
        _check_noise(sgd, problem, step_size, x0)
    flows = [
        GradientFlow(problem, step_size, drift_order=order, rtol=rtol, atol=atol).solve(x0, steps, kept.tolist())
        for order in (1, 2)
    ]
    places = descent_path(problem, x0, step_size, kept)
    lost = limits.beyond(places)
    if lost.any():
        warnings.warn(
            f"gradient descent overflowed by step {kept[np.argmax(lost)]}: its risk is inf from there on; lower "
            f"step_size={step_size:g}",
            OverflowedPaths,
            stacklevel=3,
        )
    descent = np.where(lost, np.inf, problem.risk(np.where(lost[:, None], 0.0, places)))
    edges = [sharpness(problem, place) if look and not gone else None
             for place, look, gone in zip(places, looks, lost)]  # fmt: skip
    noisy, error, exact = (None, None, 1) if sgd is None else _noise(sgd, problem, x0, kept, paths, seed)
    flow, modified = ((each["risk"].values[0], each["risk_error"].values[0]) for each in flows)
    found = Effects.of(
        descent, flow, modified,
        [math.nan if edge is None else step_size * edge.value for edge in edges],
        [math.nan if edge is None else step_size * (edge.error + 2 * edge.sampling_error) for edge in edges],
        noisy, error,
    )  # fmt: skip
    attributes = {
        "problem": repr(problem), "step_size": step_size, "rtol": rtol, "atol": atol, "noise": int(sgd is not None),
        "noise_exact": int(exact), "process": "" if sgd is None else sgd.label,
        "batch_size": 0 if sgd is None else sgd.batch_size, "paths": 0 if exact else paths, "seed": seed,
        "evaluated": int(problem.evaluated) if problem.sampled and problem.endless else 0,
    }  # fmt: skip
    return StepSizeEffect(labelled(found, AXES, {"step": kept}, attributes))


def _check_noise(sgd: Any, problem: Any, step_size: float, x0: np.ndarray) -> None:
    instance_of("sgd", sgd, SGD, "leave it out, and the effect of the step size alone is measured")
    if sgd.problem.dimension != problem.dimension:
        raise InvalidInput(f"sgd has {sgd.problem.dimension} parameters, and the problem has {problem.dimension}")
    if sgd.problem is not problem and not _one_descent(sgd.problem, problem, x0):
        raise InvalidInput(
            f"sgd descends {sgd.problem!r}, whose gradient at x0 is not that of {problem!r}: give an SGD on the "
            "problem, or on the samples that it is the expected loss of"
        )
    if sgd.step_size != step_size:
        raise InvalidInput(
            f"sgd has step_size {sgd.step_size!r}, and the comparison has {step_size:g}: with the same one they differ "
            "by the noise alone"
        )
    if sgd.rule is not None or sgd.momentum:
        raise InvalidInput(f"sgd takes steps of {sgd.label}, and descent is plain here: leave rule and momentum out")


def _one_descent(first: Any, second: Any, x0: np.ndarray) -> bool:
    """Whether both mean gradients at x0 are one; of samples drawn afresh only an estimate is known, and passes."""
    if first.sampled and first.endless:
        return True
    one, other = first.gradient(x0), second.gradient(x0)
    return bool(np.abs(one - other).max() <= SAME_GRADIENT * np.abs(other).max())


def _noise(
    sgd: SGD, problem: Any, x0: np.ndarray, kept: np.ndarray, paths: int, seed: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Expected risk of SGD at the steps, its standard error, and whether it is exact."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # the result marks the edge itself
        if has_moments(sgd) and sgd.problem is problem:
            grid = np.union1d(0, kept)
            risk = sgd.moments(x0, int(kept[-1]), grid.tolist(), ("risk",))["risk"].values[np.isin(grid, kept)]
            return risk, np.zeros(kept.size), True
        paths = whole_number("paths", paths, 2)
        run = sgd.simulate(
            x0, int(kept[-1]), paths, {"risk": problem.risk}, kept.tolist(), seed,
            progress=open_progress(None, math.inf, patient="SGD at these steps"),
        )["risk"].values  # fmt: skip
    with np.errstate(invalid="ignore"):
        return run.mean(axis=0), run.std(axis=0, ddof=1) / math.sqrt(paths), False

"""compare.orders: observed weak orders over a ladder of step sizes, from exact moments, with leading constants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments
from sgdlimits.exact.errors import InvalidInput, finite_array, positive, whole_number

from .._laws import budget as budgets
from ..capabilities import claim_notes, distinct_labels, has_moments, one_blas_thread, with_start
from ..predictions import LeadingError, leading_error
from .result import QUANTITIES, Orders

LONGEST = 10**8  # steps


@one_blas_thread
def orders(
    reference: Any,
    *others: Any,
    x0: Any = None,
    steps: int | None = None,
    time: float | None = None,
    step_sizes: Sequence[float] | None = None,
    rungs: int = 8,
) -> Orders:
    """Observed weak order of diffusions against SGD on least squares. Exact moments only: no sampling error.

    Every side is rebuilt at each step size of the ladder and compared at the same gradient-flow time.

    Parameters
    ----------
    reference : SGD
    *others : diffusions
        The start may follow them as the last positional argument.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    steps : int, optional
        Steps of the reference at its own step size; with it the time is steps * step_size.
    time : float, optional
        Gradient-flow time of the comparison, instead of `steps`.
    step_sizes : sequence of float, optional
        The ladder, decreasing; by default the reference's step size halved `rungs` - 1 times.
    rungs : int
        Length of the default ladder.

    Returns
    -------
    Orders
        Slopes of log error against log step size with their standard errors, and the leading constants:
        extrapolated from the ladder, and predicted by theory. For "risk" they carry a sign; "mean" and
        "covariance" are Euclidean and Frobenius norms.

    Raises
    ------
    InvalidInput
        If moments do not close, the time is no multiple of a step size, or the sides do not match.
    """
    import xarray as xr

    import sgdlimits

    compared, x0 = with_start(others, x0)
    processes = [reference, *compared]
    for process in processes[1:]:
        reason = budgets.obstacle(reference, process)
        if reason:
            raise InvalidInput(reason.replace("error budget", "order ladder"))
    if len(processes) < 2 or not has_moments(reference):
        raise InvalidInput("orders needs SGD with closed moments as the reference and at least one diffusion")
    ladder, counts, horizon = _ladder(reference.step_size, steps, time, step_sizes, rungs)
    labels = distinct_labels(processes)[1:]
    problem = reference.problem
    mean, covariance = initial_moments(x0, problem.dimension)
    start = problem.to_modes(mean), problem.eigenvectors.T @ covariance @ problem.eigenvectors
    errors = np.empty((len(labels), len(QUANTITIES), ladder.size))
    for rung, (step_size, count) in enumerate(zip(ladder, counts)):
        origin, *found = (
            _last_moments(replace(process, step_size=float(step_size)), x0, int(count)) for process in processes
        )
        for place, moments in enumerate(found):
            errors[place, 0, rung] = moments[0] - origin[0]
            errors[place, 1, rung] = np.linalg.norm(moments[1] - origin[1])
            errors[place, 2, rung] = np.linalg.norm(moments[2] - origin[2])
    stable, unstable = _stable_rungs(processes, labels, ladder, errors)
    scales = _scales(problem, start)
    summary = {name: np.full(errors.shape[:2], np.nan) for name in ("slope", "slope_error", "constant")}
    predicted, claimed = np.full(errors.shape[:2], np.nan), np.full(errors.shape[:2], np.nan)
    for place, process in enumerate(compared):
        leading = leading_error(reference, process, *start, [horizon])
        claimed[place] = leading.order
        if leading.order == 1 and process.drift_order == 2:
            claimed[place, 1] = 2  # the drift's correction makes the mean one order better
        predicted[place] = _predicted(leading, horizon, claimed[place])
        for quantity in range(len(QUANTITIES)):
            row = place, quantity
            fit = _fit(ladder[stable], errors[row][stable], claimed[row], scales[quantity])
            summary["slope"][row], summary["slope_error"][row], summary["constant"][row] = fit
    axes = ("process", "quantity")
    variables: dict[str, Any] = {name: (axes, values) for name, values in summary.items()}
    variables |= {
        "error": ((*axes, "step_size"), errors),
        "claimed": (axes, claimed),
        "constant_predicted": (axes, predicted),
    }
    attributes = {
        "title": f"Weak order against {reference.label}",
        "time": horizon,
        "problem": repr(problem),
        "batch_size": reference.batch_size,
        "version": sgdlimits.__version__,
        "claims": claim_notes(compared, labels),
        "unstable": json.dumps(unstable),
    }
    coordinates = {"process": labels, "quantity": list(QUANTITIES), "step_size": ladder}
    return Orders(xr.Dataset(variables, coords=coordinates, attrs=attributes))


def _ladder(
    step_size: float, steps: int | None, time: float | None, step_sizes: Sequence[float] | None, rungs: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Step sizes (decreasing), the number of steps of each, and the common gradient-flow time."""
    if (steps is None) == (time is None):
        raise InvalidInput("give either steps, counted at the reference's step size, or time, and not both")
    if step_sizes is None:
        ladder = step_size * 0.5 ** np.arange(whole_number("rungs", rungs, 3))
    else:
        ladder = finite_array("step_sizes", step_sizes, ndim=1)
        if ladder.size < 3 or (ladder <= 0).any() or (np.diff(ladder) >= 0).any():
            raise InvalidInput(f"step_sizes must be at least 3 decreasing positive numbers, got {list(ladder)}")
    horizon = positive("time", time) if steps is None else whole_number("steps", steps, 1) * step_size
    if horizon / ladder[-1] > LONGEST:
        raise InvalidInput(f"time {horizon:g} is more than {LONGEST:g} steps of size {ladder[-1]:g}: shorten it")
    counts = np.rint(horizon / ladder)
    off = np.abs(counts * ladder / horizon - 1)
    if off.max() > 1e-9 or counts.min() < 1:
        worst = ladder[off.argmax()]
        raise InvalidInput(f"time {horizon:g} is no whole number of steps of size {worst:g}; change one of them")
    return ladder, counts.astype(int), float(horizon)


def _last_moments(process: Any, x0: Any, steps: int) -> tuple[float, np.ndarray, np.ndarray]:
    moments = process.moments(x0, steps, record=[steps]).sel(step=steps)
    return float(moments["risk"]), moments["mean"].values, moments["covariance"].values


def _predicted(leading: LeadingError, horizon: float, claimed: np.ndarray) -> np.ndarray:
    """Constants of step_size^claimed for risk, mean and covariance."""
    flow = np.exp(-leading.problem.curvatures * horizon) * leading.start_mean
    curvatures = leading.problem.curvatures
    mean = leading.mean[0] if claimed[1] == leading.order else horizon / 3 * curvatures**3 * flow
    return np.array(
        [leading.risk()[0], np.linalg.norm(mean), np.linalg.norm(leading.covariance([horizon])[0])]
    )


def _scales(problem: Any, start: tuple[np.ndarray, np.ndarray]) -> tuple[float, float, float]:
    """Sizes of risk, mean and covariance, each in its own unit, to tell an error from rounding."""
    square = float(np.square(start[0]).sum() + np.trace(start[1]))
    return float(problem.expected_risk(*start)), float(np.sqrt(square) + np.linalg.norm(problem.minimiser)), square


def _stable_rungs(
    processes: Sequence[Any], labels: Sequence[str], ladder: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Rungs below every mean-square threshold at which all errors are finite, and sentences on the others.

    With a negative curvature every rung grows, and the orders at a finite time are what they are.
    """
    stable = np.isfinite(errors).all(axis=(0, 1))
    found = []
    if processes[0].problem.curvatures.min() >= 0:
        for process, label in zip(processes, [processes[0].label, *labels]):
            threshold = process.stability().mean_square_threshold
            over = ladder >= threshold
            if over.any():
                found.append(
                    f"UNSTABLE: {label} settles only below step size {threshold:.4g}; {over.sum()} of {ladder.size} "
                    "rungs lie above and are left out of the fits."
                )
            stable &= ~over
    if stable.sum() < 3:
        found.append("Fewer than three rungs are stable, so no order is fitted: take smaller step sizes.")
    return stable, found


def _fit(ladder: np.ndarray, error: np.ndarray, order: float, scale: float) -> tuple[float, float, float]:
    """Slope, its standard error and the leading constant, from the finest rungs: the order is a limit.

    nan where fewer than three rungs are above rounding and of one sign. Richardson: the two finest rungs remove the
    next power of the step size from the constant.
    """
    usable = np.flatnonzero(np.abs(error) > 1e-11 * scale)
    if usable.size:
        same = np.sign(error) == np.sign(error[usable[-1]])
        changes = usable[~same[usable]]
        usable = usable[usable > changes[-1]] if changes.size else usable
    usable = usable[-4:]
    if usable.size < 3:
        return np.nan, np.nan, np.nan
    x, y = np.log(ladder[usable]), np.log(np.abs(error[usable]))
    slope, intercept = np.polyfit(x, y, 1)
    spread = y - (slope * x + intercept)
    slope_error = np.sqrt(spread @ spread / (x.size - 2) / np.square(x - x.mean()).sum())
    steps, ratios = ladder[usable][-2:], error[usable][-2:] / ladder[usable][-2:] ** order
    constant = (ratios[1] * steps[0] - ratios[0] * steps[1]) / (steps[0] - steps[1])
    return float(slope), float(slope_error), float(constant)

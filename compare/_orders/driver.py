"""compare.orders: observed weak orders over a ladder of step sizes, from exact moments where these close."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdlimits.diffusions.optimiser_limit import OptimiserLimit
from sgdlimits.ensembles.initial import initial_moments
from sgdlimits.exact.errors import InvalidInput, seed_number, whole_number

from .. import fits
from .._laws import budget as budgets
from ..capabilities import claim_notes, distinct_labels, has_moments, limit_mismatch, one_blas_thread, with_start
from ..predictions import LeadingError, leading_error
from .result import QUANTITIES, Orders
from .rungs import Rungs, ladder_of, rungs_of
from .sampled import functions_of, sampled_errors

SUMMARY = ("slope", "slope_error", "constant", "constant_error")


@one_blas_thread
def orders(
    reference: Any,
    *others: Any,
    x0: Any = None,
    steps: int | None = None,
    time: float | None = None,
    step_sizes: Sequence[float] | None = None,
    rungs: int = 8,
    batch_sizes: Sequence[int] | None = None,
    observables: Mapping[str, Any] | None = None,
    paths: int | None = None,
    seed: int = 0,
    substeps: int = 2,
    threads: int | None = None,
    progress: Any = None,
) -> Orders:
    """Observed weak order of diffusions against SGD. Exact on least squares where moments close, else by Monte Carlo.

    Every side is rebuilt on each rung of the ladder that the limits declare (`ladder`: what is held fixed, and the
    small parameter in which the order is counted), and compared at the same time on their clock: step_size for the
    limits of plain SGD, sqrt(step_size) for momentum at fixed friction, step_size^2 for Adam and RMSProp, whose noise
    is scaled by batch sizes that fall by 4 a rung, or by the label noise where every batch holds all rows.

    Parameters
    ----------
    reference : SGD
    *others : diffusions
        The start may follow them as the last positional argument.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    steps : int, optional
        Steps of the reference at its own step size; the time is then steps times the small parameter.
    time : float, optional
        Time of the comparison on the limits' clock, instead of `steps`.
    step_sizes : sequence of float, optional
        The ladder, decreasing; by default the reference's step size halved `rungs` - 1 times (divided by 4 where the
        order is counted in its root).
    rungs : int
        Length of the default ladder.
    batch_sizes : sequence of int, optional
        The ladder where batch sizes scale the noise; the step sizes follow. By default from the reference's on.
    observables : mapping from names to functions of positions (paths, d), optional
        Where moments do not close: whose means are compared; the risk and |x|^2 by default.
    paths : int, optional
        Independent paths of each side on each rung, where moments do not close.
    seed : int
    substeps : int
        Coarser of the two numbers of increments a step between which a limit is extrapolated.
    threads, progress
        As in `simulate`.

    Returns
    -------
    Orders
        Slopes of log error against the log of the small parameter with their standard errors, and the leading
        constants: extrapolated from the ladder, and predicted by theory. For "risk" they carry a sign; "mean" and
        "covariance" are Euclidean and Frobenius norms. By Monte Carlo both are weighted fits with
        standard errors: of constant * parameter^slope, and of constant * parameter^claimed and the next power.

    Raises
    ------
    InvalidInput
        If moments do not close and `paths` is missing, the time is no multiple of a step, or the sides do not match.
    """
    compared, x0 = with_start(others, x0)
    for process in compared:
        reason = _obstacle(reference, process)
        if reason:
            raise InvalidInput(reason.replace("error budget", "order ladder"))
    if not compared:
        raise InvalidInput("orders needs SGD with closed moments as the reference and at least one diffusion")
    found = rungs_of(reference, ladder_of(compared), steps, time, step_sizes, batch_sizes, rungs)
    if all(map(has_moments, (reference, *compared))) and observables is None:
        return _exact(reference, compared, x0, found)
    if paths is None:
        raise InvalidInput(
            "moments of these sides do not close, so they are simulated: pass paths=, 100_000 to begin with (the error "
            "of a slope says whether that is enough)"
        )
    functions = functions_of(reference.problem, observables)
    errors, deviations = sampled_errors(
        reference, compared, x0, found, functions, whole_number("paths", paths, 2), seed_number(seed),
        whole_number("substeps", substeps, 1), threads, progress,
    )  # fmt: skip
    summary = {name: np.full(errors.shape[:2], np.nan) for name in SUMMARY}
    powers = np.array([[float(process.weak_order)] * len(functions) for process in compared])
    claims = np.array([getattr(process, "claims_order", True) for process in compared])
    claimed = np.where(claims[:, None], powers, np.nan)
    for row in np.ndindex(errors.shape[:2]):
        measured = found.parameters, errors[row], deviations[row]
        values = (*fits.power(*measured), *fits.leading_constant(*measured, float(powers[row])))
        for name, value in zip(SUMMARY, values):
            summary[name][row] = value
    return _labelled(reference, compared, found, list(functions), errors, deviations, summary, claimed, None, [], paths)


def _obstacle(reference: Any, process: Any) -> str | None:
    if isinstance(process, OptimiserLimit):
        reasons = limit_mismatch(process, reference)
        return f"the order ladder needs sides that match: {'; '.join(reasons)}" if reasons else None
    return budgets.obstacle(reference, process)


def _exact(reference: Any, compared: Sequence[Any], x0: Any, found: Rungs) -> Orders:
    problem, processes = reference.problem, [reference, *compared]
    labels = distinct_labels(processes)[1:]
    mean, covariance = initial_moments(x0, problem.dimension)
    start = problem.to_modes(mean), problem.eigenvectors.T @ covariance @ problem.eigenvectors
    errors = np.empty((len(labels), len(QUANTITIES), found.sizes.size))
    for rung, count in enumerate(found.counts):
        origin, *others = (_last_moments(found.at(process, rung), x0, int(count)) for process in processes)
        for place, moments in enumerate(others):
            errors[place, 0, rung] = moments[0] - origin[0]
            errors[place, 1, rung] = np.linalg.norm(moments[1] - origin[1])
            errors[place, 2, rung] = np.linalg.norm(moments[2] - origin[2])
    stable, unstable = _stable_rungs(processes, labels, found, errors)
    scales = _scales(problem, start)
    summary = {name: np.full(errors.shape[:2], np.nan) for name in SUMMARY}
    predicted, claimed = np.full(errors.shape[:2], np.nan), np.full(errors.shape[:2], np.nan)
    for place, process in enumerate(compared):
        if isinstance(process, OptimiserLimit):
            claimed[place] = process.weak_order
        else:
            leading = leading_error(reference, process, *start, [found.time])
            claimed[place] = leading.order
            if leading.order == 1 and process.drift_order == 2:
                claimed[place, 1] = 2  # the drift's correction makes the mean one order better
            predicted[place] = _predicted(leading, found.time, claimed[place])
        for quantity in range(len(QUANTITIES)):
            row = place, quantity
            fit = _fit(found.parameters[stable], errors[row][stable], claimed[row], scales[quantity])
            for name, value in zip(SUMMARY, fit):
                summary[name][row] = value
    return _labelled(
        reference, compared, found, list(QUANTITIES), errors, None, summary, claimed, predicted, unstable, None
    )


def _labelled(
    reference: Any, compared: Sequence[Any], found: Rungs, quantities: list[str], errors: np.ndarray,
    deviations: np.ndarray | None, summary: Mapping[str, np.ndarray], claimed: np.ndarray, predicted: np.ndarray | None,
    unstable: list[str], paths: int | None,
) -> Orders:  # fmt: skip
    import xarray as xr

    import sgdlimits

    labels, axes = distinct_labels([reference, *compared])[1:], ("process", "quantity")
    variables: dict[str, Any] = {
        name: (axes, values) for name, values in summary.items() if paths or name != "constant_error"
    }
    variables |= {
        "error": ((*axes, "step_size"), errors),
        "standard_error": ((*axes, "step_size"), np.zeros_like(errors) if deviations is None else deviations),
        "claimed": (axes, claimed),
    }
    if predicted is not None and not np.isnan(predicted).all():
        variables["constant_predicted"] = axes, predicted
    attributes = {
        "title": f"Weak order against {reference.label}",
        "time": found.time,
        "problem": repr(reference.problem),
        "batch_size": reference.batch_size,
        "ladder": str(found.ladder),
        "parameter": found.ladder.parameter,
        "paths": paths or 0,
        "version": sgdlimits.__version__,
        "claims": claim_notes(compared, labels),
        "unstable": json.dumps(unstable),
    }
    coordinates: dict[str, Any] = {"process": labels, "quantity": quantities, "step_size": found.sizes}
    coordinates["parameter"] = ("step_size", found.parameters)
    if found.batches is not None:
        coordinates["batch_size"] = ("step_size", found.batches)
    return Orders(xr.Dataset(variables, coords=coordinates, attrs=attributes))


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
    processes: Sequence[Any], labels: Sequence[str], rungs: Rungs, errors: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Rungs below every mean-square threshold at which all errors are finite, and sentences on the others.

    With a negative curvature every rung grows, and the orders at a finite time are what they are.
    """
    stable = np.isfinite(errors).all(axis=(0, 1))
    found, ladder = [], rungs.sizes
    if processes[0].problem.curvatures.min() >= 0:
        for process, label in zip(processes, [processes[0].label, *labels]):
            if rungs.ladder.held:  # settings change along, and a threshold with them: each rung has its own
                over = np.array([not rungs.at(process, k).stability().mean_square_stable for k in range(ladder.size)])
                threshold = float(process.stability().mean_square_threshold)
            else:
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


def _fit(
    ladder: np.ndarray, error: np.ndarray, order: float, scale: float
) -> tuple[float, float, float, float]:
    """Slope, its error, the leading constant and no error of that, from the finest rungs: an order is a limit.

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
        return (np.nan,) * 4
    x, y = np.log(ladder[usable]), np.log(np.abs(error[usable]))
    slope, intercept = np.polyfit(x, y, 1)
    spread = y - (slope * x + intercept)
    slope_error = np.sqrt(spread @ spread / (x.size - 2) / np.square(x - x.mean()).sum())
    steps, ratios = ladder[usable][-2:], error[usable][-2:] / ladder[usable][-2:] ** order
    constant = (ratios[1] * steps[0] - ratios[0] * steps[1]) / (steps[0] - steps[1])
    return float(slope), float(slope_error), float(constant), np.nan

"""compare.noise_cost_of_curves: steps and samples to a level from loss curves, with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, axes, finite_array, real_array, real_number, whole_number
from sgdlimits.exact.level_passages import first_of_records, last_of_records
from sgdlimits.exact.trade_off import TradeOff, largest_within, trade_off

from ..estimates import confidence_level, student_quantile
from ..results import labelled
from .record import CURVES, Costed, Summary, costed, fitted, reached_by
from .result import NoiseCost

MEASURED = "measured"


def noise_cost_of_curves(
    steps: Any,
    losses: Any,
    batch_sizes: Any,
    level: float,
    errors: Any = None,
    least: float = 0.0,
    confidence: float = 0.95,
    label: str = "measured curves",
    runs: int | None = None,
) -> NoiseCost:
    """Steps and samples to a level and the critical batch size, from loss curves at several batch sizes.

    The statistics are those of `compare.noise_cost`; between recorded steps a curve is linear in the logarithm of its
    loss above `least`, and between batch sizes samples follow a monotone cubic in both logarithms.

    Parameters
    ----------
    steps : array (k,) of whole steps, or one array for each batch size
    losses : array (B, k), or one array for each batch size
        Mean losses at these steps, from runs that do not depend on each other.
    batch_sizes : array (B,)
        Rising, at least two; the last may be inf, descent without noise, which gives the least steps.
    level : float
        The loss that is to be reached.
    errors : as losses, optional
        Their standard errors. A batch size's steps then lie, with the confidence for all batch sizes at once, between
        the first step at which the lower band is at the level and the last at which the upper one is above it; what
        follows is made of these ends, which only widens it.
    least : float
        The least loss there is; what lies above it is interpolated.
    confidence : float
    label : str
        What the curves are of.
    runs : int, optional
        Of which a loss is the mean, at least 2: the errors are then known from so few, and intervals are Student's.
        None: from many.

    Returns
    -------
    NoiseCost

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or fewer than two curves reach the level.
    """
    sizes = _batch_sizes(batch_sizes)
    least, level = real_number("least", least), real_number("level", level)
    if level <= least:
        raise InvalidInput(f"level is {level:g}, not above the least loss {least:g}: take a larger level")
    curves = _curves(steps, losses, errors, sizes, least)
    excess, confidence = level - least, confidence_level(confidence)
    degrees = math.inf if runs is None else whole_number("runs", runs, 2) - 1
    z = student_quantile(1 - (1 - confidence) / sizes.size, degrees) if errors is not None else 0.0
    found = np.array([first_of_records(at, values, excess) for at, values, _ in curves])
    low = np.array([first_of_records(at, values - z * error, excess) for at, values, error in curves])
    high = np.array([last_of_records(at, values + z * error, excess) for at, values, error in curves])
    if errors is None:
        high = found.copy()
    noisy = np.isfinite(sizes)
    if np.isfinite(found[noisy]).sum() < 2:
        lowest = min(values.min() for _, values, _ in curves) + least
        raise InvalidInput(
            f"fewer than two curves reach the level {level:g}, the lowest loss is {lowest:g}: run longer, or take a "
            "higher level"
        )
    summary = _summary(sizes[noisy], found[noisy], low[noisy], high[noisy])
    if noisy.all():
        summary = summary.without_least_steps()
    else:
        summary = summary.with_least_steps(found[-1], low[-1], high[-1])
    reached = reached_by(found, np.full(sizes.size, math.nan), excess)
    record = costed(
        [(np.full(sizes.size, math.nan), found, low, high, np.full(sizes.size, math.nan), reached, summary)], sizes
    )
    every = np.unique(np.concatenate([at for at, _, _ in curves]))
    table = np.full((2, sizes.size, every.size), math.nan)
    for row, (at, values, error) in enumerate(curves):
        table[:, row, np.searchsorted(every, at)] = values, error
    start = max(values[0] for _, values, _ in curves)
    attributes = {
        "process": label, "problem": "", "level": excess, "initial": float(start), "least_risk": least,
        "measured": 1, "intervals": int(errors is not None), "degrees": degrees, "confidence": confidence,
        "step_size": math.nan, "batch_size": math.nan, "tolerance": math.nan, "window": math.nan,
    }  # fmt: skip
    coordinates = {"choice": [MEASURED], "batch_size": sizes, "step": every}
    dataset = labelled(record, Costed.AXES, coordinates, attributes)
    return NoiseCost(dataset.assign({name: (CURVES, rows) for name, rows in zip(("excess", "excess_error"), table)}))


def _summary(sizes: np.ndarray, found: np.ndarray, low: np.ndarray, high: np.ndarray) -> Summary:
    """Least samples and critical batch size with what their intervals come to."""
    point, allowance = _both_ways(sizes, found)
    samples, dip = (sizes * low, sizes * high), _dip(sizes, found)
    least_low, least_high = float(np.min(samples[0])), float(np.min(samples[1]))
    # Twice the least samples lie between these; S between its own ends.
    critical_low = _critical(sizes, high, 2 * least_low * dip, False)
    critical_high = _critical(sizes, low, 2 * least_high, True)
    if math.isnan(critical_low):
        critical_low = float(sizes[0])
    critical = critical_low / allowance, critical_high * allowance
    return Summary(point, (least_low * dip, least_high), critical, fitted(sizes, found))


def _both_ways(sizes: np.ndarray, steps: np.ndarray) -> tuple[TradeOff, float]:
    """What the monotone cubic gives, and the factor by which broken lines give another critical batch size."""
    finite = np.isfinite(steps)
    ladder = sizes[finite].tolist()
    point, other = (trade_off(way(sizes[finite], steps[finite]), ladder) for way in (_cubic, _broken))
    if not (math.isfinite(point.critical_batch_size) and math.isfinite(other.critical_batch_size)):
        return point, 1.0
    ratio = point.critical_batch_size / other.critical_batch_size
    return point, max(ratio, 1 / ratio)


def _dip(sizes: np.ndarray, steps: np.ndarray) -> float:
    """Factor by which the parabola through the least samples and those beside them goes below them."""
    with np.errstate(divide="ignore"):
        logs, samples = np.log(sizes), np.log(sizes * steps)
    place = int(samples.argmin())
    if not 0 < place < sizes.size - 1 or not np.isfinite(samples[place - 1 : place + 2]).all():
        return 1.0
    two, one, _ = np.polyfit(logs[place - 1 : place + 2] - logs[place], samples[place - 1 : place + 2], 2)
    return math.exp(-(one**2) / (4 * two)) if two > 0 else 1.0


def _critical(sizes: np.ndarray, steps: np.ndarray, level: float, last: bool) -> float:
    finite = np.isfinite(steps)
    if not finite.any():
        return math.inf if last else math.nan
    samples = {size: size * count for size, count in zip(sizes.tolist(), steps.tolist())}
    steps_of = _cubic(sizes[finite], steps[finite])
    return largest_within(lambda size: size * steps_of(size), samples, level, last)


def _cubic(sizes: np.ndarray, steps: np.ndarray) -> Callable[[float], float]:
    """Steps at a batch size between these; samples are what is interpolated."""
    from scipy.interpolate import PchipInterpolator

    if sizes.size < 3:
        return _broken(sizes, steps)
    of = PchipInterpolator(np.log(sizes), np.log(sizes * np.maximum(steps, 1e-300)))
    return lambda size: math.exp(float(of(math.log(size)))) / size


def _broken(sizes: np.ndarray, steps: np.ndarray) -> Callable[[float], float]:
    logs, samples = np.log(sizes), np.log(sizes * np.maximum(steps, 1e-300))
    return lambda size: math.exp(float(np.interp(math.log(size), logs, samples))) / size


def _batch_sizes(given: Any) -> np.ndarray:
    sizes = real_array("batch_sizes", given)
    if sizes.ndim != 1 or sizes.size < 2 or np.isnan(sizes).any() or sizes.min() <= 0 or (np.diff(sizes) <= 0).any():
        raise InvalidInput("batch_sizes must be at least two numbers above zero, rising; the last may be inf")
    return sizes


def _curves(
    steps: Any, losses: Any, errors: Any, sizes: np.ndarray, least: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Steps, losses above the least, and standard errors of each batch size."""
    alone = axes(steps[0]) == 0 if isinstance(steps, Sequence) and len(steps) else axes(steps) == 1
    each = [steps] * sizes.size if alone else list(steps)
    for name, rows in (("losses", losses), ("steps", each), *((("errors", errors),) if errors is not None else ())):
        if len(rows) != sizes.size:
            raise InvalidInput(f"{name} must hold one curve for each of the {sizes.size} batch sizes, got {len(rows)}")
    found = []
    for place, size in enumerate(sizes.tolist()):
        at = finite_array("steps", each[place], ndim=1)
        if at.size < 2 or at[0] < 0 or (np.diff(at) <= 0).any():
            raise InvalidInput(f"steps of batch size {size:g} must be at least two numbers from 0 up, rising")
        values = finite_array("losses", losses[place], shape=at.shape) - least
        if values.min() <= 0:
            raise InvalidInput(
                f"losses of batch size {size:g} come down to {values.min() + least:g}, not above the least loss "
                f"{least:g}: lower `least`"
            )
        error = np.zeros(at.size) if errors is None else finite_array("errors", errors[place], shape=at.shape)
        if error.min() < 0:
            raise InvalidInput(f"errors of batch size {size:g} hold {error.min():g}: standard errors are not negative")
        found.append((at, values, error))
    return found

"""Verdicts of compare.paths: on an order over the ladder, or on a distance at its smallest step size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..estimates import student_quantile
from ..fits import exponent
from ..verdicts import verdicts_of
from .errors import CLEAR, Errors, degrees_of

MOST_PATHS = 1000  # times the paths there are: more would not be run, and the gap lies on its margin
RESOLVED = 0.25  # standard error of the order of a distance from which it is not said
BENT = 4.0  # reduced chi-square of the line beyond which the ladder's bend, not the paths, widens the interval


@dataclass(frozen=True, eq=False)
class Row:
    """A row before it is judged: what was measured against the limit, and against the wrong one.

    `kind`: "order" (judged on the order, beside `predicted`), "distance" or "probability" (judged on the value).
    `bound`: the prediction is the least that the order may be.
    """

    name: str
    phase: str
    kind: str
    predicted: float
    found: Errors
    control: Errors
    bound: bool = False


@dataclass(frozen=True)
class Judged:
    """An order with its standard error (nan: not resolved), the verdict, and the paths that would decide.

    nan: it is decided; inf: no number of paths would, because the ladder bends or the order lies on the edge.
    """

    order: float
    error: float
    verdict: str
    paths: float


def judge(row: Row, errors: Errors, sizes: np.ndarray, tolerance: float, confidence: float, paths: int) -> Judged:
    """The verdict on one side of a row."""
    if row.kind != "order":
        low, high, value = errors.lower[-1], errors.upper[-1], errors.value[-1]
        verdict = str(verdicts_of(low, high, np.array(tolerance)))
        needed = paths * _times_the_paths(row.kind, float(value), float(low), float(high), tolerance)
        resolved = row.kind == "distance" and (errors.lower > 0).all()
        if not resolved:
            return Judged(np.nan, np.nan, verdict, _decides(verdict, needed, paths))
        slope = exponent(sizes, errors.value, (errors.upper - errors.lower) / 4)
        order, error = float(slope.coefficients[0]), float(slope.errors[0])
        known = (order, error) if error < RESOLVED else (np.nan, np.nan)
        return Judged(*known, verdict, _decides(verdict, needed, paths))
    clear = errors.value > CLEAR * errors.error
    if not clear.all() or not (errors.value > 0).all():
        with np.errstate(divide="ignore"):
            needed = float(np.max((CLEAR * errors.error / np.abs(errors.value)) ** 2)) * paths
        return Judged(np.nan, np.nan, "undecided", _decides("undecided", needed, paths))
    line = exponent(sizes, errors.value, errors.error)
    order, error = float(line.coefficients[0]), float(line.errors[0])
    z = student_quantile(confidence, degrees_of(paths))
    if np.isnan(row.predicted):
        return Judged(order, error, "no prediction", np.nan)
    gap, half = order - row.predicted, z * error
    low, high = (min(end, 0.0) if row.bound else end for end in (gap - half, gap + half))  # above a bound all is well
    verdict = str(verdicts_of(np.array(low), np.array(high), np.array(tolerance)))
    room = abs(tolerance + gap) if row.bound else abs(tolerance - abs(gap))
    bent = line.reduced_chi2 > BENT or room == 0
    if verdict == "differs" and _bends_to(row, errors, sizes, tolerance, z):
        verdict, bent = "undecided", True
    return Judged(order, error, verdict, _decides(verdict, np.inf if bent else paths * (z * error / room) ** 2, paths))


def _bends_to(row: Row, errors: Errors, sizes: np.ndarray, tolerance: float, z: float) -> bool:
    """Whether the order of the last two rungs by itself may be the predicted one: the ladder then starts too early."""
    order = np.log(errors.value[-2] / errors.value[-1]) / np.log(sizes[-2] / sizes[-1])
    half = z * np.hypot(*(errors.error / errors.value)[-2:]) / np.log(sizes[-2] / sizes[-1])
    gap = order - row.predicted
    near = gap >= -(tolerance + half) if row.bound else abs(gap) <= tolerance + half
    return bool(near) and len(sizes) > 2


def _times_the_paths(kind: str, value: float, low: float, high: float, tolerance: float) -> float:
    """By how much more paths would decide a value of the interval (low, high), which falls as their root."""
    if kind == "distance" and low <= 0:  # no more than sampling is seen of it, and that falls too
        return (high / tolerance) ** 2
    half = high - value if kind == "distance" else (high - low) / 2
    room = abs(tolerance - abs(value))
    return float((half / room) ** 2) if room > 0 else np.inf


def _decides(verdict: str, needed: float, paths: int) -> float:
    if verdict != "undecided":
        return np.nan
    return float(np.ceil(needed)) if needed <= MOST_PATHS * paths else np.inf


@dataclass(frozen=True, eq=False)
class PathStatistics:
    """Arrays over (row, step size) and over rows; see `Paths`."""

    value: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    control_value: np.ndarray
    control_lower: np.ndarray
    control_upper: np.ndarray
    local_order: np.ndarray
    phase: np.ndarray
    kind: np.ndarray
    predicted: np.ndarray
    bound: np.ndarray
    order: np.ndarray
    order_error: np.ndarray
    verdict: np.ndarray
    paths_needed: np.ndarray
    control_order: np.ndarray
    control_order_error: np.ndarray
    control_verdict: np.ndarray
    control_paths: np.ndarray


def path_statistics(
    rows: Sequence[Row], sizes: np.ndarray, tolerance: float, confidence: float, paths: int
) -> PathStatistics:
    """All rows judged; both sides of each by the same rule."""
    right = [judge(row, row.found, sizes, tolerance, confidence, paths) for row in rows]
    wrong = [judge(row, row.control, sizes, tolerance, confidence, paths) for row in rows]
    values = np.array([row.found.value for row in rows])
    local = np.full(values.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        local[:, 1:] = np.log(values[:, :-1] / values[:, 1:]) / np.log(sizes[:-1] / sizes[1:])
    local[[row.kind == "probability" for row in rows]] = np.nan
    sides = {
        prefix + name: np.array([getattr(getattr(row, side), name) for row in rows])
        for prefix, side in (("", "found"), ("control_", "control"))
        for name in ("value", "lower", "upper")
    }
    return PathStatistics(
        **sides,
        local_order=np.where(np.isfinite(local), local, np.nan),
        phase=np.array([row.phase for row in rows], dtype=object),
        kind=np.array([row.kind for row in rows], dtype=object),
        predicted=np.array([row.predicted for row in rows]),
        bound=np.array([row.bound for row in rows]),
        order=np.array([found.order for found in right]),
        order_error=np.array([found.error for found in right]),
        verdict=np.array([found.verdict for found in right], dtype=object),
        paths_needed=np.array([found.paths for found in right]),
        control_order=np.array([found.order for found in wrong]),
        control_order_error=np.array([found.error for found in wrong]),
        control_verdict=np.array([found.verdict for found in wrong], dtype=object),
        control_paths=np.array([found.paths for found in wrong]),
    )  # fmt: skip

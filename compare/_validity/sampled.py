"""Ends of validity from paths, where moments do not close: an interval by inverting a test of the largest error.

The largest of noisy errors is too large, the more so the more steps are nearly as bad as the worst one. So the end is
no smooth function of means, and its interval is made of two bounds of the largest error that hold at any step size:
max over steps of (error + t s), s its standard error, is above it with the level of one step, that where it is reached;
max of (error - t s) is below it if all steps are. The end lies between where these use up the allowance. All step
sizes share their random numbers, so that both bounds are as smooth as the errors.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, OutOfReach, OverflowedPaths, StabilityWarning

from ..capabilities import has_moments, risk_floor
from ..estimates import student_quantile
from .curves import Horizon, curve

GROUPS = 20
EACH, PER_DECADE = 16, 15  # steps at which errors are looked at: first ones, then in a decade
RUNGS = 5  # step sizes about the end
LEVEL = 0.95
BELOW, AT_LEAST = "at most", "at least"  # the scan ends above, or below, the end that is looked for
MOST_STEPS = 10**10  # path-steps of one cell and limit
RESOLVED = 0.2  # standard error of an error, over the allowance, from which the maximum over steps picks noise


@dataclass
class SampledCell:
    """SGD and its limits along the step size, by paths where a side has no moments, or where SGD is to be sampled.

    Attributes
    ----------
    make : function of the step size, to (SGD, mapping from labels to limits)
    horizon : Horizon
    x0 : start
    scale : "excess" or "risk"
    paths, seed, substeps : int
        Substeps of a diffusion that is sampled, for each step of SGD.
    threads : int or None
    """

    make: Callable[[float], tuple[Any, dict[str, Any]]]
    horizon: Horizon
    x0: Any
    scale: str
    paths: int
    seed: int
    substeps: int
    threads: int | None
    _curves: dict[tuple[str, float], np.ndarray] = field(default_factory=dict)

    def recorded(self, step_size: float) -> np.ndarray:
        """Steps at which errors are looked at: the first ones each, then evenly in their logarithm."""
        last = self.horizon.steps(step_size)
        if last <= EACH:
            return np.arange(last + 1)
        count = int(PER_DECADE * math.log10(last / EACH)) + 2
        return np.union1d(np.arange(EACH), np.rint(np.geomspace(EACH, last, count)).astype(np.int64))

    def means(self, label: str, step_size: float) -> np.ndarray:
        """Means of the groups (GROUPS, steps), or the exact ones (1, steps); SGD's label is empty."""
        key = label, step_size
        if key not in self._curves:
            sgd, limits = self.make(step_size)
            process = limits[label] if label else sgd
            at = self.recorded(step_size)
            floor = self.floor(sgd)
            if label and has_moments(process):
                self._curves[key] = curve(process, self.x0, int(at[-1]))(at)[None]
            else:
                self._curves[key] = self._sampled(process, at) - floor
        return self._curves[key]

    def floor(self, sgd: Any) -> float:
        """Least risk, where errors are relative to the excess."""
        found = risk_floor(sgd.problem)
        if self.scale == "excess" and found is None:
            raise InvalidInput(
                f'the least risk of {type(sgd.problem).__name__} is not known, so an excess is not: take scale="risk"'
            )
        return found or 0.0

    def _sampled(self, process: Any, at: np.ndarray) -> np.ndarray:
        work = self.paths * int(at[-1])
        if work > MOST_STEPS:
            raise OutOfReach(
                f"the horizon is {at[-1]} steps at a step size that the search needs, {work:.1e} steps of all paths, "
                f"and {MOST_STEPS:.0e} are paid: take fewer paths, a shorter horizon or a wider allowance"
            )
        options: dict[str, Any] = {"paths": self.paths, "record": at, "seed": self.seed, "observables": ("risk",)}
        if not hasattr(process, "sampling"):
            options["substeps"] = self.substeps
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StabilityWarning)  # the scan begins where nothing settles
            warnings.simplefilter("ignore", OverflowedPaths)
            found = process.simulate(self.x0, int(at[-1]), threads=self.threads, **options)
        risk = found["risk"].sel(step=at).values.astype(float)
        return risk.reshape(GROUPS, -1, at.size).mean(axis=1)

    def error(self, label: str, step_size: float) -> float:
        """The largest error over the recorded steps."""
        own, other = (self.means(each, step_size).mean(axis=0) for each in ("", label))
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            found = np.abs(other - own) / own
        found = np.where(other == own, 0.0, found)
        return float(np.where(np.isfinite(found), found, math.inf).max())

    def bounds(self, label: str, step_size: float) -> tuple[float, float, float]:
        """Below and above the largest error, each at half of what LEVEL leaves; and the standard error there."""
        own, theirs = self.means("", step_size), self.means(label, step_size)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            ratio = theirs.mean(axis=0) / own.mean(axis=0)
            spread = ((theirs - ratio * own) / own.mean(axis=0)).std(axis=0, ddof=1) / math.sqrt(GROUPS)
        size = np.where(ratio == 1, 0.0, np.abs(ratio - 1))
        known = np.isfinite(size) & np.isfinite(spread)
        if not known.all():  # paths have overflowed: no allowance holds
            return math.inf, math.inf, math.nan
        one, every = (student_quantile(1 - (1 - LEVEL) / count, GROUPS - 1) for count in (1, size.size))
        return float((size - every * spread).max()), float((size + one * spread).max()), float(spread[size.argmax()])


def end_of(cell: SampledCell, label: str, scan: np.ndarray, within: float) -> dict[str, Any]:
    """The end of the component from 0 up, with its interval; all that `Validity` holds of it."""
    above, below = _bracket(cell, label, scan, within)
    sizes = scan.tolist()
    if below is None:
        low, high = 0.0, _crossing(cell, label, sizes, sizes[:1], within, 0)
        if high > sizes[0]:
            _resolved(cell, label, sizes[:1], within)
        return _told(cell, label, scan, sizes[0], low, high, BELOW, above)
    if above is None:
        _resolved(cell, label, sizes[-1:], within)
        low = _crossing(cell, label, sizes, sizes[-2:], within, 1)
        return _told(cell, label, scan, sizes[-1], min(low, sizes[-1]), math.inf, AT_LEAST, sizes[-1])
    width = above / below
    rungs = np.geomspace(below / width**0.5, above * width**0.5, RUNGS)
    rungs = rungs[rungs <= sizes[-1] * (1 + 1e-12)]

    _resolved(cell, label, rungs.tolist(), within)
    errors = np.array([cell.error(label, float(size)) for size in rungs])
    # Less what a jackknife calls its bias, it would scatter by half as much again.
    value = math.exp(_first_crossing(np.log(rungs), errors, within))
    low, high = (_crossing(cell, label, sizes, rungs.tolist(), within, upper) for upper in (1, 0))
    return _told(cell, label, scan, min(max(value, low), high), low, high, "", value)


def _crossing(
    cell: SampledCell, label: str, scan: list[float], known: list[float], within: float, upper: int
) -> float:
    """Where a bound of the largest error uses up the allowance: 0 or inf where it does so nowhere on the scan.

    From step sizes at which paths are known to others of the scan, down and up, until it lies between two.
    """
    sizes = sorted(known)
    levels = [cell.bounds(label, size)[upper] for size in sizes]
    while levels[0] > within and sizes[0] > scan[0]:
        sizes.insert(0, max(size for size in scan if size < sizes[0]))
        levels.insert(0, cell.bounds(label, sizes[0])[upper])
    while levels[-1] <= within and sizes[-1] < scan[-1]:
        sizes.append(min(size for size in scan if size > sizes[-1]))
        levels.append(cell.bounds(label, sizes[-1])[upper])
    if levels[0] > within:
        return sizes[0] if sizes[0] == scan[0] and not upper else 0.0
    if levels[-1] <= within:
        return math.inf
    return math.exp(_first_crossing(np.log(sizes), np.maximum(levels, 0.0), within, not upper))


def _resolved(cell: SampledCell, label: str, sizes: Sequence[float], within: float) -> None:
    """Refuse paths so few that errors within the allowance cannot be told from others."""
    found = [cell.bounds(label, size)[2] for size in sizes]
    noise = max((each for each in found if math.isfinite(each)), default=0.0)
    if noise <= RESOLVED * within:
        return
    needed = math.ceil(cell.paths * (noise / (RESOLVED * within)) ** 2 / GROUPS) * GROUPS
    raise OutOfReach(
        f"{label}: from {cell.paths} paths the error has a standard error of {noise:.2g}, too much beside an "
        f"allowance of {within:g}: take some {needed} paths, or a wider allowance"
    )


def _bracket(cell: SampledCell, label: str, scan: np.ndarray, within: float) -> tuple[float | None, float | None]:
    """From above: the last step size that is not within, and the first of two in a row that are."""
    above, inside = None, 0
    for size in scan[::-1].tolist():
        if cell.error(label, size) > within:
            above, inside = size, 0
        else:
            inside += 1
        if inside == 2:
            places = scan.tolist()
            return above, size if above is None else places[places.index(above) - 1]
    if inside == 1 and above is not None and above != float(scan[0]):
        return above, float(scan[0])
    return above, None


def _first_crossing(logs: np.ndarray, errors: np.ndarray, within: float, last: bool = False) -> float:
    """Where log error first, or last, crosses log within, linear between rungs and past their ends."""
    levels = np.log(np.maximum(errors, 1e-300) / within)
    levels = np.minimum(levels, 50.0)
    places = np.flatnonzero((levels[:-1] <= 0) & (levels[1:] > 0))
    place = int(places[-1 if last else 0]) if places.size else (0 if levels[0] > 0 else len(levels) - 2)
    slope = (levels[place + 1] - levels[place]) / (logs[place + 1] - logs[place])
    return float(logs[place] - levels[place] / slope) if slope > 0 else math.inf


def _told(
    cell: SampledCell, label: str, scan: Sequence[float] | np.ndarray, end: float, low: float, high: float, status: str,
    place: float | None,
) -> dict[str, Any]:  # fmt: skip
    known = [cell.error(label, float(size)) if (label, float(size)) in cell._curves else
             math.nan for size in scan]  # fmt: skip
    steps = cell.horizon.steps(place or float(scan[0]))
    return {
        "boundary": end, "low": low, "high": high, "status": status, "searched": float(scan[0]), "step": -1,
        "steps": steps, "signed": math.nan,
        "term": "", "error": np.array(known), "others": [],
    }  # fmt: skip

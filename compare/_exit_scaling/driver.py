"""compare.exit_scaling: exact mean times to leave a basin along a ladder, and the law by which they grow."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.discrete.escape import (
    LandscapeDescent,
    LossNoise,
    MultiplicativeNoise,
    basin_law,
    exponent,
    kramers,
    rate,
)
from sgdlimits.discrete.kesten import kesten_index
from sgdlimits.exact.errors import InvalidInput, OutOfReach, SgdlimitsError, finite_array, function, instance_of
from sgdlimits.problems.landscapes import HarmonicWell
from sgdlimits.problems.wells import WellLandscape

from ..capabilities import one_blas_thread
from ..results import labelled
from .plots import EXPONENTIAL
from .result import AXES, POWER, ExitScaling

FEWEST = 4
APART = 3.0  # residuals of one family over those of the other, from which the other is the law
CLOSE = 0.02  # relative: an exponent this near its prediction agrees, or nearer than its own error
LOOSE = 0.2  # relative: an error from which on an exponent that is nearer decides nothing
SLOWEST, SAFETY, FEW = 0.9, 2.0, 6.0  # of changes by rungs: most of one in the next, times what is left, or one
STRAIGHT = 1e-9  # departure of a gradient from linear, over its size, that is none

Make = Callable[[float], LandscapeDescent]


@one_blas_thread
def exit_scaling(make: Make | Mapping[str, Make], values: Sequence[float] | Mapping[str, Sequence[float]]
                 ) -> ExitScaling:  # fmt: skip
    """Fit the mean time to leave a basin, exact by the transfer operator, along a ladder of barriers or radii.

    Two families are fitted: log time linear in 2 barrier / (step size x variance of the noise at the minimum), as
    additive noise has it, and linear in the logarithm of the radius, as multiplicative noise has it far out. The
    predicted exponents are, of the first, the slope of the exact small-noise exponent (1 over a smooth saddle, 1 -
    step_size curvature / 2 at a harmonic well's wall); of the second, the tail index of the recurrence linearised at
    the minimum, x' = (1 - step_size curvature (1 + sigma Z)) x + b - exact where the landscape is harmonic up to the
    radius, and a guess else. The family that is not predicted is the control.

    Parameters
    ----------
    make : function of a value with a LandscapeDescent, or dict of labels and such
        On a line: a HarmonicWell of that wall, Wells of that depth, ...
    values : rising numbers (at least 4), or a dict of such for each label

    Returns
    -------
    ExitScaling

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or fewer than 4 rungs are within reach.
    """
    makes = dict(make) if isinstance(make, Mapping) else {"": make}
    for label, one in makes.items():
        function(f"make {label}".strip(), one, "of a value, with a LandscapeDescent")
    found = []
    for label, one in makes.items():
        if isinstance(values, Mapping) and label not in values:
            raise InvalidInput(f"values has no ladder for {label!r}: give one to each label, or one for all")
        ladder = finite_array("values", values[label] if isinstance(values, Mapping) else values, ndim=1)
        if not (np.diff(ladder) > 0).all():
            raise InvalidInput(f"values must rise, got {ladder.tolist()}")
        found.append(_climbed(label, one, ladder))
    names = [label or each.name for label, each in zip(makes, found)]
    longest = max(each.rungs.shape[1] for each in found)
    padded = np.full((len(found), len(FIELDS), longest), np.nan)
    for row, each in zip(padded, found):
        row[:, : each.rungs.shape[1]] = each.rungs
    columns = {name: padded[:, place] for place, name in enumerate(FIELDS)}
    summary = {name: np.array([getattr(each, name) for each in found], dtype=kind) for name, kind in SUMMARY.items()}
    notes = np.array([json.dumps(each.notes) for each in found], dtype=object)
    record = Record(**columns, **summary, notes=notes)
    attributes = {"close": CLOSE, "apart": APART, "loose": LOOSE}
    return ExitScaling(labelled(record, AXES, {"process": names, "rung": np.arange(longest)}, attributes))


FIELDS = ("value", "barrier", "radius", "scaled_barrier", "mean_steps", "error", "slope", "control_slope")
SUMMARY: dict[str, Any] = {
    "predicted_family": object, "family": object, "predicted": float, "guess": bool, "exponent": float,
    "exponent_error": float, "residual": float, "control_residual": float, "verdict": object,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Record:
    """Arrays over process and rung, as in `ExitScaling`."""

    value: np.ndarray
    barrier: np.ndarray
    radius: np.ndarray
    scaled_barrier: np.ndarray
    mean_steps: np.ndarray
    error: np.ndarray
    slope: np.ndarray
    control_slope: np.ndarray
    predicted_family: np.ndarray
    family: np.ndarray
    predicted: np.ndarray
    guess: np.ndarray
    exponent: np.ndarray
    exponent_error: np.ndarray
    residual: np.ndarray
    control_residual: np.ndarray
    verdict: np.ndarray
    notes: np.ndarray


@dataclass(frozen=True, eq=False)
class Climbed:
    """One ladder: `rungs` (fields, n) and what is said of it."""

    name: str
    rungs: np.ndarray
    predicted_family: str
    family: str
    predicted: float
    guess: bool
    exponent: float
    exponent_error: float
    residual: float
    control_residual: float
    verdict: str
    notes: list[str]


def _climbed(label: str, make: Make, ladder: np.ndarray) -> Climbed:
    rungs, descents, notes = [], [], []
    for value in ladder:
        descent = instance_of("what make returns", make(float(value)), LandscapeDescent, "it takes a value")
        if descent.dimension != 1:
            raise InvalidInput(f"times are exact on a line, but the descent has dimension {descent.dimension}")
        try:
            left, error = _rate(descent)
        except OutOfReach as refusal:
            notes.append(f"value {value:.4g} is left out: {refusal}")
            continue
        barrier, radius = _size(descent)
        variance = float(descent.covariance(descent.landscape.minimum[None])[0, 0, 0])
        scaled = 2 * barrier * (1 - descent.momentum) / (descent.step_size * variance)
        rungs.append((value, barrier, radius, scaled, 1 / left, error / left**2))
        descents.append(descent)
    if len(rungs) < FEWEST:
        raise InvalidInput(
            f"{len(rungs)} of {len(ladder)} rungs {f'of {label} ' if label else ''}are within reach, and {FEWEST} are "
            f"needed: {notes[-1] if notes else 'give more values'}"
        )
    columns = np.array(rungs).T
    widens = bool((np.diff(columns[2]) > 0).all())
    scales = {EXPONENTIAL: columns[3], POWER: np.log(columns[2 if widens else 3])}
    times = np.log(columns[4])
    last = descents[-1]
    wanted = EXPONENTIAL if last.additive else POWER
    control = POWER if wanted == EXPONENTIAL else EXPONENTIAL
    named = f"the ladder {f'of {label} ' if label else ''}does not rise in its"
    if not (np.diff(scales[EXPONENTIAL]) > 0).all():
        raise InvalidInput(f"{named} barrier over the noise: let that grow")
    if wanted == POWER and not widens:
        raise InvalidInput(f"{named} radius, of which times are to be a power: let that grow")
    predicted, said = _predicted(descents, scales[EXPONENTIAL])
    notes += said
    residuals = [_residual(scales[family], times) for family in (wanted, control)]
    ratio = residuals[1] / max(residuals[0], 1e-300)
    family = wanted if ratio >= APART else control if ratio <= 1 / APART else "undecided"
    value, error = _exponent(wanted, scales[wanted], columns[2], times, descents)
    agrees = abs(value - predicted) <= max(error, CLOSE * abs(predicted))
    vague = agrees and error > LOOSE * abs(predicted)
    verdict = "undecided" if family == "undecided" or math.isnan(predicted) or vague else (
        "agrees" if family == wanted and agrees else "differs"
    )  # fmt: skip
    slopes = [np.r_[np.nan, np.diff(times) / np.diff(scales[each])] for each in (wanted, control)]
    return Climbed(
        label or last.label, np.vstack([columns, *slopes]), wanted, family, predicted,
        bool(said) and not math.isnan(predicted), value, error, residuals[0], residuals[1], verdict, notes,
    )  # fmt: skip


def _rate(descent: LandscapeDescent) -> tuple[float, float]:
    if isinstance(descent.landscape, WellLandscape):
        law = basin_law(descent)
        return law.rate, law.rate_error
    found = rate(descent, method="transfer")
    return found.rate, found.error


def _size(descent: LandscapeDescent) -> tuple[float, float]:
    """Barrier and radius of the basin: to the nearest wall, or to the saddle."""
    landscape = descent.landscape
    if isinstance(landscape, HarmonicWell):
        return float(landscape.barriers.min()), float(landscape.wall.min())
    if landscape.saddle is None:
        raise InvalidInput(f"{landscape.label} states no saddle, so that its barrier is not known: state one")
    return landscape.barrier, float(np.abs(landscape.saddle - landscape.minimum).max())


def _predicted(descents: Sequence[LandscapeDescent], scaled: np.ndarray) -> tuple[float, list[str]]:
    last = descents[-1]
    if last.additive:
        if last.law is not None:
            return math.nan, ["no exponent is predicted for noise of a law that is not Gaussian"]
        found = [exponent(descent) for descent in descents[-2:]]
        return float((found[1].exponent - found[0].exponent) / (scaled[-1] - scaled[-2])), []
    if last.momentum or not isinstance(last.noise, (LossNoise, MultiplicativeNoise)):
        return math.nan, ["no index is predicted: the linearised recurrence is known for MultiplicativeNoise and "
                          "LossNoise without momentum"]  # fmt: skip
    from scipy.stats import norm

    pull = last.step_size * float(last.hessian[0, 0])
    noise = last.noise
    sigma = noise.multiplicative if isinstance(noise, MultiplicativeNoise) else noise.batch_size**-0.5
    if not sigma:
        return math.nan, ["the noise has no multiplicative part, so that no index is predicted"]
    try:
        index = kesten_index(norm(1 - pull, pull * sigma)).index
    except SgdlimitsError as error:
        return math.nan, [f"no index is predicted: {error}"]
    if _harmonic(last):
        return index, []
    return index, ["the landscape is not harmonic up to the radius, so that the index of the recurrence linearised at "
                   "the minimum need not be the exponent"]  # fmt: skip


def _harmonic(descent: LandscapeDescent) -> bool:
    landscape, (_, radius) = descent.landscape, _size(descent)
    minimum = landscape.minimum
    away = radius * np.linspace(-1, 1, 21)[:, None]
    straight = away * float(descent.hessian[0, 0])
    return bool(np.abs(landscape.gradient(minimum + away) - straight).max() <= STRAIGHT * np.abs(straight).max())


def _residual(x: np.ndarray, times: np.ndarray) -> float:
    """Root mean square of log time beside a line."""
    columns = np.column_stack([x, np.ones_like(x)])
    return float(np.sqrt(np.mean((times - columns @ np.linalg.lstsq(columns, times, rcond=None)[0]) ** 2)))


def _exponent(
    family: str, x: np.ndarray, radius: np.ndarray, times: np.ndarray, descents: Sequence[LandscapeDescent]
) -> tuple[float, float]:
    """Slope at the end of the ladder without what else is known to grow, and its error (`_left`).

    Of an exponential, what stands before it: over a saddle by Kramers' formula, at walls by the stationary law's mass
    beyond. Of a power, a correction that falls like the inverse radius squared; of one below 2, whose correction falls
    more slowly, a constant beside it.
    """
    if family == EXPONENTIAL:
        slopes = np.diff(times + [_log_prefactor(each) for each in descents]) / np.diff(x)
        return float(slopes[-1]), _left(slopes)
    parts = [slice(first, first + 3) for first in range(len(x) - 2)]
    powers = np.array([_power(x[part], radius[part], times[part]) for part in parts])
    if powers[-1] < 2:
        low = np.array([_power_and_constant(x[part], times[part]) for part in parts])
        powers = low if np.isfinite(low).all() else powers
    return float(powers[-1]), _left(powers)


def _power(x: np.ndarray, radius: np.ndarray, times: np.ndarray) -> float:
    """Of three log times."""
    columns = np.column_stack([x, np.ones(3), (radius[-1] / radius) ** 2])
    return float(np.linalg.solve(columns, times)[0])


def _power_and_constant(x: np.ndarray, times: np.ndarray) -> float:
    """Power beside a constant through three log times over log radii; nan where none goes through."""
    from scipy.optimize import brentq

    early, late = np.expm1(times[1:] - times[0])
    first, last = x[1:] - x[0]

    def apart(power: float) -> float:
        return math.expm1(power * last) / math.expm1(power * first) - late / early

    try:
        return float(brentq(apart, 1e-6, 4.0))
    except ValueError:
        return math.nan


def _left(estimates: np.ndarray) -> float:
    """Error of the last of some estimates from rung to rung: what is left of a geometric series of their changes."""
    changes = np.abs(np.diff(estimates))
    if changes.size == 1:
        return float(max(FEW * changes[-1], 1e-9 * abs(estimates[-1])))
    share = min(changes[-1] / changes[-2], SLOWEST) if changes[-2] else 0.0
    left = changes[-1] * max(1.0, share / (1 - share))
    return float(max(SAFETY * left, 1e-9 * abs(estimates[-1])))


def _log_prefactor(descent: LandscapeDescent) -> float:
    """Logarithm of the rate over exp(-exponent)."""
    if descent.law is not None:
        return 0.0
    if isinstance(descent.landscape, HarmonicWell):
        return math.log(rate(descent, method="walls").rate) + exponent(descent).exponent
    try:
        return math.log(kramers(descent).prefactor)
    except InvalidInput:
        return 0.0

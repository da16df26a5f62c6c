"""The numbers of compare.time_scales, as arrays: times, their exponents and verdicts, what stands still."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..estimates import student_quantile
from ..fits import Fit, exponent
from ..rescaling import ROUNDING, VARIABLES
from ..standstill import is_frozen
from ..verdicts import judged
from .cases import Case, Measurement

BIAS_ORDERS = (1.0, 2.0)  # the leading bias of a time: O(step size) and O(noise level^2)
MEASURED = ("time_scale_index", "ladder", "step_size", "noise_level", "time", "time_error", "predicted", "steps")
# Exponents of the time in step size and noise level, by the regime of the limit; first those of other kinds.
PREDICTED = {
    "": (-1.0, 0.0), "non-degenerate": (-1.0, -2.0), "degenerate": (-2.0, -2.0), "trivial": (np.nan, np.nan),
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class TimeStatistics:
    """Over measurements, over (time scale, variable), and over time scales."""

    time_scale_index: np.ndarray
    ladder: np.ndarray
    step_size: np.ndarray
    noise_level: np.ndarray
    time: np.ndarray
    time_error: np.ndarray
    predicted: np.ndarray
    steps: np.ndarray
    exponent: np.ndarray
    exponent_error: np.ndarray
    bias: np.ndarray
    bias_error: np.ndarray
    exponent_predicted: np.ndarray
    verdict: np.ndarray
    kind: np.ndarray
    level: np.ndarray
    regime: np.ndarray
    displacement: np.ndarray
    displacement_order: np.ndarray
    motion: np.ndarray


def time_statistics(cases: Sequence[Case], tolerance: float, confidence: float, paths: int) -> TimeStatistics:
    """Everything that follows from what was measured, each time from so many `paths`."""
    shape = (len(cases), len(VARIABLES))
    names = ("exponent", "exponent_error", "bias", "bias_error", "exponent_predicted")
    table = {name: np.full(shape, np.nan) for name in names}
    still = {name: np.full(len(cases), np.nan) for name in ("displacement", "displacement_order", "motion")}
    verdict = np.full(shape, "", dtype=object)
    for index, case in enumerate(cases):
        for place, (variable, pairs) in enumerate(case.ladders.items()):
            fit = _exponent([pair[place] for pair in pairs], case.runs[variable], BIAS_ORDERS[place])
            if fit is None:
                continue
            row, predicted = (index, place), PREDICTED[case.regime][place]
            for name, value, error in zip(("exponent", "bias"), fit.coefficients[::2], fit.errors[::2]):
                table[name][row], table[f"{name}_error"][row] = value, error
            table["exponent_predicted"][row] = predicted
            quantile = student_quantile(confidence, _degrees(fit, case.runs[variable], paths))
            verdict[row] = judged(fit.coefficients[0], fit.errors[0], predicted, tolerance, quantile)
            if verdict[row] == "differs" and len(fit.coefficients) < 3:  # a bias that is not fitted does that too
                verdict[row] = "undecided"
        if case.regime == "trivial":
            numbers = _standstill(case)
            for name, value in zip(still, numbers):
                still[name][index] = value
            verdict[index, 0] = "trivial" if is_frozen(numbers[-1], case.size) else "moves"
    rows = [
        (index, variable, *pair, run.time, run.error, run.predicted, run.steps)
        for index, case in enumerate(cases)
        for variable, pairs in case.ladders.items()
        for pair, run in zip(pairs, case.runs[variable])
    ]
    columns: dict[str, Sequence[Any]] = dict(zip(MEASURED, zip(*rows)))
    columns |= {name: [getattr(case, name) for case in cases] for name in ("kind", "level", "regime")}
    kinds = {name: object if isinstance(column[0], str) else None for name, column in columns.items()}
    arrays = {name: np.array(column, dtype=kinds[name]) for name, column in columns.items()}
    return TimeStatistics(**arrays, **table, **still, verdict=verdict)


def _exponent(x: Sequence[float], runs: Sequence[Measurement], bias_order: float) -> Fit | None:
    """How the time scales with x; None where the level was not passed at every rung, or there is one rung."""
    times, errors = np.array([run.time for run in runs]), np.array([run.error for run in runs])
    return exponent(np.array(x), times, errors, bias_order) if np.isfinite(times).all() and len(runs) > 1 else None


def _degrees(fit: Fit, runs: Sequence[Measurement], paths: int) -> float:
    """Degrees of freedom of an exponent's error (Satterthwaite); infinite where the times are exact."""
    shares = np.array([(weight * run.error / run.time) ** 2 for weight, run in zip(fit.weights[0], runs)])
    squares = float(np.square(shares).sum())
    return (paths - 1) * float(shares.sum()) ** 2 / squares if squares > 0 else np.inf


def _standstill(case: Case) -> tuple[float, float, float]:
    """Largest displacement over the ladder, its order in the step size, largest motion.

    No order of what is rounding of positions.
    """
    runs, sizes = case.runs[VARIABLES[0]], np.array([size for size, _ in case.ladders[VARIABLES[0]]])
    moved, order = np.array([run.displacement for run in runs]), np.nan
    if len(runs) > 1 and (moved > ROUNDING * case.size).all():
        order = exponent(sizes, moved, np.zeros(len(moved))).coefficients[0]
    return moved.max(), order, max(run.motion for run in runs)

"""The numbers of compare.manifold, as arrays: both sides, the error and its parts, the spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from sgdlimits.diffusions.manifold.terms import BIASED

from ..fits import exponent
from ..floors import FALLS, Floor, floor_of
from ..rescaling import is_deterministic
from ..standstill import FROZEN
from .candidates import AGAINST, LATE, judged_against
from .error_expansion import expanded, fitting_columns, matrix_of
from .rungs import Rung
from .scales import MovedBy, changes_of

__all__ = ["AGAINST", "KINDS", "LATE", "ManifoldStatistics", "end_floor", "manifold_statistics", "spread_exponents"]

KINDS = ("normal", "tangential")


@dataclass(frozen=True, eq=False)
class ManifoldStatistics:
    """The arrays of a `Rung`, those over (step size, noise level) first, and what follows from them.

    error = estimate - limit. Over (part, observable): coefficient of the error at the last time. Over observables:
    reduced_chi2 of that fit, order in the step size, start and change of the limit, margin and verdict on what remains,
    floor at the end. Over (against, time, observable) and (against, observable): see `candidates.judged_against`. late:
    gap, band and margin of the last half where the limit stands still, motion the largest over the rungs. Over (kind,
    variable): exponents of the spread at the last time.
    """

    steps: np.ndarray
    estimate: np.ndarray
    estimate_error: np.ndarray
    limit: np.ndarray
    limit_error: np.ndarray
    mean_point: np.ndarray
    limit_point: np.ndarray
    spread: np.ndarray
    spread_error: np.ndarray
    error: np.ndarray
    error_error: np.ndarray
    start: np.ndarray
    change: np.ndarray
    margin: np.ndarray
    coefficient: np.ndarray
    coefficient_error: np.ndarray
    reduced_chi2: np.ndarray
    order: np.ndarray
    order_error: np.ndarray
    verdict: np.ndarray
    floor: np.ndarray
    against_gap: np.ndarray
    against_band: np.ndarray
    against_verdict: np.ndarray
    against_worst: np.ndarray
    against_paths: np.ndarray
    late: np.ndarray
    motion: np.ndarray
    spread_exponent: np.ndarray
    spread_exponent_error: np.ndarray
    spread_exponent_predicted: np.ndarray


def manifold_statistics(
    rungs: Sequence[Sequence[Rung]], sizes: np.ndarray, levels: np.ndarray, start: np.ndarray, noise: Any, limit: Any,
    tolerance: float, confidence: float, moved: MovedBy, transient: float, size: float,
) -> tuple[ManifoldStatistics, list[str]]:  # fmt: skip
    """Everything that follows from the rungs (step sizes, noise levels), and the names of the parts of the error.

    start (observables,) of the limit, what a displacement from there changes, `transient` the distance |w0 - Phi(w0)|,
    `size` of coordinates. The tolerance is relative to what the limit changes; where it stands still, to what a
    displacement as long as the transient would change, or as the distance from the set if that is more.
    """
    names = [f.name for f in fields(Rung) if f.name != "traces"]
    found = {name: np.array([[getattr(rung, name) for rung in row] for row in rungs]) for name in names}
    traces = [rung.traces for row in rungs for rung in row]
    error, error_error = found["estimate"] - found["limit"], np.hypot(found["estimate_error"], found["limit_error"])
    terms = fitting_columns(sizes, levels, error, error_error)
    columns = matrix_of(terms)
    flat = {name: found[name].reshape(-1, *found[name].shape[2:]) for name in ("estimate", "limit", "limit_error")}
    paths, trivial = len(traces[0].late), limit.regime == "trivial"
    if trivial:
        change = moved(max(transient, np.sqrt(traces[0].off_set), FROZEN * size))
    else:
        reach = np.linalg.norm(found["limit_point"] - found["limit_point"][:, :, :1], axis=-1).max()
        change = changes_of(flat["limit"], flat["limit_error"], start, paths, float(reach), moved)
    ends = [found[name][:, :, -1] for name in ("estimate", "estimate_error", "limit", "limit_error")]
    floors = [
        end_floor(
            *(end[:, :, i] for end in ends),
            start=float(start[i]), sizes=sizes, levels=levels, tolerance=tolerance, confidence=confidence, paths=paths,
        )
        for i in range(len(start))
    ]  # fmt: skip
    numbers = ManifoldStatistics(
        **found, error=error, error_error=error_error, start=start, change=change,
        floor=np.array(["" if floor is None else floor.verdict for floor in floors], dtype=object),
        motion=np.array(max(trace.motion for trace in traces)),
        **judged_against(
            columns, error.reshape(flat["limit"].shape), flat["estimate"], traces, start, change,
            trivial, tolerance, confidence,
        ),
        **expanded(
            columns, sizes, error[:, :, -1], error_error[:, :, -1], found["estimate"][:, :, -1],
            limit.regime in BIASED,
        ),
        **spread_exponents(sizes, levels, found["spread"][:, :, -1], found["spread_error"][:, :, -1], noise, limit),
    )  # fmt: skip
    return numbers, list(terms)


def end_floor(
    estimate: np.ndarray, estimate_error: np.ndarray, limit: np.ndarray, limit_error: np.ndarray, *, start: float,
    sizes: np.ndarray, levels: np.ndarray, tolerance: float, confidence: float, paths: int,
) -> Floor | None:  # fmt: skip
    """The verdict on the ratio at the end of a positive observable that falls far; None of another one.

    Arrays over (step sizes, noise levels). Its ladder runs down the step sizes at the largest noise level, then down
    the noise levels.
    """
    grid = [(i, 0) for i in range(len(sizes))] + [(len(sizes) - 1, j) for j in range(1, len(levels))]
    if len(grid) < 2 or not start > 0 or not (estimate > 0).all() or not ((limit > 0) & (limit < FALLS * start)).all():
        return None
    rows, columns = np.array(grid).T
    return floor_of(
        estimate[rows, columns], estimate_error[rows, columns], limit[rows, columns],
        {"step size": sizes[rows], "noise level": levels[columns]}, tolerance=tolerance, confidence=confidence,
        degrees=paths - 1, limit_error=limit_error[rows, columns],
    )  # fmt: skip


def spread_exponents(
    sizes: np.ndarray, levels: np.ndarray, spread: np.ndarray, error: np.ndarray, noise: Any, limit: Any
) -> dict[str, np.ndarray]:
    """Exponents (kind, variable) of a spread (step sizes, noise levels, kind), beside the error model's (derived).

    Across the set sqrt(step size) * noise level. Along it at most that, but without the noise level for Bernoulli
    masks, whose fourth moment is of the order of their variance, and of order one where the limit itself is random.
    """
    found = np.full((2, 2, 2), np.nan)
    predicted = np.array([[0.5, 1.0], [0.5, 1.0]])
    if any(getattr(part, "law", None) == "bernoulli" for part in noise.components):
        predicted[1, 1] = 0.0
    if not is_deterministic(limit):
        predicted[1] = 0.0
    for kind in range(2):
        ladders = (sizes, spread[:, 0, kind], error[:, 0, kind]), (levels, spread[0, :, kind], error[0, :, kind])
        for variable, (x, values, errors) in enumerate(ladders):
            if len(x) > 1 and (values > 0).all():
                slope = exponent(x, values, errors)
                found[:, kind, variable] = slope.coefficients[0], slope.errors[0]
    return {
        "spread_exponent": found[0],
        "spread_exponent_error": found[1],
        "spread_exponent_predicted": predicted,
    }

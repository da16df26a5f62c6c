"""A second rung for the rows whose limit is missed: half the noise, or half the step, over the same time of the limit.

What finite noise and a finite step do to a mechanism falls along it; what is wrong in a limit does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .tried import Candidate

LONGER = 4  # times as many steps: the limit's clock goes with the square of what is halved
Cell = tuple[Any, float, float, np.ndarray | None]  # mechanism, start, step size, points of the limit where known
Cells = Callable[[Sequence[Cell], np.ndarray, int], list[dict[str, Any]]]


def finer(
    noises: Mapping[str, Any], step_size: float, record: np.ndarray, found: Sequence[dict[str, Any]],
    own: Mapping[str, np.ndarray], starts: Sequence[float], candidates: Sequence[Candidate], run: Cells, paths: int,
    tolerance: float, confidence: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What is measured at half the noise level (half the step size in the degenerate regime), over (mechanism, start).

    Run for a row whose way along the set differs from its limit's, or whose test error falls by orders of magnitude
    and ends above it.

    Parameters
    ----------
    noises : mapping
        Mechanisms by name.
    step_size : float
    record : (T,) array
        Recorded steps of the rows.
    found : sequence of dicts
        The rows (mechanism, start) in order, each with test_error, its error and limit, regime.
    own : mapping of (mechanism, start, quantity) arrays
        Trials of a row's own limit.
    starts : sequence of float
    candidates : sequence of Candidate
        Each row's own limit.
    run : function
        Rows of cells at recorded steps, with so many paths.
    paths : int
    tolerance, confidence : float

    Returns
    -------
    dict of arrays
        finer_step_size, finer_noise_level, finer_gap, finer_band: of the displacement from the limit's, at the look
        where the row missed most, and half its interval; finer_test_error, finer_test_error_error at the end; floor:
        verdict on the ratio of the test error to its limit there, floor_sentence. nan and empty where nothing was run.
    """
    from sgdlimits.compare.estimates import mean_and_error, student_quantile

    count = len(found)
    out: dict[str, np.ndarray] = {
        f"finer_{name}": np.full(count, np.nan)
        for name in ("step_size", "noise_level", "gap", "band", "test_error", "test_error_error")
    }
    out |= {name: np.full(count, "", dtype=object) for name in ("floor", "floor_sentence")}
    names = [name for name in noises for _ in starts]
    missed = own["trial_verdict"][..., 0].reshape(-1) == "differs"
    again = [place for place, row in enumerate(found) if row["regime"] != "trivial" and (missed[place] or falls(row))]
    cells: list[Cell] = []
    levels = []
    for place in again:
        halved = found[place]["regime"] == "degenerate"
        mechanism = noises[names[place]]
        size, level = (step_size / 2, mechanism.sigma) if halved else (step_size, mechanism.sigma / 2)
        # The same limit at the same times of its clock.
        cells.append((replace(mechanism, sigma=level), starts[place % len(starts)], size, candidates[place].points))
        levels.append((size, level))
    for place, rung, (size, level) in zip(again, run(cells, LONGER * record, paths) if cells else (), levels):
        look = int(np.searchsorted(record, own["trial_step"].reshape(count, -1)[place, 0]))
        values, limit, _ = candidates[place].displacement(rung["phi"])
        mean, error = mean_and_error(values[:, look : look + 1])
        out["finer_step_size"][place], out["finer_noise_level"][place] = size, level
        out["finer_gap"][place] = mean[0] - limit[look]
        out["finer_band"][place] = student_quantile(confidence, paths - 1) * error[0]
        out["finer_test_error"][place], out["finer_test_error_error"][place] = (
            rung[name][-1] for name in ("test_error", "test_error_error")
        )
        if falls(found[place]):
            coarse = step_size, noises[names[place]].sigma
            floor = _floor(found[place], rung, coarse, (size, level), tolerance, confidence, paths)
            out["floor"][place], out["floor_sentence"][place] = floor.verdict, floor.sentence
    return out


def falls(row: Mapping[str, Any]) -> bool:
    """Whether the limit's test error ends orders of magnitude below its start."""
    from sgdlimits.compare.floors import FALLS

    limit = row["test_error_limit"]
    return bool(0 < limit[-1] < FALLS * limit[0])


def _floor(
    row: Mapping[str, Any], rung: Mapping[str, Any], coarse: tuple[float, float], finer_at: tuple[float, float],
    tolerance: float, confidence: float, paths: int,
) -> Any:  # fmt: skip
    """The verdict on the ratio of the test error to its limit at the end, from both rungs."""
    from sgdlimits.compare.floors import floor_of

    measured, error, limit = (
        np.array([row[name][-1], rung[name][-1]]) for name in ("test_error", "test_error_error", "test_error_limit")
    )
    ladders = dict(zip(("step size", "noise level"), np.array([coarse, finer_at]).T))
    return floor_of(
        measured, error, limit, ladders, tolerance=tolerance, confidence=confidence, degrees=paths - 1.0
    )

"""The verdict of compare.manifold, on the limit and on wrong ones that must fail: its controls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..rescaling import ROUNDING
from .remaining import remaining
from .traces import Traces

LIMIT, STILL, FAST, MOVES = "the limit", "a limit that stands still", "a limit twice as fast", "a limit that moves"
AGAINST = (LIMIT, STILL, FAST, MOVES)
LATE = ("gap", "band", "margin")  # of the last half of a run whose limit stands still


def judged_against(
    columns: np.ndarray, error: np.ndarray, estimate: np.ndarray, traces: Sequence[Traces], start: np.ndarray,
    scale: np.ndarray, trivial: bool, tolerance: float, confidence: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Verdicts (against, observables) at all times at once, their gaps and bands (against, time, observables).

    Against a trivial limit one more gap counts: the mean square displacement over the last half of the run, within the
    tolerance of the mean square distance from the set: what stands still does not leave its place by its own noise.

    Parameters
    ----------
    columns : (rungs, parts) array
        Of the expansion.
    error, estimate : (rungs, T, observables) arrays
        error = estimate - limit.
    traces : one for each rung
    start, scale : (observables,) arrays
        The observables where the limit starts, and what the tolerance is relative to.
    trivial : bool
        Whether the limit stands still.
    """
    shape, paths = error.shape, len(traces[0].late)
    late_margin = tolerance * traces[0].off_set if trivial else np.nan
    found: dict[str, Any] = {
        "against_gap": np.full((len(AGAINST), *shape[1:]), np.nan),
        "against_band": np.full((len(AGAINST), *shape[1:]), np.nan),
        "against_verdict": np.full((len(AGAINST), shape[2]), "", dtype=object),
        "against_worst": np.full((len(AGAINST), shape[2]), -1),
        "against_paths": np.full((len(AGAINST), shape[2]), np.nan),
        "late": np.full(len(LATE), np.nan),
    }
    fast = np.stack([trace.fast for trace in traces])
    compared = {LIMIT: error, MOVES if trivial else STILL: estimate - start - (scale if trivial else 0.0)}
    if not trivial and np.isfinite(fast).all():
        compared[FAST] = estimate - fast
    limit = estimate - error
    kept = (np.abs(limit - start).max(axis=(0, 1)) <= ROUNDING * (1 + np.abs(start))) & (not trivial)
    if kept.any():  # wrong limits that keep it too are none
        compared[MOVES] = estimate - start - scale
    for name, gaps in compared.items():
        row = AGAINST.index(name)
        for i in range(shape[2]):
            if name != LIMIT and not trivial and kept[i] != (name == MOVES):
                continue
            values, margin = gaps[:, :, i], np.full(shape[1], tolerance * scale[i])
            influences = [[trace.influence[:, :, i]] for trace in traces]
            if name == LIMIT:
                influences = [[*own, -trace.limit_influence[:, :, i]] for own, trace in zip(influences, traces)]
            if name == LIMIT and trivial:
                late = np.stack([trace.late for trace in traces])
                values, margin = np.column_stack([values, late.mean(axis=1)]), np.append(margin, late_margin)
                centred = (late - late.mean(axis=1, keepdims=True)) / np.sqrt(paths * (paths - 1))
                influences = [[np.column_stack([own[0], more])] for own, more in zip(influences, centred)]
            rest = remaining(columns, values, influences)
            judgement = rest.judged(margin, confidence, paths)
            found["against_gap"][row, :, i] = rest.gap[: shape[1]]
            found["against_band"][row, :, i] = judgement.half[: shape[1]]
            found["against_verdict"][row, i] = judgement.verdict
            found["against_worst"][row, i] = judgement.worst
            found["against_paths"][row, i] = judgement.paths
            if len(rest.gap) > shape[1]:
                found["late"] = np.array([rest.gap[-1], judgement.half[-1], late_margin])
    nothing = scale <= 0  # no motion changes the observable: there is nothing to be judged
    found["against_verdict"][0, nothing], found["against_paths"][0, nothing] = "undecided", np.inf
    return found | {"verdict": found["against_verdict"][0].copy(), "margin": tolerance * scale}

"""Numbers of compare.svag and compare.linear_scaling: risks of rungs, differences to the first, verdicts, an order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..estimates import heaviest_share
from ..verdicts import judged_throughout, verdicts_of

SPREAD = 1e-12  # of a mean: a smaller error is rounding
FITTED = 4  # rungs nearest to the limit, to which an order is fitted


@dataclass(frozen=True, eq=False)
class Rung:
    """A process of the ladder.

    Attributes
    ----------
    value : float
        l, or the factor.
    distance : float
        What tends to zero towards the diffusion: 1 / l, or the factor.
    process : process
    each : int
        Steps of the first rung for one of its own.
    way : float
        Part of the difference between the first rung and what is judged that this one shows, to leading order.
    """

    value: float
    distance: float
    process: Any
    each: int
    way: float = 1.0


@dataclass(frozen=True, eq=False)
class Measured:
    """Over rung and step, over rung, and over step, as in `MatchedNoise`."""

    risk: np.ndarray
    error: np.ndarray
    difference: np.ndarray
    half_width: np.ndarray
    relative: np.ndarray
    verdict: np.ndarray
    worst: np.ndarray
    worst_step: np.ndarray
    needed: np.ndarray
    heaviest: np.ndarray
    limit: np.ndarray
    slope: float
    slope_error: float
    slope_place: int


def measured(
    rungs: Sequence[Rung], curves: Sequence[np.ndarray], limit: np.ndarray | None, floor: float, tolerance: float,
    confidence: float,
) -> Measured:  # fmt: skip
    """From exact risks (S,), or risks of paths (P, S), of each rung."""
    sampled = curves[0].ndim == 2
    with np.errstate(invalid="ignore"):
        risks = np.array([curve.mean(axis=0) if sampled else curve for curve in curves])
        influences = [(curve - curve.mean(axis=0)) / len(curve) if sampled else curve[None] * 0 for curve in curves]
        errors = np.array([np.sqrt(np.square(influence).sum(axis=0)) for influence in influences])
        scale = risks[0] - floor
        margins = tolerance * scale * np.array([rung.way for rung in rungs])[:, None]
        gaps = risks - risks[0]
    halves, verdicts, needed = np.zeros_like(risks), [], []
    for gap, half, margin, influence in zip(gaps, halves, margins, influences):
        if not np.isfinite(gap).all():
            verdicts.append("differs" if np.isfinite(risks[0]).all() else "undecided")
            needed.append(math.nan)
            half[:] = np.inf
        elif not sampled:
            each = verdicts_of(gap, gap, margin)
            verdicts.append("differs" if (each == "differs").any() else "agrees")
            needed.append(math.nan)
        else:
            both = np.concatenate([influence, -influences[0]])
            judged = judged_throughout(gap, both, margin, confidence, paths=len(influence))
            half[:] = judged.half
            verdicts.append(judged.verdict)
            needed.append(judged.paths)
    verdicts[0], needed[0], halves[0] = "reference", math.nan, 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(gaps == 0, 0.0, gaps / scale)
    size = np.where(np.isnan(relative), np.inf, np.abs(relative))
    place = size.argmax(axis=1)
    place[0] = risks.shape[1] - 1
    moving = errors > SPREAD * np.abs(risks)
    heaviest = [float(heaviest_share(each).max(initial=0.0, where=mask)) for each, mask in zip(influences, moving)]
    slope = _order(rungs, risks, limit)
    return Measured(
        risks, errors, gaps, halves, relative, np.array(verdicts, dtype=object), size.max(axis=1), place,
        np.array(needed), np.array(heaviest), np.full(scale.shape, np.nan) if limit is None else limit, *slope,
    )  # fmt: skip


def _order(rungs: Sequence[Rung], risks: np.ndarray, limit: np.ndarray | None) -> tuple[float, float, int]:
    """Slope of log |risk - limit| in log distance with its standard error, at the step where SGD is farthest off.

    Over the rungs nearest to the limit; the error is that of a straight line, from what the curve departs from it.
    """
    if limit is None or len(rungs) < 3:
        return math.nan, math.nan, 0
    gaps = np.abs(risks - limit)
    place = int(np.argmax(np.where(np.isfinite(gaps[0]), gaps[0], -1.0)))
    near = np.argsort([rung.distance for rung in rungs])[:FITTED]
    x, y = np.array([rungs[row].distance for row in near]), gaps[near, place]
    if not (np.isfinite(y).all() and (y > 0).all()):
        return math.nan, math.nan, place
    x, y = np.log(x) - np.log(x).mean(), np.log(y)
    slope = float(x @ y / (x @ x))
    rest = y - y.mean() - slope * x
    return slope, math.sqrt(float(rest @ rest) / max(x.size - 2, 1) / float(x @ x)), place

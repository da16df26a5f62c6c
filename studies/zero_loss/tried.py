"""Every mechanism's limit tried against every measured mechanism: one verdict that must agree, the others controls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

QUANTITIES = ("displacement", "test error")
FROZEN = 1e-6  # of the transient: over the last half of a long run what relaxes moves far less, what drifts far more
NUMBERS = ("gap", "band", "margin", "change", "paths")


@dataclass(frozen=True, eq=False)
class Trial:
    """A limit against a measured mechanism, in one quantity, at all recorded steps together.

    Attributes
    ----------
    verdict : {"agrees", "differs", "undecided"}
    gap, band : float
        Measured minus limit where it is largest against the margin, and half the width of the simultaneous band there.
    margin, change : float
        The tolerance, and what it is relative to: the largest change of the limit, or the transient where it stands
        still.
    step : int
        Of that gap.
    paths : float
        About how many would decide; nan where it is decided.
    """

    verdict: str
    gap: float
    band: float
    margin: float
    change: float
    step: int
    paths: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A limit that is tried.

    Attributes
    ----------
    points : (T, m) array
        At the recorded steps.
    start : (m,) array
        Where the recurrence starts.
    still : bool
        Whether the limit stands still.
    relaxation : float
        Least rate a step at which the transient decays, to leading order in the step size.
    test_error : function of points (..., m) with values (...)
    """

    points: np.ndarray
    start: np.ndarray
    still: bool
    relaxation: float
    test_error: Callable[[np.ndarray], np.ndarray]

    def read(self, quantity: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Values (..., T) of a quantity at points (..., T, m), those of the limit (T,), and the scale of its change."""
        return self.displacement(points) if quantity == QUANTITIES[0] else self.errors(points)

    def displacement(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Values (..., T) along the limit's way at points (..., T, m), those of the limit (T,), and its change.

        Of a limit that stands still the squared distance from it, whose scale is that of the transient.
        """
        origin = self.points[0]
        if self.still:
            scale = float(np.square(self.start - origin).sum())
            return np.square(points - origin).sum(-1), np.zeros(len(self.points)), scale
        way = self.points[np.linalg.norm(self.points - origin, axis=1).argmax()] - origin
        length = float(np.linalg.norm(way))
        return (points - origin) @ way / length, (self.points - origin) @ way / length, length

    def errors(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """The same of the test error."""
        limit = self.test_error(self.points)
        reached = self.test_error(self.start) if self.still else limit
        return self.test_error(points), limit, float(np.abs(reached - limit[0]).max())


def tried(
    candidate: Candidate, points: np.ndarray, steps: np.ndarray, quantity: str, tolerance: float, confidence: float
) -> Trial:
    """The verdict on a limit from measured points (P, T, m) of the set at steps (T,), the first of which is 0."""
    from sgdlimits.compare.estimates import mean_and_influence
    from sgdlimits.compare.verdicts import judged_throughout

    values, limit, change = candidate.read(quantity, points)
    mean, influence = mean_and_influence(values[:, 1:])
    gaps, margin = mean - limit[1:], tolerance * change
    found = judged_throughout(gaps, influence, margin, confidence)
    verdict, at, paths = found.verdict, found.worst, found.paths
    if candidate.still and quantity == QUANTITIES[0] and verdict != "differs" and moves(candidate, points, steps):
        verdict, at, paths = "differs", len(gaps) - 1, np.nan
    return Trial(verdict, float(gaps[at]), float(found.half[at]), margin, change, int(steps[1 + at]), paths)


def moves(candidate: Candidate, points: np.ndarray, steps: np.ndarray) -> bool:
    """Whether any path (P, T, m) moves over the last half of the steps by more than what is left of the transient."""
    late = points[:, 2 * steps >= steps[-1]]
    transient = np.linalg.norm(candidate.start - candidate.points[0])
    left = max(FROZEN, float(np.exp(-candidate.relaxation * steps[-1] / 2)))
    return bool(np.abs(late - late[:, -1:]).max() > left * transient)


def only_moves(data: Any) -> Any:
    """Of which trials (as `trial_verdict`) the gap lies within the tolerance: it is the motion that differs."""
    near = np.abs(data["trial_gap"]) + data["trial_band"] <= data["trial_margin"]
    return (data["trial_verdict"] == "differs") & near


def trials(
    measured: Mapping[str, np.ndarray], limits: Mapping[str, Candidate], steps: np.ndarray, tolerance: float,
    confidence: float,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Every limit against every measured mechanism: arrays over (quantity, mechanism, tried).

    `trial_apart` is the largest distance of the mechanism's own limit from the tried one in the same quantity: what
    there is to be found.
    """
    shape = len(QUANTITIES), len(measured), len(limits)
    found: dict[str, Any] = {f"trial_{name}": np.empty(shape) for name in (*NUMBERS, "apart")}
    found |= {"trial_verdict": np.empty(shape, dtype=object), "trial_step": np.empty(shape, dtype=np.int64)}
    for i, quantity in enumerate(QUANTITIES):
        for j, (points, own) in enumerate(zip(measured.values(), limits.values())):
            for k, candidate in enumerate(limits.values()):
                trial = tried(candidate, points, steps, quantity, tolerance, confidence)
                values, limit, _ = candidate.read(quantity, own.points)
                found["trial_apart"][i, j, k] = np.abs(values - limit).max()
                for name in (*NUMBERS, "verdict", "step"):
                    found[f"trial_{name}"][i, j, k] = getattr(trial, name)
    return found


def rejected(data: Any, quantity: str = QUANTITIES[0], kept: bool = False) -> tuple[int, int]:
    """How many wrong limits are rejected from the first start, and how many there are.

    `kept`: among the rows alone that do not reject their own limit too.
    """
    verdicts = data["trial_verdict"].sel(quantity=quantity).isel(start=0).values
    wrong = ~np.eye(len(verdicts), dtype=bool)
    if kept:
        wrong &= (np.diag(verdicts) != "differs")[:, None]
    return int((verdicts[wrong] == "differs").sum()), int(wrong.sum())

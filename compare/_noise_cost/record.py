"""The arrays of a result, the same for exact and for measured curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from sgdlimits.exact.trade_off import Hyperbola, TradeOff, fit_hyperbola

CURVES = ("batch_size", "step")
REACHED, PASSING, NEVER, UNSTABLE = "reached", "reached in passing", "never reached", "unstable"
# choice of step sizes: step size, steps, their interval, floor, verdict, summary
Row = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, "Summary"]


@dataclass(frozen=True)
class Summary:
    """What all batch sizes together say, with intervals (low, high)."""

    trade_off: TradeOff
    least_samples: tuple[float, float]
    critical_batch_size: tuple[float, float]
    hyperbola: Hyperbola
    least_steps: tuple[float, float, float] = (math.nan, math.nan, math.nan)

    def with_least_steps(self, value: float, low: float, high: float) -> Summary:
        """Those of descent without noise."""
        return replace(self, least_steps=(value, low, high))

    def without_least_steps(self) -> Summary:
        """Where no curve is without noise."""
        return self.with_least_steps(math.nan, math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class Costed:
    """Over choice and batch size, and over choice."""

    step_size: np.ndarray
    steps: np.ndarray
    steps_low: np.ndarray
    steps_high: np.ndarray
    samples: np.ndarray
    floor: np.ndarray
    product: np.ndarray
    verdict: np.ndarray
    least_steps: np.ndarray
    least_steps_low: np.ndarray
    least_steps_high: np.ndarray
    least_samples: np.ndarray
    least_samples_low: np.ndarray
    least_samples_high: np.ndarray
    least_samples_at: np.ndarray
    least_samples_edge: np.ndarray
    critical_batch_size: np.ndarray
    critical_low: np.ndarray
    critical_high: np.ndarray
    fit_steps: np.ndarray
    fit_samples: np.ndarray
    fit_deviation: np.ndarray

    AXES: ClassVar[dict[tuple[str, ...], str]] = {
        ("choice", "batch_size"): "step_size steps steps_low steps_high samples floor product verdict",
        ("choice",): "least_steps least_steps_low least_steps_high least_samples least_samples_low least_samples_high "
        "least_samples_at least_samples_edge critical_batch_size critical_low critical_high fit_steps fit_samples "
        "fit_deviation",
    }


def costed(rows: Sequence[Row], sizes: np.ndarray) -> Costed:
    """One row a choice of step sizes."""
    step_size, steps, low, high, floor, verdict = (np.array([row[place] for row in rows]) for place in range(6))
    told = [row[6] for row in rows]
    samples = sizes * steps
    least_steps = np.array([each.least_steps for each in told])
    least = np.array([each.trade_off.least_samples for each in told])
    with np.errstate(invalid="ignore"):
        product = (steps / least_steps[:, :1] - 1) * (samples / least[:, None] - 1)
    ends_of_samples = np.array([each.least_samples for each in told])
    ends = np.array([each.critical_batch_size for each in told])
    return Costed(
        step_size, steps, low, high, samples, floor, np.where(np.isfinite(product), product, math.nan),
        verdict.astype(object), least_steps[:, 0], least_steps[:, 1], least_steps[:, 2], least,
        ends_of_samples[:, 0], ends_of_samples[:, 1], np.array([each.trade_off.least_samples_at for each in told]),
        np.array([each.trade_off.edge for each in told], dtype=object),
        np.array([each.trade_off.critical_batch_size for each in told]), ends[:, 0], ends[:, 1],
        np.array([each.hyperbola.steps for each in told]), np.array([each.hyperbola.samples for each in told]),
        np.array([each.hyperbola.deviation for each in told]),
    )  # fmt: skip


def fitted(sizes: np.ndarray, steps: np.ndarray) -> Hyperbola:
    """The hyperbola of the branch on which more samples buy fewer steps: from the least samples on."""
    with np.errstate(invalid="ignore"):
        samples = np.where(np.isfinite(sizes), sizes * steps, np.inf)
    first = int(np.argmin(samples))
    return fit_hyperbola(sizes[first:], steps[first:])


def reached_by(steps: np.ndarray, floor: np.ndarray, level: float) -> np.ndarray:
    """A verdict for each: below a floor a level may still be reached in passing, before noise has come up to it."""
    found = np.where(np.isfinite(steps), np.where(floor >= level, PASSING, REACHED), NEVER).astype(object)
    return np.where(np.isinf(floor), UNSTABLE, found)

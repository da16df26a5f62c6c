"""Scaling rules: (factor B, factor step size) and (factor B, sqrt(factor) step size) beside the base run, exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.level_passages import FIRST_STEPS, PER_DECADE, Curve, at_real_steps

from .costs import Costs

RULES = {"linear": 1.0, "square root": 0.5}  # powers of the factor on the step size
HALVINGS = 24  # of the interval in which a rule ceases to hold


@dataclass(frozen=True, eq=False)
class ScalingRule:
    """One rule on a ladder of batch sizes.

    Attributes
    ----------
    step_size, threshold, ratio : (B,) arrays
        At each batch size; `ratio` is the largest ratio of the two excess risks, at least 1, over equal samples; nan
        below the base and where not one step fits into the samples looked at.
    holds_up_to : float
        Batch size up to which the ratio stays within the tolerance; inf where it does to the last batch size of which
        a step fits.
    stable_up_to : float
        Batch size at which the scaled step size meets its mean-square threshold; inf if none.
    """

    step_size: np.ndarray
    threshold: np.ndarray
    ratio: np.ndarray
    holds_up_to: float
    stable_up_to: float


@dataclass(frozen=True, eq=False)
class Base:
    """The run from which is scaled, and the samples over which is compared."""

    costs: Costs
    batch_size: float
    step_size: float
    samples: float

    def ratio(self, curve: Curve, factor: float, power: float) -> float:
        """Largest ratio of the excess risks, either way, after equal samples, at every step of the scaled run that is
        looked at; the base run at real steps is interpolated.
        """
        last = math.floor(self.samples / (factor * self.batch_size) * (1 + 1e-12))
        if last < 1:
            return math.nan
        steps = steps_up_to(last)
        scaled = self.costs.curve(factor * self.batch_size, factor**power * self.step_size)(steps)
        with np.errstate(divide="ignore", over="ignore"):
            apart = np.abs(np.log(scaled) - np.log(at_real_steps(curve, factor * steps)))
            return float(np.exp(apart.max()))


def scaling_rule(base: Base, power: float, batch_sizes: np.ndarray, tolerance: float) -> ScalingRule:
    """One rule on these batch sizes; `tolerance` of the ratio - 1."""
    costs, factors = base.costs, batch_sizes / base.batch_size
    curve = costs.curve(base.batch_size, base.step_size)
    step_size = np.where(factors >= 1, factors**power * base.step_size, np.nan)
    threshold = np.array([costs.threshold(size) for size in batch_sizes.tolist()])
    ratio = np.array([base.ratio(curve, f, power) if f >= 1 else math.nan for f in factors.tolist()])

    def holds(factor: float) -> bool:
        return not base.ratio(curve, factor, power) > 1 + tolerance

    def stable(factor: float) -> bool:
        return factor**power * base.step_size < costs.threshold(factor * base.batch_size)

    most = base.samples / base.batch_size
    return ScalingRule(
        step_size, threshold, ratio, base.batch_size * _last(holds, most),
        base.batch_size * _last(stable, 2.0**40),
    )  # fmt: skip


def _last(allowed, most: float) -> float:
    """Factor up to which, from 1 on, something is allowed, by doubling and halving; inf if up to `most`."""
    low, high = 1.0, 2.0**0.5
    while allowed(min(high, most)):
        if high >= most:
            return math.inf
        low, high = high, high * 2.0**0.5
    high = min(high, most)
    for _ in range(HALVINGS):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if allowed(middle) else (low, middle)
    return low


def steps_up_to(last: int) -> np.ndarray:
    """Whole steps 1..last: the first ones each, then evenly in their logarithm."""
    if last <= FIRST_STEPS:
        return np.arange(1, last + 1)
    count = int(PER_DECADE * math.log10(last / FIRST_STEPS)) + 2
    spread = np.rint(np.geomspace(FIRST_STEPS, last, count)).astype(np.int64)
    return np.union1d(np.arange(1, FIRST_STEPS), spread)

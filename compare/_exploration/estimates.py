"""What paths show of residence and passage times and of shares of a well, with intervals, censored paths and all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.ensembles.summaries import clopper_pearson

from ..estimates import fieller, student_quantile
from .visits import Seen

UNLIKE = 1e-3  # probability by chance, below which times are not called exponential
QUANTITIES = ("residence", "passage", "reached", "visits", "time")
FEWEST = 8  # events from which a ratio has an interval by their scatter


@dataclass(frozen=True)
class Estimate:
    """A number with its interval; nan, with bounds, where the paths show no more.

    Attributes
    ----------
    value, lower, upper : float
    events : int
        Paths, or visits, that the number rests on.
    note : str
    """

    value: float
    lower: float
    upper: float
    events: int
    note: str = ""


def estimates(seen: Seen, steps: int, target: int, confidence: float) -> dict[str, Estimate]:
    """Of each quantity."""
    miss = 1 - confidence
    paths, hits = len(seen.left), int(np.isfinite(seen.reached).sum())
    low, high = clopper_pearson(hits, paths, miss)
    shares = seen.time[:, target] / steps
    return {
        "residence": mean_time(seen.left, steps, confidence, "left the well of the start"),
        "passage": mean_time(seen.reached, steps, confidence, "entered the target"),
        "reached": Estimate(hits / paths, low, high, hits),
        "visits": _ratio(seen.visits[:, target], seen.visits.sum(axis=1), miss),
        "time": _share(shares, hits, high, confidence),
    }


def mean_time(times: np.ndarray, steps: int, confidence: float, what: str) -> Estimate:
    """Mean of waiting times (P,), inf where the event had not come after so many steps.

    All seen: the sample mean. Some seen: total time over events, as of an exponential law, with the chi-squared
    interval, unless the times that were seen are unlike one; then only the mean up to the end bounds it from below.
    None seen: the rate is below -log(1 - confidence) over the total time, three over it at 95 %.
    """
    from scipy.stats import chi2, kstest

    miss, paths = 1 - confidence, len(times)
    came = np.sort(times[np.isfinite(times)])
    total, events = float(np.minimum(times, steps).sum()), came.size
    if not events:
        bound = total / -math.log(miss)
        return Estimate(
            math.nan, bound, math.inf, 0,
            f"no path of {paths} {what} in {steps} steps: at a constant rate, this is below {1 / bound:.2g} a step",
        )  # fmt: skip
    if events == paths:
        mean, error = float(came.mean()), float(came.std(ddof=1)) / math.sqrt(paths) if paths > 1 else math.inf
        half = student_quantile(confidence, max(paths - 1, 1)) * error
        return Estimate(mean, max(mean - half, 0.0), mean + half, events)
    rate = events / total
    whole = -math.expm1(-rate * steps)
    unlike = kstest(came, lambda t: -np.expm1(-rate * t) / whole).pvalue < UNLIKE
    if unlike:
        cut = np.minimum(times, steps)
        low = float(cut.mean()) - student_quantile(1 - 2 * miss, paths - 1) * float(cut.std(ddof=1)) / math.sqrt(paths)
        return Estimate(
            math.nan, low, math.inf, events,
            f"{events} of {paths} paths {what} in {steps} steps, at times unlike an exponential law: a lower bound",
        )  # fmt: skip
    low, high = 2 * total / chi2.ppf(1 - miss / 2, 2 * events + 2), 2 * total / chi2.ppf(miss / 2, 2 * events)
    return Estimate(
        1 / rate, float(low), float(high), events,
        f"{events} of {paths} paths {what} in {steps} steps: the mean as of an exponential law",
    )  # fmt: skip


def _ratio(above: np.ndarray, below: np.ndarray, miss: float) -> Estimate:
    """Share of visits: the ratio of means over independent paths."""
    count, events = int(above.sum()), int(below.sum())
    if not events:
        return Estimate(math.nan, 0.0, 1.0, 0, "no path changed its well")
    moved = int((below > 0).sum())
    if moved < FEWEST or not above.any() or (above == below).all():
        low, high = clopper_pearson(int((above > 0).sum()), moved, miss)
        return Estimate(count / events, low, high, events, f"the interval is that of the {moved} paths that moved")
    value, low, high = fieller(above, below, miss / 2)
    return Estimate(value, max(low, 0.0), min(high, 1.0), events)


def _share(shares: np.ndarray, hits: int, bound: float, confidence: float) -> Estimate:
    """Share of the time of a run: a mean over independent paths."""
    mean, paths = float(shares.mean()), len(shares)
    if hits < FEWEST:
        return Estimate(mean, 0.0, bound, hits, "few paths entered the target: bounded by the share of those that do")
    half = student_quantile(confidence, paths - 1) * float(shares.std(ddof=1)) / math.sqrt(paths)
    return Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0), hits)

"""What paths show of residence and passage times and of shares of a well, with intervals, censored paths and all."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.ensembles.summaries import clopper_pearson

from ..estimates import fieller, half_width
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


def estimates(seen: Seen, steps: int, target: int, confidence: float, next_door: bool = False) -> dict[str, Estimate]:
    """Of each quantity; `next_door`: there is but one well beside that of the start, and it is the target."""
    one_way = next_door and np.array_equal(seen.left, seen.reached)  # to leave was to enter the target
    miss = 1 - confidence
    paths, hits = len(seen.left), int(np.isfinite(seen.reached).sum())
    low, high = clopper_pearson(hits, paths, miss)
    shares = seen.time[:, target] / steps
    return {
        "residence": mean_time(seen.left, steps, confidence, "left the well of the start"),
        "passage": mean_time(seen.reached, steps, confidence, "entered the target", one_way),
        "reached": Estimate(hits / paths, low, high, hits),
        "visits": _ratio(seen.visits[:, target], seen.visits.sum(axis=1), miss),
        "time": _share(shares, hits, high, confidence),
    }


def times_of_wells(seen: Seen, steps: int, confidence: float) -> list[Estimate]:
    """Share of the time of the run in each well."""
    found = []
    for shares in seen.time.T / steps:
        held = int((shares > 0).sum())
        found.append(_share(shares, held, clopper_pearson(held, len(shares), 1 - confidence)[1], confidence))
    return found


def mean_time(times: np.ndarray, steps: int, confidence: float, what: str, settles: bool = True) -> Estimate:
    """Mean of waiting times (P,), inf where the event had not come after so many steps.

    All seen: the sample mean, its interval on the scale of logarithms. Else, if the rate `settles` to a constant - as
    that of leaving a well does, of paths that have stayed, and that of reaching another through further ones does not -
    the mean is that of what was seen in the first quarter of the run, and of an exponential law from there on
    (chi-squared interval; the two are put together by their squared halves), unless later times are unlike one. Where
    neither is known the mean up to the end bounds it from below, and where all came in the first quarter the share that
    stayed, at the largest rate that nobody's leaving allows. None seen: a settled rate is below
    -log(1 - confidence) over the total time, three over it at 95 %.
    """
    miss, paths = 1 - confidence, len(times)
    cut = np.minimum(times, steps)
    events = int(np.isfinite(times).sum())
    seen = f"{events} of {paths} paths {what} in {steps} steps"
    if not events and settles:
        bound = float(cut.sum()) / -math.log(miss)
        return Estimate(
            math.nan, bound, math.inf, 0,
            f"no path of {paths} {what} in {steps} steps: at a constant rate, this is below {1 / bound:.2g} a step",
        )  # fmt: skip
    if not events:
        return Estimate(
            math.nan, steps * miss ** (1 / paths), math.inf, 0,
            f"no path of {paths} {what} in {steps} steps: a lower bound, by the share that may do so",
        )
    if events == paths:
        mean = float(cut.mean())
        stretch = math.exp(float(half_width(cut, confidence)) / mean)
        return Estimate(mean, mean / stretch, mean * stretch, events)
    why = "from wells on the way, so that what is still to come is not known"
    if settles:
        found = _settled(times, steps, confidence)
        if found is not None:
            return Estimate(*found, events, f"{seen}: the mean as of an exponential law after {steps // 4} steps")
        why = "at times unlike an exponential law"
    low = float(cut.mean()) - float(half_width(cut, 1 - 2 * miss))
    low = max(low, steps * (1 - clopper_pearson(events, paths, 2 * miss)[1]))
    early = steps // 4
    if settles and not np.isfinite(times[times > early]).any():
        why = f"none after the first {early}"
        staying = int((times > early).sum())
        # Half of what may be missed for the share that stays, half for the rate at which it leaves.
        rest = staying * (steps - early) / -math.log(miss / 2)
        low = max(low, (early + rest) * (1 - clopper_pearson(paths - staying, paths, miss)[1]))
    return Estimate(math.nan, low, math.inf, events, f"{seen}, {why}: a lower bound")


def _settled(times: np.ndarray, steps: int, confidence: float) -> tuple[float, float, float] | None:
    """Mean and interval of times (P,) of which some were not seen, were rates constant after a quarter of the run."""
    from scipy.stats import chi2, kstest

    miss, paths, first = 1 - confidence, len(times), steps // 4
    late = times[times > first] - first
    came, total = late[np.isfinite(late)], float(np.minimum(late, steps - first).sum())
    if not came.size:
        return None
    rate = came.size / total
    whole = -math.expm1(-rate * (steps - first))
    if kstest(came, lambda t: -np.expm1(-rate * t) / whole).pvalue < UNLIKE:
        return None
    stays, rest = late.size / paths, total / came.size
    scale = np.minimum(times, first) + rest * (times > first)
    half = float(half_width(scale, confidence))
    low = 2 * total / chi2.ppf(1 - miss / 2, 2 * came.size + 2)
    high = 2 * total / chi2.ppf(miss / 2, 2 * came.size)
    value = float(scale.mean())
    below, above = math.hypot(half, stays * (rest - low)), math.hypot(half, stays * (high - rest))
    return value, max(value - below, 0.0), value + above


def _ratio(above: np.ndarray, below: np.ndarray, miss: float) -> Estimate:
    """Share of visits: the ratio of means over independent paths."""
    count, events = int(above.sum()), int(below.sum())
    if not events:
        return Estimate(math.nan, 0.0, 1.0, 0, "no path changed its well")
    moved = int((below > 0).sum())
    if moved < FEWEST or not above.any() or (above == below).all():
        low, high = clopper_pearson(int((above > 0).sum()), moved, miss)
        return Estimate(count / events, low, high, events, f"the interval is that of paths that moved: {moved}")
    value, low, high = fieller(above, below, miss / 2)
    return Estimate(value, max(low, 0.0), min(high, 1.0), events)


def _share(shares: np.ndarray, hits: int, bound: float, confidence: float) -> Estimate:
    """Share of the time of a run: a mean over independent paths."""
    mean = float(shares.mean())
    if hits < FEWEST:
        return Estimate(mean, 0.0, bound, hits, "few paths entered the target: bounded by the share of those that do")
    half = float(half_width(shares, confidence))
    return Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0), hits)

"""Steps against samples: least samples, critical batch size, and the hyperbola that is usually fitted. Derived.

T(B) steps of batch size B reach a level, which costs S(B) = B T(B) samples. T does not rise with B where noise only
adds to the risk, so that T(inf) is the least; S(B) >= B T(inf), so that no batch size above 2 S_least / T(inf) reaches
the level with twice the least samples, and the critical one lies below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .bounded_search import least_between

TWICE = 2.0  # times the least samples, at the critical batch size
ROOT = 1e-7  # of the logarithm of a batch size


@dataclass(frozen=True)
class TradeOff:
    """What steps and samples say together.

    Attributes
    ----------
    least_samples, least_samples_at : float
        The least B T(B) over the batch sizes looked at, and where; inf and nan where none reaches the level.
    edge : str
        "lowest" or "highest" where that is the smallest or largest batch size looked at; else empty.
    critical_batch_size : float
        The largest batch size that reaches the level with at most twice the least samples; inf where the largest one
        looked at still does.
    """

    least_samples: float
    least_samples_at: float
    edge: str
    critical_batch_size: float


def trade_off(
    steps_of: Callable[[float], float], batch_sizes: Sequence[float], least_steps: float | None = None,
    tolerance: float = 1e-3,
) -> TradeOff:  # fmt: skip
    """Least samples and critical batch size.

    Parameters
    ----------
    steps_of : callable
        Steps to the level at a real batch size; inf where it is never reached.
    batch_sizes : sequence
        Rising, finite; between them S is taken to have one valley at most.
    least_steps : float, optional
        T(inf), where steps are known beyond the largest batch size too: the search then ends at 2 S_least / T(inf).
    tolerance : float
        Relative, of where the least samples are.
    """
    samples = {float(size): size * steps_of(float(size)) for size in batch_sizes}
    least = least_between(lambda size: size * steps_of(size), samples, tolerance)
    if not math.isfinite(least.value):
        return TradeOff(math.inf, math.nan, "", math.nan)
    level = TWICE * least.value
    samples[least.place] = least.value
    if samples[max(samples)] <= level and least_steps is not None:
        end = max(level / least_steps, max(samples)) * (1 + ROOT)
        samples[end] = end * steps_of(end)
    critical = largest_within(lambda size: size * steps_of(size), samples, level)
    return TradeOff(least.value, least.place, least.edge, critical)


def largest_within(
    samples_of: Callable[[float], float], samples: dict[float, float], level: float, last: bool = False
) -> float:
    """The largest batch size whose samples are at most the level: between known ones by a root of `samples_of`.

    inf where the largest known one's are. Before a batch size that never arrives it is the one below, or with `last`
    that one itself; nan where none's are.
    """
    from scipy.optimize import brentq

    sizes = sorted(samples)
    within = [place for place, size in enumerate(sizes) if samples[size] <= level]
    if not within:
        return math.nan
    if within[-1] == len(sizes) - 1:
        return math.inf
    low, high = sizes[within[-1]], sizes[within[-1] + 1]
    if not math.isfinite(samples[high]):
        return high if last else low

    def excess(logarithm: float) -> float:
        return math.log(samples_of(math.exp(logarithm)) / level)

    ends = math.log(low), math.log(high)
    if not excess(ends[0]) < 0 < excess(ends[1]):
        return low if samples[low] == level else high  # rounding at an end
    return math.exp(brentq(excess, *ends, xtol=ROOT))


@dataclass(frozen=True)
class Hyperbola:
    """(T / steps - 1) (S / samples - 1) = 1, fitted.

    Attributes
    ----------
    steps, samples : float
        Least steps and least samples of the fit, so that T = steps + samples / B.
    deviation : float
        Largest |T of the fit / T - 1| over the points.
    points : int
    """

    steps: float
    samples: float
    deviation: float
    points: int


def fit_hyperbola(batch_sizes: np.ndarray, steps: np.ndarray) -> Hyperbola:
    """By least squares of the relative errors of T, neither number below zero; nan from fewer than 3 points."""
    from scipy.optimize import nnls

    use = np.isfinite(steps) & (steps > 0) & np.isfinite(batch_sizes)
    if use.sum() < 3:
        return Hyperbola(math.nan, math.nan, math.nan, int(use.sum()))
    sizes, steps = batch_sizes[use], steps[use]
    columns = np.column_stack([1 / steps, 1 / (sizes * steps)])
    scale = np.linalg.norm(columns, axis=0)
    found = nnls(columns / scale, np.ones(len(steps)))[0] / scale
    return Hyperbola(float(found[0]), float(found[1]), float(np.abs(columns @ found - 1).max()), int(use.sum()))

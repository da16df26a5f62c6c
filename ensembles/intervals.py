"""The interval of a mean from what was seen of a sample, and whether the sample is enough for it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import ndtri, stdtrit

from .summaries import Summary, clopper_pearson, upper_frequency

COCHRAN = 25.0  # n / skewness^2 from which a two-sided interval at 95 % is right to about one in a hundred
SURE, SURE_FROM = 2.5, 50  # errors by which the index of so many largest values lies below 2 before a run is refused


@dataclass(frozen=True)
class Interval:
    """An estimate of a mean with its interval.

    Attributes
    ----------
    value, low, high : float
    standard_error : float
        Of an indicator: half the interval in units of the normal quantile, never zero.
    method : str
        "Clopper-Pearson" or "normal".
    """

    value: float
    low: float
    high: float
    standard_error: float
    method: str

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


def enough(seen: Summary, rule: float = COCHRAN) -> bool:
    """Whether n is at least `rule` times the squared skewness (Cochran, Sampling Techniques, 2.15) and the kurtosis,
    and the tail not heavy.

    Kurtosis over n is how few values would give the same sum of squares; of a law of infinite variance and tail index
    a it does not fall with n, its expectation is 1 - a / 2.
    """
    return seen.count >= rule * shape_of(seen) and not heavy(seen)


def heavy(seen: Summary) -> bool:
    """Whether the largest values fall like those of an infinite variance, as far out as can be seen."""
    index = seen.tail_index()
    return index is not None and index[0] <= 2 and not seen.ends_further_out()


def surely_heavy(seen: Summary) -> bool:
    """Whether they do so by more than the error of the index, and the tail does not look lighter further out."""
    index = seen.tail_index()
    sure = index is not None and index[0] + SURE * index[1] < 2 and index[0] >= math.sqrt(SURE_FROM) * index[1]
    return sure and not seen.lighter_further_out()


def shape_of(seen: Summary) -> float:
    """Squared skewness or kurtosis, whichever is larger."""
    return max(seen.skewness**2, seen.excess)


def mean_interval(seen: Summary, miss: float, pair: tuple[float, float] | None = None) -> Interval:
    """Interval of a mean that errs with probability `miss`: exact for an indicator with values `pair`."""
    if pair is not None:
        low, high = pair
        hits = seen.hits(high)
        a, b = clopper_pearson(hits, seen.count, miss)
        quantile = float(ndtri(1 - miss / 2))
        return Interval(
            low + (high - low) * hits / seen.count, low + (high - low) * a, low + (high - low) * b,
            (high - low) * (b - a) / 2 / quantile, "Clopper-Pearson",
        )  # fmt: skip
    error = math.sqrt(bounded_variance(seen) / seen.count)
    reach = float(stdtrit(max(seen.count - 1, 1), 1 - miss / 2)) * error
    return Interval(seen.mean, seen.mean - reach, seen.mean + reach, error, "normal")


def bounded_variance(seen: Summary, size: float = 0.0) -> float:
    """Sample variance times what the frequency of unusual values may have been underestimated by (97.5 %).

    Parameters
    ----------
    seen : Summary
    size : float
        Mean square of an unusual value's distance from the usual one, used where none, or only a few, were seen.
    """
    if not seen.away:
        return size * upper_frequency(0, seen.count)
    share = seen.away / seen.count
    variance = seen.variance if seen.away >= 8 else max(seen.variance, size * share)
    return variance * upper_frequency(seen.away, seen.count) / share

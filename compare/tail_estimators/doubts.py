"""What speaks against an estimate: values that come in clusters, and tails in which no power law is seen.

Hill's form gives a number for every sample; the moment estimate says where it is none.
"""

from __future__ import annotations

import math

import numpy as np

from sgdlimits.compare.estimates import normal_quantile

from sgdlimits.exact.errors import flag

from .result import TailEstimate
from .samples import Tail
from .second_order import usual_count

LEVEL = 1e-3  # of each test for clusters, so that independent samples are warned of in at most 0.2 %
PER_BLOCK = 5  # expected exceedances of a block
LIGHT = 0.99  # confidence with which a heavy tail is told from a light one, or there is no upper end
FEWEST = 50  # values from which the difference of two estimates is normal
APART = 0.998  # confidence with which Hill's estimate and the moment estimate must differ


def clustered(sizes: np.ndarray, threshold: float) -> tuple[str, ...]:
    """A warning where exceedances of the threshold cluster in the order of the sample, else nothing.

    Parameters
    ----------
    sizes : (n,) array
        In the order of the sample, which is time for a chain.
    threshold : float
    """
    places = np.flatnonzero(sizes > threshold)
    n, k = len(sizes), len(places)
    if k < 10 or n - k < 10:
        return ()
    dispersion, chance = block_dispersion(places, n)
    if runs_probability(places, n) >= LEVEL and chance >= LEVEL:
        return ()
    clusters = max(1, round(k * min(extremal_index(places), 1 / dispersion)))
    return (
        f"the sample is dependent: its {k} values above {threshold:.4g} come in about {clusters} clusters, and the "
        f"interval, made for independent samples, is about {math.sqrt(k / clusters):.2g} times too narrow: "
        "pass the ends of independent chains, or thin the chain",
    )


def clusters_of(tail: Tail, k: int) -> tuple[str, ...]:
    """The warning of `clustered` on the k largest; none of a sample that is known to be independent."""
    return () if tail.independent else clustered(tail.sizes, tail.threshold(k))


def clusters_in(values: np.ndarray, independent: bool) -> tuple[str, ...]:
    """The warning of `clustered` on the tenth of the values (n,) that is farthest from the median, or none."""
    if flag("independent", independent):
        return ()
    sizes = np.abs(values - np.median(values))
    return clustered(sizes, float(np.quantile(sizes, 0.9)))


def doubts_of_whole(values: np.ndarray, independent: bool = False) -> tuple[str, ...]:
    """Warnings of ties and of clusters, in a sample (n,) to which a whole law is fitted."""
    repeated = len(values) - len(np.unique(values))
    ties = (
        f"{repeated} of the {len(values)} values repeat another: the sample is rounded, or a chain stood still, and a "
        "law with a density is rejected or bent by that alone",
    )
    return (ties if repeated > len(values) / 20 else ()) + clusters_in(values, independent)


def beside_fit(survival: np.ndarray) -> float:
    """How far the tail of a sample is from that of its fitted law, in standard errors: above zero if heavier.

    Parameters
    ----------
    survival : (k + 1,) array
        Of the fitted law at the k + 1 largest sizes, rising. Logarithms of the last over the others have mean one.
    """
    ratios = np.log(survival[-1]) - np.log(np.maximum(survival[:-1], np.finfo(float).tiny))
    return float((ratios.mean() - 1) * math.sqrt(len(ratios)))


def runs_probability(places: np.ndarray, n: int) -> float:
    """P(as few runs of exceedances, or fewer), given their number k: exact for exchangeable samples."""
    from scipy.special import gammaln

    def log_choose(many: int, few: np.ndarray | int) -> np.ndarray:
        return gammaln(many + 1) - gammaln(np.asarray(few) + 1) - gammaln(many - np.asarray(few) + 1)

    k = len(places)
    runs = np.arange(1, 2 + int(np.count_nonzero(np.diff(places) > 1)))
    # Wald and Wolfowitz (1940): each number of runs c has C(k-1, c-1) C(n-k+1, c) / C(n, k).
    return float(np.exp(log_choose(k - 1, runs - 1) + log_choose(n - k + 1, runs) - log_choose(n, k)).sum())


def block_dispersion(places: np.ndarray, n: int) -> tuple[float, float]:
    """Variance over mean of counts of exceedances in blocks that expect five, and P(as much or more): chi-square."""
    from scipy.special import chdtrc

    k = len(places)
    blocks = max(2, k // PER_BLOCK)
    counts = np.bincount(places * blocks // n, minlength=blocks)
    widths = np.bincount(np.arange(n) * blocks // n, minlength=blocks)
    expected = k * widths / n
    # Given k, cells without replacement vary less by the factor (n - k) / (n - 1).
    statistic = float((np.square(counts - expected) / expected).sum()) * (n - 1) / (n - k)
    return max(1.0, statistic / (blocks - 1)), float(chdtrc(blocks - 1, statistic))


def extremal_index(places: np.ndarray) -> float:
    """Clusters per exceedance, in (0, 1], by the intervals estimator of Ferro and Segers (2003), their equation 10."""
    gaps = np.diff(places).astype(float)
    if not len(gaps):
        return 1.0
    if gaps.max() <= 2:
        found = 2 * gaps.sum() ** 2 / (len(gaps) * np.square(gaps).sum())
    else:
        found = 2 * (gaps - 1).sum() ** 2 / (len(gaps) * ((gaps - 1) * (gaps - 2)).sum())
    return float(min(1.0, found))


def moment_shape(above: np.ndarray) -> tuple[float, float]:
    """xi and its standard error from log-excesses (k,)."""
    k = len(above)
    first, second = float(above.mean()), float(np.square(above).mean())
    rest = 1 - first**2 / second
    xi = first + 1 - 0.5 / rest if rest > 0 else -math.inf
    if xi >= 0:
        return xi, math.sqrt((1 + xi**2) / k)
    xi = max(xi, -1e3)
    a, b = 1 - 2 * xi, 1 - 3 * xi
    variance = (1 - xi) ** 2 * a * (4 - 8 * a / b + (5 - 11 * xi) * a / (b * (1 - 4 * xi)))
    return xi, math.sqrt(variance / k)


def no_pure_power(above: np.ndarray) -> tuple[str, ...]:
    """A warning where Hill's estimate from log-excesses (k,) and the moment estimate are not one.

    Their difference is a normal variable of variance 1 / k for a pure power. What parts them is a tail that has not
    settled at this k, a shift of the origin, or a lighter tail; small biases are not seen.
    """
    if len(above) < FEWEST:
        return ()
    first, (shape, _) = float(above.mean()), moment_shape(above)
    apart = (shape - first) * math.sqrt(len(above))
    if abs(apart) <= normal_quantile(APART):
        return ()
    return (
        f"no pure power is seen in the {len(above)} largest: Hill's 1 / index {first:.3g} and the moment estimate's "
        f"{shape:.3g} differ by {abs(apart):.1f} standard errors, and the interval knows nothing of it: take a smaller "
        "k, corrected_hill, or another origin",
    )


def judged(
    tail: Tail, index: float, lower: float, upper: float, confidence: float, k: int, method: str,
    warnings: tuple[str, ...], details: dict[str, float] | None = None,
) -> TailEstimate:
    """An estimate from the k largest, with what origin, ties, clusters and the moment estimate say against it.

    Whether a tail is lighter than every power is asked of more values than k, where there are more. Where the index is
    then infinite, `details` keep as `unjudged` what it was.
    """
    before = index
    reach = max(k, usual_count(tail.n, tail.most))
    shape, error = moment_shape(tail.logs[:reach] - tail.logs[reach])
    half = normal_quantile(LIGHT) * error
    seen = f"the moment estimate's shape {shape:.3g} +- {half:.2g} of the {reach} largest"
    if shape + half < 0:
        index = upper = math.inf
        warnings += (f"no power law is seen: {seen} is that of a lighter tail",)
    elif shape - half <= 0:
        upper = math.inf
        beyond = shape <= 0 or index >= 1 / half
        index = math.inf if beyond else index
        warnings += (
            f"{'the index is' if beyond else 'where its interval ends is'} beyond what this "
            f"sample shows, {1 / half:.3g} at most: {seen} does not exclude zero, a tail lighter than every power",
        )
    elif upper == math.inf:
        warnings += ("the interval has no upper end: a tail lighter than every power fits too",)
    warnings = tail.tied(k) + clusters_of(tail, k) + warnings + tail.located
    details = {"threshold": tail.threshold(k), "origin": tail.origin, **(details or {})}
    if index != before:
        details["unjudged"] = before
    return TailEstimate(index, lower, upper, confidence, k, method, tail.n, warnings, details)

"""The lognormal law as a rival of the power law above a threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.exact.errors import finite_array

from .doubts import clustered
from .samples import count_of, tail_of

FEWEST_CLUSTERS = 10  # from which the variance between them says something
UNSEEN = 0.1  # p-value above which a lognormal tail is not told from a power law
DOUBLED = 1.0  # growth of the index over the values seen, over itself, which a power law must exclude
ONE_SIDED = 1.6449  # normal quantile of 95 %
STRAIGHT = 1e3  # mean of the logarithm below the threshold, in standard deviations, from which it is a power law


@dataclass(frozen=True)
class LognormalComparison:
    """Pareto and lognormal laws, fitted by maximum likelihood above one threshold.

    A Pareto law is the limit of lognormal tails as sigma grows, so that the lognormal never fits worse: no sample
    proves a power law against it. "power law" says that no curvature is seen, and that one is excluded which doubles
    the index from the threshold to the largest value; few values see neither, and leave it "undecided".

    Attributes
    ----------
    index : float
        Of the Pareto law's survival function, P(|X| > t) ~ t^-index.
    mu, sigma : float
        Of log |X|, before it is cut at the threshold; -inf and inf where the Pareto law is the best of them.
    log_ratio : float
        Log-likelihood of the Pareto law less that of the lognormal, at most 0.
    vuong, vuong_p : float
        The ratio in its standard errors, and the two-sided p-value of Vuong (1989).
    nested_p : float
        p-value of the likelihood-ratio test of sigma = inf, which is the stronger test of the two.
    bend : float
        By how much of itself the index grows at most from the threshold to the largest value: the upper end at 95 %, by
        the score of curvature. Derived.
    preferred : str
        "lognormal" where both p-values are below 0.1, "either" where the nested test alone is, else "power law" where
        `bend` is below 1, "undecided" where it is not.
    warnings : tuple of str
        Sentences that say why not to trust the p-values: they are made for independent values without ties.
    """

    k: int
    threshold: float
    index: float
    mu: float
    sigma: float
    log_ratio: float
    vuong: float
    vuong_p: float
    nested_p: float
    bend: float
    warnings: tuple[str, ...] = ()

    @property
    def preferred(self) -> str:
        """The law that the values above the threshold speak for."""
        if self.nested_p >= UNSEEN:
            return "power law" if self.bend < DOUBLED else "undecided"
        return "lognormal" if self.vuong_p < UNSEEN else "either"

    @property
    def sentence(self) -> str:
        """The finding in words."""
        numbers = f"(Vuong p = {self.vuong_p:.2g}, nested p = {self.nested_p:.2g})"
        return {
            "power law": f"the {self.k} largest show no curvature of a lognormal law {numbers}",
            "undecided": f"the {self.k} largest show no curvature, but are too few to exclude that of a lognormal law "
            f"whose index grows by a factor {1 + self.bend:.2g} over their range {numbers}",
            "lognormal": f"a lognormal law fits the {self.k} largest better than a power law {numbers}",
            "either": f"a lognormal law fits the {self.k} largest as well as a power law, or better {numbers}",
        }[self.preferred]


def against_lognormal(
    sample: Any, k: int | float = 0.05, *, side: str = "both", centre: str = "none", clusters: Any = None
) -> LognormalComparison:
    """Compare a Pareto law, P(|X| > t) ~ t^-index, with a lognormal one on the k largest values.

    Parameters
    ----------
    sample : (n,) array
        Independent values, in the order in which they came; clusters and ties are warned of.
    k : int or float
        A count, or a fraction of n below one.
    side : {"both", "right", "left"}
        |x|, x or -x.
    centre : {"none", "median", "auto"}
        As in `hill`.
    clusters : (n,) whole numbers, optional
        Values of one cluster may depend on each other in any way, those of different clusters are independent, weights
        of one run for example. Both statistics are then divided by the design effect of the score of curvature, at
        least 1 (after Rao and Scott 1984): the p-values are those of so many clusters, not of so many values.

    Returns
    -------
    LognormalComparison

    Raises
    ------
    InvalidInput
        If the sample shows nothing (too short, not finite, zeros, ties), or an argument cannot be used.
    """
    tail = tail_of(sample, side, centre)
    count = count_of(k, tail)
    above, effect = tail.above(count), 1.0
    warnings = tail.tied(count) + tail.located
    if clusters is None:
        warnings = clustered(tail.sizes, tail.threshold(count)) + warnings
    else:
        labels = finite_array("clusters", clusters, shape=(tail.n,))
        farthest = labels[np.argsort(-tail.sizes, kind="stable")[:count]]
        effect = design_effect(above, farthest)
        if np.unique(farthest).size < FEWEST_CLUSTERS:
            warnings += (
                f"the {count} largest come from {np.unique(farthest).size} clusters, too few to know how they vary: "
                "take a larger k, or more clusters",
            )
    return replace(compared(above, tail.threshold(count), effect), warnings=warnings)


def design_effect(above: np.ndarray, labels: np.ndarray) -> float:
    """How many times the variance of the score of curvature is that of independent values, at least 1.

    The score of a lognormal bend in an exponential law of log-excesses, freed of that of its scale, is z^2 - 4 z + 2
    with z the excess over its mean. Derived.
    """
    z = above / above.mean()
    score = z**2 - 4 * z + 2
    score -= score.mean()
    _, places = np.unique(labels, return_inverse=True)
    sums = np.bincount(places, weights=score)
    alone = float(np.square(score).sum())
    return max(1.0, float(np.square(sums).sum()) / alone) if alone > 0 else 1.0


def compared(above: np.ndarray, threshold: float, effect: float = 1.0) -> LognormalComparison:
    """Both laws of log-excesses (k,): densities exp(-y / gamma) / gamma, and exp(-a y - b y^2) over its integral.

    `effect`: how many values count as one independent value.
    """
    from scipy.special import erfcx, ndtr

    k = len(above)
    first, second = float(above.mean()), float(np.square(above).mean())
    cut = _cut(second / first**2)
    # The mean of the score z^2 - 4 z + 2 is -4 times the curvature in mean excesses, its variance 4 a value.
    curvature = (2 - second / first**2) / 4 + ONE_SIDED / 2 * math.sqrt(effect / k)
    bend = max(0.0, 2 * curvature * float(above.max()) / first)
    if cut == math.inf:
        return LognormalComparison(k, threshold, 1 / first, -math.inf, math.inf, 0.0, 0.0, 1.0, 1.0, bend)
    root = _mean(cut) / first
    a, b = 2 * cut * root, root**2
    log_integral = math.log(math.sqrt(math.pi) / (2 * root)) + math.log(erfcx(cut))
    ratios = (-above / first - math.log(first)) - (-a * above - b * np.square(above) - log_integral)
    total, spread = float(ratios.sum()), float(ratios.std())
    vuong = total / (math.sqrt(k * effect) * spread) if spread > 0 else 0.0
    # Half the mass of the test's law is at zero, because sigma = inf lies on the edge.
    nested_p = float(ndtr(-math.sqrt(max(0.0, -2 * total / effect))))
    mu = math.log(threshold) - a / (2 * b)
    return LognormalComparison(
        k, threshold, 1 / first, mu, 1 / math.sqrt(2 * b), total, vuong, float(2 * ndtr(-abs(vuong))), nested_p,
        bend,
    )  # fmt: skip


def _mean(cut: float) -> float:
    # Of exp(-y^2 - 2 cut y) on y > 0.
    from scipy.special import erfcx

    return 1 / (math.sqrt(math.pi) * erfcx(cut)) - cut


def _cut(ratio: float) -> float:
    # The cut at which E y^2 / (E y)^2 is this ratio: below 2, or there is no curvature; at least 1.
    from scipy.optimize import brentq

    def excess(cut: float) -> float:
        mean = _mean(cut)
        return (0.5 - cut * mean) / mean**2 - ratio

    if excess(STRAIGHT) <= 0:
        return math.inf
    lowest = -20.0
    return lowest if excess(lowest) >= 0 else float(brentq(excess, lowest, STRAIGHT, xtol=1e-12))

"""Indices of stable laws: McCulloch's quantiles, and the block estimator of the literature on SGD."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdlimits.compare.estimates import confidence_level, normal_quantile
from sgdlimits.exact.errors import InvalidInput, one_of, seed_number, whole_number

from .doubts import beside_fit, doubts_of_whole
from .result import TailEstimate
from .samples import FEWEST_ABOVE, whole_sample
from .stable_law import LEVELS, StableFit, fit_stable
from .stable_table import LEAST, MOST, index_of, ratios
from .student_fits import distance

RESAMPLES = 500
SUMS = (4, 16)  # values that are added up to see whether the law is stable
UNSTABLE = 0.995  # confidence with which it must be otherwise, of each
SUMS_LEFT = 20  # the fewest sums of blocks
BLOCK = 8  # of least variance, up to one percent, for a stable law
MISFIT = 1.8  # Kolmogorov-Smirnov distance times sqrt(n): quantiles fit less well than likelihoods
SHARE, LIGHTER, HEAVIER = 0.05, -3.0, 4.0  # largest values held against the fitted tail, and standard errors
ONE_SIDED = 0.9  # skewness from which a law of index below one is on one side
MISPLACED = 3.0  # standard errors between two centres, from which one is wrong
CENTRES = ("differences", "mean", "median", "none")


def stable_quantiles(
    sample: Any, *, confidence: float = 0.95, seed: int = 0, independent: bool = False
) -> TailEstimate:
    """McCulloch's index (1986) of a stable law from five quantiles; below 2 it is that of P(|X| > t) ~ t^-index.

    At 2 the law is normal and the index of its survival function infinite, which is what is returned there. An index
    below 0.5 is beyond the method and refused. For laws that are not stable the number describes the middle of the
    law, not its tail; sums of values then have another one, and a warning says so where the sample shows it.

    Parameters
    ----------
    sample : (n,) array
        Independent values, in the order in which they came.
    confidence : float
    seed : int
        Of the bootstrap that gives the interval.
    independent : bool
        Whether the values are known to be independent: clusters are then chance, and not looked for.

    Returns
    -------
    TailEstimate
        `details`: `location` and `scale` (of scipy's levy_stable), `skewness` (beta), `spread` and `leaning` (the two
        ratios of quantiles), `sums` (the spread of sums against that of values, in standard errors, near 0 for a stable
        law), `ks` and `tail` (distance to the stable law of these quantiles, and the tail beside its own in standard
        errors, above zero if heavier).

    Raises
    ------
    InvalidInput
        If the sample shows nothing (too short, not finite, zeros, ties) or an index below 0.5, or an argument cannot be
        used.
    """
    confidence, seed = confidence_level(confidence), seed_number(seed)
    values = whole_sample(sample)
    generator = np.random.Generator(np.random.Philox(seed))
    whole, drawn = _quantiles(values, generator)
    spread, leaning = (float(ratio) for ratio in ratios(whole))
    index, skewness = (float(found[0]) for found in index_of(np.array([spread]), np.array([leaning])))
    draws, _ = index_of(*ratios(drawn))
    lower, upper = np.quantile(draws, [(1 - confidence) / 2, (1 + confidence) / 2])
    if index <= LEAST:
        raise InvalidInput(
            f"the quantiles of the sample spread {spread:.3g} to 1, those of a stable law of index {LEAST:g} or less; "
            f"McCulloch's method sees indices from {LEAST:g} to {MOST:g}: use stable_blocks or corrected_hill"
        )
    apart = unlike_sums(values, generator)
    law, ks, tail = _beside_the_law(values)
    fit = _misfit(law, ks, tail, len(values)) if upper < MOST else ()
    details = {
        "location": law.location, "scale": law.scale, "skewness": skewness, "spread": spread, "leaning": leaning,
        "sums": apart, "ks": ks, "tail": tail,
    }  # fmt: skip
    warnings = doubts_of_whole(values, independent) + _seen(index, lower, upper, "quantiles") + _stable(apart) + fit
    return TailEstimate(
        _beyond(index), 0.0 if lower <= LEAST else float(lower), _beyond(upper), confidence, None,
        "stable, McCulloch's quantiles", len(values), warnings, details,
    )  # fmt: skip


def stable_blocks(
    sample: Any, block: int = BLOCK, *, centre: str = "differences", confidence: float = 0.95, seed: int = 0,
    independent: bool = False,
) -> TailEstimate:
    """Mohammadi's block estimate of the index of a stable law, that of P(|X| > t) ~ t^-index below 2.

    1 / index = (mean of log |sums of m values| - mean of log |values|) / log m, which is how papers on SGD measured
    its tails (Simsekli et al. 2019, Gurbuzbalaban et al. 2021). **Whatever the law, it tends to at most 2**: a number
    below 2 says nothing unless the law is known to be stable. At 2 and above the index is returned as infinite.

    Parameters
    ----------
    sample : (n,) array
        Independent values, in the order in which they came.
    block : int
        m, from 2 to n / 50 or so; 8 has the least variance.
    centre : {"differences", "mean", "median", "none"}
        How the location is taken out: by differences of neighbours, right for every stable law but half as many
        values; by the sample's mean, as in those papers; by the median, for symmetric laws; not at all. The mean's own
        error grows with the blocks' and is not in theirs (62 % of intervals held a true 1.2), so that the interval
        is widened to that of differences too.
    confidence : float
    seed : int
        Of the test whether the law is stable.
    independent : bool
        Whether the values are known to be independent: clusters are then chance, and not looked for.

    Returns
    -------
    TailEstimate
        `details`: `block`, `blocks` (their number), `sums`, `ks` and `tail` as for `stable_quantiles`.

    Raises
    ------
    InvalidInput
        If the sample shows nothing (too short, not finite, zeros, ties), or an argument cannot be used.
    """
    confidence, seed = confidence_level(confidence), seed_number(seed)
    one_of("centre", centre, CENTRES)
    values = whole_sample(sample)
    n = len(values)
    centred = _centred(values, centre)
    block, most = whole_number("block", block, 2), len(centred) // SUMS_LEFT
    if block > most:
        needed = SUMS_LEFT * block * (2 if centre == "differences" else 1)
        raise InvalidInput(
            f"block is {block}, for which {needed} values are needed, got {n}: pass more samples"
            + (f", or a block of at most {most}" if most > 1 else "")
        )
    if not centred.all():
        raise InvalidInput(
            f"{int((centred == 0).sum())} of the sample's {len(centred)} values are zero once centred "
            f"({centre}): the block estimate takes logarithms; pass samples that are not rounded, or another centre"
        )
    shape, error, blocks = _by_blocks(centred, block)
    half = normal_quantile(confidence) * error
    lower, upper = _ratio(shape + half), _ratio(shape - half)
    location: tuple[str, ...] = ()
    if centre != "differences":
        other, its_error = _without_location(values, block)
        location = _misplaced(shape, other, math.hypot(error, its_error), centre)
        if centre == "mean":
            half = normal_quantile(confidence) * its_error
            lower, upper = min(lower, _ratio(other + half)), max(upper, _ratio(other - half))
    apart = unlike_sums(centred, np.random.Generator(np.random.Philox(seed)))
    law, ks, tail = _beside_the_law(values)
    fit = _misfit(law, ks, tail, len(values)) if upper < MOST else ()
    details = {"block": float(block), "blocks": float(blocks), "sums": apart, "ks": ks, "tail": tail}
    warnings = doubts_of_whole(values, independent) + location + _seen(_ratio(shape), lower, upper, "blocks")
    warnings += _stable(apart) + fit
    return TailEstimate(
        _beyond(_ratio(shape)), lower, _beyond(upper), confidence, None, f"stable, blocks of {block}", n,
        warnings, details,
    )  # fmt: skip


def unlike_sums(values: np.ndarray, generator: np.random.Generator) -> float:
    """Log spread of sums of 4 or 16 values less that of values, in standard errors: the larger in size, 0 if stable."""
    found = 0.0
    spread, draws = _spreads(values, generator)
    for count in SUMS:
        sums = values[: len(values) // count * count].reshape(-1, count).sum(axis=1)
        if len(sums) < 50:
            break
        other, others = _spreads(sums, generator)
        apart = (other - spread) / math.hypot(float(draws.std()), float(others.std()))
        found = max(found, apart, key=abs)
    return found


def _spreads(values: np.ndarray, generator: np.random.Generator) -> tuple[float, np.ndarray]:
    whole, drawn = _quantiles(values, generator)
    return float(np.log(ratios(whole)[0])), np.log(ratios(drawn)[0])


def _quantiles(values: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    # The five quantiles (5,) and those of the bootstrap (resamples, 5).
    ordered = np.sort(values)
    n = len(ordered)

    def quantiles(levels: np.ndarray) -> np.ndarray:
        # McCulloch's convention: the i-th of n is the quantile at (2 i - 1) / (2 n).
        return np.interp(levels * n - 0.5, np.arange(n), ordered)

    # Uniform order statistics at the five levels: gaps between them are gamma variables over their sum.
    gaps = generator.standard_gamma(np.diff(np.r_[0.0, LEVELS, 1.0]) * (n + 1), (RESAMPLES, len(LEVELS) + 1))
    levels = gaps.cumsum(axis=1)
    whole, drawn = quantiles(LEVELS), quantiles(levels[:, :-1] / levels[:, -1:])
    if whole[3] <= whole[1] or (drawn[:, 3] <= drawn[:, 1]).any():
        raise InvalidInput(
            "half of the sample, or of its differences or sums, is one value: a law with a density needs values that "
            "differ"
        )
    return whole, drawn


def _centred(values: np.ndarray, centre: str) -> np.ndarray:
    if centre == "differences":
        half = len(values) // 2
        return values[: 2 * half : 2] - values[1 : 2 * half : 2]
    return values - {"mean": values.mean(), "median": np.median(values), "none": 0.0}[centre]


def _without_location(values: np.ndarray, block: int) -> tuple[float, float]:
    # 1 / index and its standard error by differences, of which no zero counts.
    differences = _centred(values, "differences")
    return _by_blocks(differences[differences != 0], block)[:2]


def _misplaced(shape: float, other: float, error: float, centre: str) -> tuple[str, ...]:
    if abs(shape - other) <= MISPLACED * error:
        return ()
    return (
        f"centre={centre!r} does not take the location out: 1 / index is {shape:.3g}, by differences {other:.3g}, "
        f"{abs(shape - other) / error:.1f} standard errors apart: take differences",
    )


def _by_blocks(centred: np.ndarray, block: int) -> tuple[float, float, int]:
    # 1 / index, its standard error, and the number of blocks.
    rows = centred[: len(centred) // block * block].reshape(-1, block)
    sums = np.abs(rows.sum(axis=1))
    each = (np.log(np.maximum(sums, np.finfo(float).tiny)) - np.log(np.abs(rows)).mean(axis=1)) / math.log(block)
    return float(each.mean()), float(each.std(ddof=1) / math.sqrt(len(each))), len(each)


def _ratio(shape: float) -> float:
    return 1 / shape if shape > 1 / MOST else MOST


def _beyond(index: float) -> float:
    return float(index) if index < MOST else math.inf


def _seen(index: float, lower: float, upper: float, means: str) -> tuple[str, ...]:
    if upper < MOST:
        return ()
    if index < MOST:
        return (f"an index above {lower:.3g} is not told from 2, the normal law's, whose tail has no power",)
    return (
        f"the {means} are those of a normal law or of one lighter than every stable law: this method sees indices "
        f"below {MOST:g} alone, and the tail may have any index above {min(lower, MOST):.3g}",
    )


def _stable(apart: float) -> tuple[str, ...]:
    if abs(apart) <= normal_quantile(UNSTABLE):
        return ()
    return (
        f"the law is not stable: quantiles of its sums spread otherwise, by {abs(apart):.1f} standard errors: "
        "the index describes the middle of the law, not its tail",
    )


def _beside_the_law(values: np.ndarray) -> tuple[StableFit, float, float]:
    """The stable law of the same quantiles, Kolmogorov-Smirnov distance to it, and its tail beside the sample's."""
    ordered = np.sort(values)
    found = fit_stable(ordered)
    middle = float(np.median(ordered))
    count = max(FEWEST_ABOVE, int(SHARE * len(values)))
    sizes = np.sort(np.abs(ordered - middle))[: -count - 2 : -1]
    return found, distance(found.below), beside_fit(found.outside(middle, sizes))


def _misfit(law: StableFit, ks: float, tail: float, n: int) -> tuple[str, ...]:
    found: tuple[str, ...] = ()
    one_sided = law.index < 1 and abs(law.skewness) > ONE_SIDED  # quantiles place the end of such a law badly
    if ks * math.sqrt(n) > MISFIT and not one_sided:
        found = (
            f"no stable law of these quantiles is that of the sample, Kolmogorov-Smirnov distance {ks:.3g} where "
            f"{MISFIT / math.sqrt(n):.3g} is usual at most: the index describes its middle, not its tail",
        )
    if not LIGHTER < tail < HEAVIER:
        found += (
            f"the tail of the sample is {'heavier' if tail > 0 else 'lighter'} than that of the stable law of its "
            f"quantiles, by {abs(tail):.1f} standard errors of the {100 * SHARE:g} % largest: the index describes its "
            "middle, not its tail",
        )
    return found

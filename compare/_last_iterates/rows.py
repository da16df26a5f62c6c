"""One estimator on one sample of a layer, with an interval that knows that weights of one run are not independent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .._tails.rows import NAMES
from ..estimates import jackknife_error, student_quantile
from ..tail_estimators import TailEstimate, against_lognormal
from ..tail_estimators.samples import FEWEST_ABOVE
from ..text_table import number
from .samples import NORM, Sample

TINY = 1e-9  # of 1 / index, below which an index is none
UNEVEN = 0.5  # of the effective number of weights were they alike, below which those far out are a few
SHARE, SHARE_OF_NORMS = 0.05, 0.1  # of the values, on which the lognormal alternative is judged; at least 10
FEW_RUNS = 20  # that the values above a threshold come from, below which their variation is hardly known
BELOW, ABOVE, UNDECIDED = "below 2", "above 2", "undecided"
Estimator = Callable[..., TailEstimate]


@dataclass(frozen=True)
class Row:
    """One estimate.

    Attributes
    ----------
    index, lower, upper : float
        nan where there is none. The interval is the hull of the jackknife over runs and of the estimator's own,
        stretched by how unevenly its far values fall on runs.
    alone_lower, alone_upper : float
        The estimator's own interval, for independent values.
    k, runs_above, weights_above : int
        Order statistics used, and from how many runs and weights they come: the effective number, one over the sum of
        squared shares. 0 where that means nothing.
    verdict : str
        Whether the index is below 2, where the variance is infinite: "below 2", "above 2", "undecided".
    """

    layer: str
    sample: str
    estimator: str
    method: str
    index: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    alone_lower: float = math.nan
    alone_upper: float = math.nan
    k: int = 0
    runs_above: int = 0
    weights_above: int = 0
    verdict: str = ""
    beside_exact: str = ""
    notes: tuple[str, ...] = ()


def row_of(
    layer: str, kind: str, name: str, estimator: Estimator, sample: Sample, groups: list[np.ndarray], level: float,
    exact: float,
) -> Row:  # fmt: skip
    """An estimate of a sample, its interval over runs; the jackknife leaves out one of `groups` of runs at a time."""
    options: dict[str, Any] = {"confidence": level, **(sample.options if kind == NORM else {})}
    try:
        found = estimator(sample.values, **options)
    except InvalidInput as error:
        return Row(layer, kind, name, _words(name), notes=(str(error),))
    lower, upper = found.lower, found.upper
    notes, runs, weights, effect = found.warnings, 0, 0, 1.0
    if found.k:
        farthest = _farthest(sample, kind, found.k)
        runs, weights = (effective_number(each[farthest]) for each in (sample.runs, sample.weights))
        effect = dispersion(np.bincount(sample.runs[farthest], minlength=int(sample.runs.max()) + 1))
    if kind != NORM:
        try:
            parts = [estimator(sample.without(group), **options) for group in groups]
        except InvalidInput as error:
            said = f"no interval over runs, as without some of them {error}"
            return Row(layer, kind, name, _words(name), notes=(said,))
        ends = shape_interval(found, parts, level), stretched(found, effect)
        lower, upper = min(low for low, _ in ends), max(high for _, high in ends)
        notes += _come_from(found.k or 0, runs, weights, int(np.unique(sample.weights).size))
    verdict = BELOW if upper < 2 else ABOVE if lower > 2 else UNDECIDED
    beside = "" if math.isnan(exact) else "covers" if lower <= exact <= upper else "misses"
    return Row(
        layer, kind, name, found.method, found.index, lower, upper, found.lower, found.upper, found.k or 0, runs,
        weights if kind != NORM else 0, verdict, beside, notes,
    )  # fmt: skip


def _words(name: str) -> str:
    return " ".join(NAMES.get(word, word) for word in name.split("_"))


def _farthest(sample: Sample, kind: str, k: int) -> np.ndarray:
    """Places of the k values that an estimator stands on."""
    apart = sample.values - np.median(sample.values)
    return np.argpartition(-(apart if kind == NORM else np.abs(apart)), k)[:k]


def _come_from(k: int, runs: int, weights: int, all_weights: int) -> tuple[str, ...]:
    """Warnings where the far values come from a few runs, or from a few of the weights."""
    if not k:
        return ()
    said: tuple[str, ...] = ()
    if runs < FEW_RUNS:
        said += (f"the {k} largest weights come from about {runs} runs: more runs, not more weights, would tell",)
    alike = 1 / (1 / all_weights + 1 / k)
    if weights < UNEVEN * alike:
        said += (
            f"the {k} largest come from about {weights} of {all_weights} weights, where weights alike would give about "
            f"{alike:.0f}: the laws of weights differ, and a mixture of them has a tail that none of them need have",
        )
    return said


def shape_interval(whole: TailEstimate, parts: list[TailEstimate], level: float) -> tuple[float, float]:
    """Interval of the index from estimates without one group of runs each: the jackknife of 1 / index.

    Runs are independent, so that nothing is asked of the weights of one. An estimate that was called infinite counts
    with the shape that it had: that of a light tail may be negative.
    """
    count, shapes = len(parts), np.array([raw_shape(part) for part in parts])
    half, middle = student_quantile(level, count - 1) * float(jackknife_error(shapes)), raw_shape(whole)
    open_end = math.isinf(whole.upper) or middle <= half
    return 1 / max(middle + half, TINY), math.inf if open_end else 1 / (middle - half)


def effective_number(labels: np.ndarray) -> int:
    """Of how many equally frequent labels the shares (k,) would have this sum of squares."""
    shares = np.unique(labels, return_counts=True)[1] / labels.size
    return round(1 / float(np.square(shares).sum()))


def dispersion(counts: np.ndarray) -> float:
    """Variance over mean of the far values of each run (R,), at least 1: 1 where they fall on runs by chance.

    It is the design effect of a mean over the far values whose excesses are the same within a run, at most that of
    others.
    """
    return max(1.0, float(counts.var(ddof=1) / counts.mean()))


def stretched(found: TailEstimate, effect: float) -> tuple[float, float]:
    """The estimator's own interval, as if `effect` values were one: of 1 / index, by the root of that."""
    shape, factor = raw_shape(found), math.sqrt(effect)
    high = shape + factor * max(1 / found.lower - shape, 0.0) if found.lower > 0 else math.inf
    low = -math.inf if math.isinf(found.upper) else shape - factor * max(shape - 1 / found.upper, 0.0)
    return 1 / max(high, TINY), 1 / low if low > TINY else math.inf


def raw_shape(found: TailEstimate) -> float:
    """1 / index before doubts called it infinite; of methods with a shape that one, which may be negative."""
    if "shape" in found.details:
        return found.details["shape"]
    index = found.details.get("unjudged", found.index)
    return 0.0 if math.isinf(index) else 1 / index


def lognormal_verdict(sample: Sample, kind: str) -> tuple[str, str]:
    """Which law the far values speak for, and the sentence."""
    try:
        options: dict[str, Any] = {"centre": "auto"} if kind != NORM else sample.options
        k = max(FEWEST_ABOVE, int((SHARE if kind != NORM else SHARE_OF_NORMS) * len(sample.values)))
        found = against_lognormal(sample.values, k, clusters=sample.runs, **options)
    except InvalidInput as error:
        return "none", str(error)
    said = "".join(f"; {text}" for text in found.warnings)
    return found.preferred, f"{found.sentence}{said}"


def groups_of(runs: int, most: int) -> list[np.ndarray]:
    """Runs 0 ... runs - 1 cut into at most so many groups of about one size."""
    return np.array_split(np.arange(runs), min(most, runs))


def interval_text(row: Row) -> str:
    """The interval as a table shows it."""
    if math.isnan(row.lower):
        return "–"
    upper = "infinite" if math.isinf(row.upper) else number(row.upper, 3)
    return f"[{number(row.lower, 3)}, {upper}]"

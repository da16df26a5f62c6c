"""Verdicts of the table: intervals against intervals, by one rule; what cannot be told is undecided, never a no."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from sgdlimits.compare._tails.rows import SLACK, Known, known_index
from sgdlimits.compare.tail_estimators import GoodnessOfFit, TailEstimate
from sgdlimits.exact.errors import InvalidInput, LongRun

Interval = tuple[float, float]
UNDECIDED = "undecided"


def within(inner: Interval, outer: Interval) -> bool | None:
    """Whether an interval lies in another: False where they are apart, None where only a part does or an end is nan."""
    if any(math.isnan(end) for end in (*inner, *outer)):
        return None
    low, high = outer[0] * (1 - SLACK), outer[1] * (1 + SLACK)
    if low <= inner[0] and inner[1] <= high:
        return True
    return False if inner[1] < low or high < inner[0] else None


def worded(verdict: bool | None, yes: str, no: str) -> str:
    """A verdict in a word."""
    return UNDECIDED if verdict is None else yes if verdict else no


def counted(verdicts: Sequence[bool | None], yes: str, no: str) -> str:
    """How often each of the three: "inside in 2 of 6, outside in 3, undecided in 1"."""
    said = [(word, sum(verdict is each for verdict in verdicts)) for word, each in ((yes, True), (no, False))]
    said += [(UNDECIDED, sum(verdict is None for verdict in verdicts))]
    (first, count), *others = said
    return ", ".join([f"{first} in {count} of {len(verdicts)}", *(f"{word} in {n}" for word, n in others if n)])


def index_of(process: Any, **options: Any) -> Known:
    """The index of a process, or why there is none: without a law, beyond what populations see, or too long a run."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", LongRun)
        try:
            return known_index(process, **options)
        except LongRun as error:
            return Known(None, why_not=f"not computed, {error}")


def estimate_of(
    estimator: Callable[..., TailEstimate], values: Any, confidence: float, *arguments: Any
) -> TailEstimate:
    """What an estimator sees in a sample; nan with its sentence as a warning where it sees nothing."""
    try:
        return estimator(values, *arguments, confidence=confidence)
    except InvalidInput as error:
        return TailEstimate(math.nan, math.nan, math.nan, confidence, None, "none", len(values), (str(error),))


def fit_of(test: Callable[..., GoodnessOfFit], values: Any, law: str, resamples: int, seed: int) -> GoodnessOfFit:
    """What a test of a fitted law says of a sample; nan where it says nothing."""
    try:
        return test(values, law, resamples, seed)
    except InvalidInput:  # the estimate's warning has the sentence
        return GoodnessOfFit(law, math.nan, math.nan, math.nan, resamples)

"""What is said of one tail index: one row for each way of knowing it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, OutOfReach, PositiveLyapunovExponent
from sgdlimits.exact.tail_index import TailIndex

from ..tail_estimators import TailEstimate
from ..text_table import number, rounded

EXACT, BOUNDS, ESTIMATE = "exact", "bounds", "estimate"
HOLDING = 5e-4  # relative error of an index, below which all its digits that are shown hold
NAMES = {"hill": "Hill", "pickands": "Pickands", "student": "Student t"}  # of estimators that refuse the sample
SLACK = 1e-9  # of an index, by which numbers that are one may differ


@dataclass(frozen=True)
class Row:
    """One way of knowing the index of one process.

    Attributes
    ----------
    kind : {"exact", "bounds", "estimate"}
    method : str
    index, lower, upper : float
        nan where there is none; of bounds, the index is nan.
    k : int
        Order statistics used; 0 where that means nothing.
    notes : tuple of str
        What to know of the numbers.
    verdict : str
        Beside the exact index: "holds" or "violated" (bounds), "covers" or "misses" (estimates); else empty.
    """

    kind: str
    method: str
    index: float = math.nan
    lower: float = math.nan
    upper: float = math.nan
    k: int = 0
    notes: tuple[str, ...] = ()
    verdict: str = ""


@dataclass(frozen=True)
class Known:
    """The exact index of one process, where there is one.

    Attributes
    ----------
    index : TailIndex or None
    lyapunov_exponent : float
        nan where it is not known.
    why_not : str
        Why there is no index.
    settles : bool
        Whether there is a stationary law to sample, as far as is known.
    above, about : float
        Where there is no index: that a search up to there found none, or a guess without an interval; else nan.
    """

    index: TailIndex | None
    lyapunov_exponent: float = math.nan
    why_not: str = ""
    settles: bool = True
    above: float = math.nan
    about: float = math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Ends of what the index may be; nan where it is not known."""
        return (math.nan, math.nan) if self.index is None else (self.index.lower, self.index.upper)

    @property
    def text(self) -> str:
        """The index as a table shows it: to the digits that its error leaves, else what is known of it."""
        if self.index is not None:
            return index_text(self.index.index, self.index.error)
        if not self.settles:
            return "no law"
        if not math.isnan(self.above):
            return f"> {self.above:g}"
        return "not known" if math.isnan(self.about) else f"about {number(self.about, 2)}, no interval"


def index_text(index: float, error: float) -> str:
    """An index with its error; without, where all digits that are shown hold."""
    if math.isinf(index):
        return "infinite"
    if error <= HOLDING * index:
        return number(index)
    return f"{rounded(index, error)} ±{number(error, 2)}"


def known_index(process: Any, **options: Any) -> Known:
    """Ask the process for its index; `options` of its `tail_index`."""
    if not hasattr(process, "tail_index"):
        return Known(None, why_not="the process has no tail_index()")
    try:
        found = process.tail_index(**options)
    except PositiveLyapunovExponent as error:
        return Known(None, error.lyapunov_exponent, str(error), settles=False)
    except NoStationaryLaw as error:
        return Known(None, why_not=str(error), settles=False)
    except OutOfReach as error:
        return Known(None, why_not=str(error), above=error.above, about=error.about)
    except InvalidInput as error:
        return Known(None, why_not=str(error))
    return Known(found, found.lyapunov_exponent)


def exact_rows(process: Any, known: Known) -> list[Row]:
    """The exact index and the bounds, where the process has them."""
    found = known.index
    if found is None:
        rows = [Row(EXACT, known.text, notes=(known.why_not,))]
    else:
        notes = (found.note,) if found.note else ()
        rows = [Row(EXACT, found.method, found.index, found.lower, found.upper, notes=notes)]
    if not hasattr(process, "tail_index_bounds"):
        return rows
    try:
        bounds = process.tail_index_bounds()
    except InvalidInput as error:
        return [*rows, Row(BOUNDS, "none", notes=(str(error),))]
    lower, upper = bounds
    proved = bounds.lower_proved and bounds.upper_proved
    notes = ("the lower bound is void",) if bounds.void else ()
    verdict = "" if found is None else _beside(found, lower, upper, ("holds", "violated"))
    method = ("proved, " if proved else "") + bounds.regime
    return [*rows, Row(BOUNDS, method, math.nan, lower, upper, 0, notes, verdict)]


def estimate_row(name: str, estimator: Callable[..., TailEstimate], sample: Any, known: Known, level: float) -> Row:
    """One estimator on a sample of independent ends, beside the exact index."""
    try:
        seen = estimator(sample, confidence=level, independent=True)
    except InvalidInput as error:
        return Row(ESTIMATE, " ".join(NAMES.get(word, word) for word in name.split("_")), notes=(str(error),))
    verdict = "" if known.index is None else _beside(known.index, seen.lower, seen.upper, ("covers", "misses"))
    return Row(ESTIMATE, seen.method, seen.index, seen.lower, seen.upper, seen.k or 0, seen.warnings, verdict)


def _beside(found: TailIndex, lower: float, upper: float, words: Sequence[str]) -> str:
    """Whether an interval meets what is known of the index."""
    slack = SLACK * found.index if math.isfinite(found.index) else 0.0
    return words[0] if lower - slack <= found.upper and found.lower <= upper + slack else words[1]


def compared(first: Known, other: Known) -> str:
    """"same", "other" or "undecided": the index of a process beside the reference's; empty where one is unknown.

    Also "other" where one of them has a stationary law and the other has none, and "neither" where both have none.
    """
    if not (first.settles or other.settles):
        return "neither"
    if not (first.settles and other.settles):
        return "other" if first.index or other.index else ""
    if first.index is None or other.index is None:
        return ""
    one, two = first.index, other.index
    if math.isinf(one.index) or math.isinf(two.index):
        return "same" if one.index == two.index else "other"
    gap = abs(one.index - two.index)
    if gap <= SLACK * one.index:
        return "same"
    return "other" if gap > math.hypot(one.error, two.error) else "undecided"

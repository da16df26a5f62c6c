"""What is quickly known of a tail index, and what an observable's mean and variance are worth beside it."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw, PositiveLyapunovExponent
from sgdlimits.exact.tail_index import TailIndex

from .capabilities import fourth_moments_settle, is_recurrence, known_stability
from .text_table import number

SMALL = {"paths": 64, "generations": 80, "groups": 4}  # populations that take seconds


@dataclass(frozen=True)
class KnownTail:
    """lower <= index of the stationary law <= upper; `why`: how that is known, empty where nothing is.

    Where there is no stationary law, `upper` is 0: no moment settles.
    """

    lower: float = 0.0
    upper: float = math.inf
    why: str = ""

    @property
    def known(self) -> bool:
        """Whether anything is."""
        return bool(self.why)

    def __str__(self) -> str:
        """A range in words: "2.5", "between 2 and 4", "at least 4", "at most 2"."""
        if number(self.lower) == number(self.upper):
            return "infinite" if math.isinf(self.lower) else number(self.lower)
        if math.isinf(self.upper):
            return f"at least {number(self.lower)}"
        return f"at most {number(self.upper)}" if self.lower <= 0 else (
            f"between {number(self.lower)} and {number(self.upper)}"
        )  # fmt: skip

    def apart_from(self, other: KnownTail) -> bool:
        """Whether the two indices cannot be the same."""
        return self.known and other.known and bool(self.lower > other.upper or other.lower > self.upper)


def known_tail(process: Any, orders: Iterable[float] = ()) -> KnownTail:
    """From a closed index, proved bounds, and whether second and fourth moments settle.

    Only where the second moment does not settle, or these leave open whether moments of these `orders` are finite, is
    the index itself sought, by small populations where need be.
    """
    if getattr(process, "tail_index_closed", False):
        if hasattr(process, "index"):  # of stable increments: that of the position after finitely many steps
            index = math.inf if process.index == 2 else process.index
            return KnownTail(index, index, "index of one increment")
        try:
            found: TailIndex = process.tail_index()
            return KnownTail(found.index, found.index, found.method)
        except NoStationaryLaw:
            return KnownTail(0.0, 0.0, "it has no stationary law")
        except InvalidInput:  # closed on other problems
            return KnownTail()
    lower, upper, why = 0.0, math.inf, []
    stability = known_stability(process)
    if stability is not None:
        if not stability.mean_square_stable:
            return _past_the_threshold(process)
        elif fourth_moments_settle(process):
            lower = 4.0
            why.append("its fourth moment is proved to settle")
        elif math.isfinite(stability.mean_square_threshold):
            lower = 2.0
            why.append("its second moment settles")
    if hasattr(process, "tail_index_bounds"):
        try:
            below, above = process.tail_index_bounds()
        except PositiveLyapunovExponent:
            return KnownTail(0.0, 0.0, "it has no stationary law")
        except (InvalidInput, NoStationaryLaw):
            below, above = 0.0, math.inf
        if math.isfinite(above):
            lower, upper = max(lower, below), min(upper, above)
            why = ["bounds in closed form"]
    if why and any(lower < order < upper for order in orders):
        try:
            found = _sought_index(process)
        except (AttributeError, InvalidInput, NoStationaryLaw):  # no index is known of it
            pass
        else:
            if math.isfinite(found.index):
                return KnownTail(max(lower, found.lower), min(upper, found.upper), found.method)
    return KnownTail(lower, upper, " and ".join(why))


def _sought_index(process: Any) -> TailIndex:
    index: TailIndex = process.tail_index(**SMALL) if is_recurrence(process) else process.tail_index()
    return index


def _past_the_threshold(process: Any) -> KnownTail:
    """Of a process whose second moment does not settle, so that the index, if there is a law, is at most 2."""
    why = "its second moment does not settle"
    try:
        found = _sought_index(process)
    except NoStationaryLaw:
        return KnownTail(0.0, 0.0, "it has no stationary law")
    except (AttributeError, InvalidInput):  # no index is known of it: other problems, other rules
        return KnownTail(0.0, 2.0, why)
    if math.isinf(found.index):  # its noise dies with the risk: it has no other law, and moments above 2 grow
        return KnownTail(0.0, 2.0, why)
    return KnownTail(found.lower, min(found.upper, 2.0), f"{why}; {found.method}")


def lost_to_tails(tail: KnownTail, power: float | None) -> str:
    """What of a sampled observable that grows as |x|^power means nothing: "no mean", "no variance", or "" for neither.

    The stationary mean is infinite where the index is at most the power, the variance where it is at most twice that.
    """
    if not power or not tail.known:  # what is bounded has all moments under every law
        return ""
    return "no mean" if tail.upper <= power else "no variance" if tail.upper <= 2 * power else ""

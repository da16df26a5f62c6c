"""From what a user passes to the order statistics of one tail, with the refusals that all estimators share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import (
    LARGEST,
    InvalidInput,
    finite_array,
    flag,
    instance_of,
    one_of,
    positive,
    shown,
    whole_number,
)

SIDES = ("both", "right", "left")
CENTRES = ("auto", "median", "none")
FEWEST = 50  # samples; below it no interval here has a coverage worth a name
FEWEST_ABOVE = 10  # order statistics above a threshold
INNER = (0.02, 0.5, 0.98)  # levels that show where a sample lies, how wide it is, and whether it has two tails
ONE_TAIL = 4.0  # from which ratio of the two outer widths a sample has one tail alone, and zero is its origin
AWAY, APART, FAR = 0.1, 0.75, 10.0  # inner widths of the origin to the median, to the end of one tail; refused
SAME = 0.1  # share of one repeated value from which a density has nothing to fit


@dataclass(frozen=True, eq=False)
class Tail:
    """One tail of a sample.

    Attributes
    ----------
    sizes : (n,) array
        |x|, or x or -x clipped at zero for one side, x measured from the origin, in the order of the sample.
    logs : (m,) array
        Logarithms of the m positive sizes, largest first.
    origin : float
        The x from which sizes are measured.
    located : tuple of str
        A warning where the origin is not between two tails, or far from where one tail starts.
    independent : bool
        Whether the sample is known to be independent.
    """

    sizes: np.ndarray
    logs: np.ndarray
    origin: float = 0.0
    located: tuple[str, ...] = ()
    independent: bool = False

    @property
    def n(self) -> int:
        """Length of the sample, zeros and the other side counted."""
        return len(self.sizes)

    @property
    def most(self) -> int:
        """The largest k: one positive size must be left as the threshold."""
        return len(self.logs) - 1

    def above(self, k: int) -> np.ndarray:
        """Logarithms of the k largest sizes over the next one (k,), largest first; ties that blind are refused."""
        top = self.logs[: k + 1]
        different = 1 + int(np.count_nonzero(np.diff(top)))
        needed = max(FEWEST_ABOVE, (k + 1) // 10)
        if different < needed:
            raise InvalidInput(
                f"the {k + 1} largest of the sample hold {different} different values, at least {needed} are needed: "
                "pass samples that are not rounded, or another k"
            )
        return top[:k] - top[k]

    def tied(self, k: int) -> tuple[str, ...]:
        """A warning where more than a twentieth of the k largest repeat another."""
        same = int(np.count_nonzero(np.diff(self.logs[: k + 1]) == 0))
        if same <= k / 20:
            return ()
        return (f"{same} of the {k + 1} largest values repeat another: the sample is rounded, or a chain stood still",)

    def threshold(self, k: int) -> float:
        """The (k+1)-th largest size."""
        return float(np.exp(self.logs[k]))


def origin_of(values: np.ndarray, centre: str) -> tuple[float, tuple[str, ...]]:
    """Origin from which the sizes of a sample (n,) are measured, and what speaks against it.

    "auto" is the median of a sample with two tails, and zero for one tail, whose sizes are measured from zero.
    """
    one_of("centre", centre, CENTRES)
    low, middle, high = (float(each) for each in np.quantile(values, INNER))
    width = high - low
    narrow, broad = sorted((middle - low, high - middle))
    one_tail = broad >= ONE_TAIL * narrow
    origin = middle if centre == "median" or (centre == "auto" and not one_tail) else 0.0
    if width <= 0 or origin:
        return origin, ()
    if abs(middle) > FAR * width:
        raise InvalidInput(
            f"the sample lies {abs(middle) / width:.3g} times the width of its inner 96 % away from zero, at most "
            f"{FAR:g} times is allowed: an index estimated from there is the distance, not the tail; pass "
            "centre='median', or subtract where the tail starts"
        )
    # The end of the sample from which its one tail leads away.
    near = max(0.0, low if high - middle == broad else -high) / width
    if one_tail and near > APART:
        return origin, (
            f"the one tail of the sample starts {near:.2g} times the width of its inner 96 % away from zero, and this "
            "estimate depends on the origin: subtract where the tail starts, or take pickands",
        )
    if not one_tail and abs(middle) > AWAY * width:
        return origin, (
            f"the median of the sample lies {abs(middle) / width:.2g} times the width of its inner 96 % away from "
            "zero, and this estimate depends on the origin: pass centre='median'",
        )
    return origin, ()


def tail_of(sample: Any, side: str = "both", centre: str = "none", independent: bool = False) -> Tail:
    """The tail of a one-dimensional sample, checked."""
    one_of("side", side, SIDES)
    values = finite_array("sample", sample, shape=(None,))
    if len(values) < FEWEST:
        raise InvalidInput(f"sample has {len(values)} values, at least {FEWEST} are needed: pass more samples")
    origin, located = origin_of(values, centre)
    if origin:
        values = values - origin
    sizes = np.abs(values) if side == "both" else np.maximum(values if side == "right" else -values, 0.0)
    ordered = np.sort(sizes[sizes > 0])[::-1]
    if len(ordered) <= 2 * FEWEST_ABOVE:
        where = "nonzero" if side == "both" else "positive" if side == "right" else "negative"
        raise InvalidInput(
            f"sample has {len(ordered)} {where} values, at least {2 * FEWEST_ABOVE + 1} are needed to see a tail: "
            "pass more samples, or another side"
        )
    if ordered[0] == ordered[-1]:
        raise InvalidInput(f"all values of the sample are {ordered[0]:g} in size: a tail needs values that differ")
    return Tail(sizes, np.log(ordered), origin, located, flag("independent", independent))


def whole_sample(sample: Any) -> np.ndarray:
    """A one-dimensional sample (n,) for a law that is fitted to all of it; ties that blind are refused."""
    values = finite_array("sample", sample, shape=(None,))
    if len(values) < FEWEST:
        raise InvalidInput(f"sample has {len(values)} values, at least {FEWEST} are needed: pass more samples")
    if np.abs(values).max() > LARGEST:
        raise InvalidInput(f"sample must hold numbers of at most {LARGEST:g} in size: change its unit")
    ordered = np.sort(values)
    ends = np.flatnonzero(np.r_[True, np.diff(ordered) > 0, True])
    longest = int(np.diff(ends).max())
    if longest > SAME * len(values):
        value = ordered[ends[np.diff(ends).argmax()]] + 0.0  # no -0
        raise InvalidInput(
            f"the sample holds {value:g} {longest} times in {len(values)}, at most {SAME:g} of it may be one value: "
            "a law with a density needs values that differ"
        )
    return values


def count_of(k: Any, tail: Tail, fewest: int = FEWEST_ABOVE, spare: int = 1) -> int:
    """A k given as a whole number, or as a fraction of the sample below one; `spare` * k order statistics are used."""
    most = tail.most // spare
    if isinstance(k, (float, np.floating)) and not float(k).is_integer():
        share = positive("k", k)
        if share >= 1:
            raise InvalidInput(f"k must be a whole number or a fraction below 1, got {shown(k)}")
        k = int(share * tail.n)
        if not fewest <= k <= most:
            raise InvalidInput(
                f"k = {share:g} of the sample is {k} values, between {fewest} and {most} are needed here: change k"
            )
    return whole_number("k", k, fewest, max(most, fewest))


def rule_or_count(k: Any, tail: Tail, rules: tuple[str, ...]) -> tuple[str | None, int]:
    """A rule's name with 0, or None with the count that was given."""
    instance_of("k", k, (str, int, float, np.integer, np.floating), f"a rule among {', '.join(rules)}, or a number")
    if isinstance(k, str):
        return one_of("k", k, rules), 0
    return None, count_of(k, tail)

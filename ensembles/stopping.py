"""The one rule for sampling until an interval is narrow enough: it knows when it has seen too little.

Stopping when the interval *looks* narrow is biased: a sample that happens to miss the rare, large values has a small
mean and a small spread at once, so it stops early and reports an interval that is too short and too low. Here the
sample that is reported has a size that was fixed before its first value was drawn:

- a pilot, grown until it is a tenth of what it asks for, says how many values are needed (with the spread that it
  bounds from above at 90 %). It is not in the estimate;
- a fresh sample of that size gives the estimate. In the one case of ten in which the bound failed it is topped up by
  what is missing, which moves coverage by far less than a per mille.

So Clopper and Pearson's interval of an indicator keeps its guarantee, and the interval of any other mean is that of
a fixed sample (a second stage in Stein's sense, Ann. Math. Stat. 16, 1945, without his assumption of normality). A
pilot that is already far narrower than asked is taken as it is; its level and that of the fresh sample add up to the
level that is asked (union bound), so intervals hold at least what they say.

Too little has been seen if all values are equal (booleans are an indicator, which then has a bound, 3.7 / n at 95 %;
anything else goes on and is refused in the end), if n < 25 skewness^2 (Cochran's rule) or n < 25 kurtosis: few hits of
a rare event, one value that dominates the sum, an infinite variance, of which both grow like n, so that no n is enough;
or if the largest values fall like those of an infinite variance (Hill's index at most 2, down to the very largest). A
pilot is grown until that is decided. What no value of a sample shows cannot be known: a mode that is visited less than
about four times in as many values as are drawn may be missed by a pilot, and then by the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from sgdlimits.exact.errors import LARGEST, InvalidInput, non_negative, whole_number

from .intervals import COCHRAN, Interval, enough, heavy, mean_interval, shape_of, surely_heavy
from .summaries import Summary, clopper_pearson, upper_frequency

FEWEST = 64  # values on which a variance may rest
PATIENCE = 16  # first samples of equal values before they are taken for all there is
EARLY = 1 / 30  # share of the miss for each of the at most three looks at a pilot that may end it
FRESH = 0.9  # share of the miss for the fresh sample
UPPER = 1.2816  # quantile of the bound on a pilot's spread: 90 %
DEEPER = 4  # a tail that looks heavy, or a mean that may be 0, is looked at with so many times the values
SMALL, LARGE = 2.0**-100, 2.0**100  # sizes between which powers of values stay numbers
PILOT = 10  # the fresh sample is at most so many pilots


@dataclass(frozen=True)
class Outcome:
    """Why sampling ended.

    Attributes
    ----------
    reached : bool
    why : str
        A sentence.
    interval : Interval
        Also where the target was not reached, of what was sampled; without bounds where nothing can be said.
    needed : int
        Values that the target needs, the pilot's included, as far as can be told.
    too_many : bool
        Whether it is `most` that ended it.
    tail : str
        Ending of the sentence where the values have a heavy tail.
    """

    reached: bool
    why: str
    interval: Interval
    needed: int
    too_many: bool = False
    tail: str = ""

    def in_units_of(self, unit: float) -> Outcome:
        """The same with an interval that was counted in `unit`."""
        i = self.interval
        scaled = Interval(i.value * unit, i.low * unit, i.high * unit, i.standard_error * unit, i.method)
        return replace(self, interval=scaled)


@dataclass(frozen=True)
class Sample:
    """Where a run of the rule stands. Draw values number `taken` to `wanted` - 1 until `outcome` is there.

    Attributes
    ----------
    wanted : int
        How many values to have, counted from the first.
    pilot, fresh : Summary or None
        Only the fresh sample is in the estimate, unless the pilot was enough.
    outcome : Outcome or None
    sized : bool
        Whether the pilot has fixed the size of the fresh sample.
    looks : int
        How often the pilot was looked at.
    unit : float
        What the summaries count in: 1, or a power of two where the values are so large or small that their powers are
        no numbers.
    """

    wanted: int
    pilot: Summary | None = None
    fresh: Summary | None = None
    outcome: Outcome | None = None
    sized: bool = False
    looks: int = 0
    unit: float = 1.0

    @property
    def taken(self) -> int:
        return sum(part.count for part in (self.pilot, self.fresh) if part is not None)

    @property
    def reported(self) -> int:
        """How many of the values taken are in the estimate: the last ones."""
        return 0 if self.pilot is None else self.fresh.count if self.fresh is not None else self.pilot.count


@dataclass(frozen=True)
class StoppingRule:
    """Sample until the interval of a mean is at most so wide: `start`, then `seen` with each block of values.

    Parameters
    ----------
    absolute, relative : float
        Half the width that the interval may have is the larger of `absolute` and `relative` times |estimate|.
    confidence : float
    first : int
        Values of the first look, at least 64.
    most : int
        Values that may be drawn in all.

    Examples
    --------
    ``sample = rule.start()``; ``while sample.outcome is None: sample = rule.seen(sample, draw(sample.taken,
    sample.wanted))``, where ``draw(first, last)`` gives the values of paths first..last-1, each independent of the
    others and of how they are cut into blocks.
    """

    absolute: float = 0.0
    relative: float = 0.0
    confidence: float = 0.95
    first: int = 1024
    most: int = 10**8

    def __post_init__(self) -> None:
        absolute, relative = non_negative("absolute", self.absolute), non_negative("relative", self.relative)
        if not absolute + relative > 0:
            raise InvalidInput("absolute and relative are both 0: no interval is that narrow; pass one of them")
        if not 0 < self.confidence < 1:
            raise InvalidInput(f"confidence must lie between 0 and 1, got {self.confidence!r}")
        object.__setattr__(self, "most", whole_number("most", self.most, 1))
        object.__setattr__(self, "first", max(FEWEST, whole_number("first", self.first, 1)))

    def start(self) -> Sample:
        """Nothing drawn yet."""
        return Sample(min(self.first, self.most))

    def seen(self, sample: Sample, values: np.ndarray) -> Sample:
        """Where the run stands after the values number `taken` to `wanted` - 1."""
        if sample.outcome is not None or len(values) != sample.wanted - sample.taken:
            raise InvalidInput(
                f"the rule waits for {0 if sample.outcome else sample.wanted - sample.taken} values, got {len(values)}"
            )
        unit = _unit_of(values) if sample.pilot is None else sample.unit
        if unit != 1:
            inner = replace(self, absolute=min(self.absolute / unit, LARGEST))
            found = inner._with(replace(sample, unit=unit), values / unit)
            return replace(found, outcome=found.outcome and found.outcome.in_units_of(unit))
        return self._with(sample, values)

    def _with(self, sample: Sample, values: np.ndarray) -> Sample:
        if sample.sized:
            fresh = Summary.of(values) if sample.fresh is None else sample.fresh.joined(values)
            return self._fresh(replace(sample, fresh=fresh))
        pilot = Summary.of(values) if sample.pilot is None else sample.pilot.joined(values)
        return self._pilot(replace(sample, pilot=pilot, looks=sample.looks + 1))

    def _pilot(self, sample: Sample) -> Sample:
        pilot = sample.pilot
        assert pilot is not None
        pair = pilot.pair()
        if pair is None and not pilot.away:
            if pilot.count < min(PATIENCE * self.first, self.most):
                return replace(sample, wanted=min(4 * pilot.count, self.most))
            return replace(sample, outcome=self._all_equal(pilot, sample.unit))
        miss = 1 - self.confidence
        interval = mean_interval(pilot, EARLY * miss, pair)
        if sample.looks <= 3 and self._narrow(interval) and (pair or enough(pilot, 2 * COCHRAN)):
            return replace(sample, outcome=self._reached(interval, pilot.count, 0))
        likely, safe = self._needed(pilot, pair, False), self._needed(pilot, pair, True)
        looks_heavy = pair is None and heavy(pilot)
        if looks_heavy and not surely_heavy(pilot) and DEEPER * pilot.count < self.most:
            return replace(sample, wanted=DEEPER * pilot.count)
        if looks_heavy or pilot.count + likely > self.most:
            now, further = mean_interval(pilot, miss, pair), DEEPER * pilot.count
            if not looks_heavy and further <= max(PATIENCE * self.first, self.most // PATIENCE):
                # A mean that may be far larger than it looks may allow a far wider interval.
                largest = max(abs(now.low), abs(now.high))
                if likely * (self._allowed(now.value) / self._allowed(largest)) ** 2 < self.most:
                    return replace(sample, wanted=min(further, self.most))
            return replace(sample, outcome=self._too_many(pilot, now, pilot.count + likely))
        if safe > PILOT * pilot.count:
            grown = min(PILOT * pilot.count, -(-safe // PILOT), self.most - likely)
            if grown > pilot.count:
                return replace(sample, wanted=int(grown))
        return replace(sample, wanted=pilot.count + int(min(safe, self.most - pilot.count)), sized=True)

    def _fresh(self, sample: Sample) -> Sample:
        pilot, fresh = sample.pilot, sample.fresh
        assert pilot is not None and fresh is not None
        pair = pilot.pair() or fresh.pair()
        if pair is not None and not (fresh.within(pair) and pilot.within(pair)):
            pair = None
        interval = mean_interval(fresh, FRESH * (1 - self.confidence), pair)
        settled = pair is not None or enough(fresh, COCHRAN)
        if settled and self._narrow(interval):
            return replace(sample, outcome=self._reached(interval, fresh.count, pilot.count))
        room = self.most - pilot.count
        further = max(self._needed(fresh, pair, False), fresh.count + max(FEWEST, fresh.count // 50))
        if further <= room or (fresh.count < room and further <= 1.1 * room):
            return replace(sample, wanted=pilot.count + int(min(further, room, PILOT * fresh.count)))
        return replace(sample, outcome=self._too_many(fresh, interval, pilot.count + further))

    def _allowed(self, value: float) -> float:
        return max(self.absolute, self.relative * abs(value))

    def _narrow(self, interval: Interval) -> bool:
        return interval.half_width <= self._allowed(interval.value)

    def _needed(self, seen: Summary, pair: tuple[float, float] | None, safe: bool) -> int:
        """Values of a fresh sample that will do: likely, or safe in nine cases of ten."""
        miss = FRESH * (1 - self.confidence)
        if pair is not None:
            return self._needed_by_indicator(seen, pair, miss, safe)
        spread = UPPER * math.sqrt(max(seen.excess + 2, 0.0) / seen.count) if safe else 0.0
        # of a mean near zero no more than a quarter is believed to be lost by chance
        drop = UPPER * math.sqrt(seen.variance / seen.count) if safe else 0.0
        allowed = self._allowed(max(abs(seen.mean) - drop, abs(seen.mean) / 4))
        reach = float(ndtri(1 - miss / 2)) * math.sqrt(seen.variance * (1 + spread))
        wanted = (reach / allowed) ** 2 if reach < 1e9 * allowed else math.inf
        share = seen.away / seen.count
        if share < 1 and 0 < wanted < 1e15:
            wanted *= upper_frequency(share * wanted, wanted) / share  # as `mean_interval` will do
        skewed = (2 if safe else 1) * COCHRAN * shape_of(seen)
        if seen.pair() is None and heavy(seen):
            skewed = max(skewed, DEEPER * seen.count)
        return int(min(max(math.ceil(min(wanted, 1e18)), math.ceil(min(skewed, 1e18)), FEWEST), 10**18))

    def _needed_by_indicator(self, seen: Summary, pair: tuple[float, float], miss: float, safe: bool) -> int:
        low, high = pair
        hits, count = seen.hits(high), seen.count
        least, most = clopper_pearson(hits, count, 0.2)
        widest = min(max(least, 0.5), most)  # the probability in between whose interval is the widest
        return max(
            self._until_narrow(p, high - low, self._allowed(low + (high - low) * p), miss) or PILOT * count
            for p in ((least, widest, most) if safe else (hits / count,))
        )

    @staticmethod
    def _until_narrow(p: float, length: float, allowed: float, miss: float) -> int:
        """Size of a sample with a share of p hits whose interval is narrow; 0 if none is."""

        def wide(n: float) -> bool:
            a, b = clopper_pearson(p * n, n, miss)
            return (b - a) / 2 * length > allowed

        small = large = float(FEWEST)
        if allowed <= 0:
            return 0
        while wide(large) and large < 1e18:
            small, large = large, 4 * large
        while large > 1.005 * small:
            middle = math.sqrt(small * large)
            small, large = (middle, large) if wide(middle) else (small, middle)
        return math.ceil(large)

    def _reached(self, interval: Interval, values: int, pilot: int) -> Outcome:
        sized = f", a number that {pilot} other paths had fixed" if pilot else ""
        why = f"the interval is as narrow as asked with {values} paths{sized}"
        return Outcome(True, why, interval, values + pilot)

    def _too_many(self, seen: Summary, interval: Interval, needed: int) -> Outcome:
        tail = ""
        if seen.pair() is None and not enough(seen, COCHRAN):
            index = seen.tail_index()
            shown = "" if index is None else f" of index about {index[0]:.2g} +- {index[1]:.1g}"
            tail = (
                f" (the values have a heavy tail{shown}, the largest of {seen.count} holds {seen.largest_share:.0%} of "
                "their sum of squares, so no interval of these can be trusted; the variance may be infinite)"
            )
            interval = replace(interval, low=-math.inf, high=math.inf, standard_error=math.inf)
        why = f"it needs about {needed} paths, more than the {self.most} allowed{tail}"
        return Outcome(False, why, interval, needed, True, tail)

    def _all_equal(self, seen: Summary, unit: float) -> Outcome:
        bound = upper_frequency(0, seen.count, 1 - self.confidence)
        why = (
            f"all {seen.count} values are {seen.usual * unit:g}, so nothing is known of how large the others are (they "
            f"have a probability of at most {bound:.2g})"
        )
        nothing = Interval(seen.usual, -math.inf, math.inf, math.inf, "normal")
        return Outcome(False, why, nothing, PILOT * seen.count)


def _unit_of(values: np.ndarray) -> float:
    """1 where powers of these values are numbers; else a power of two near the largest."""
    if values.dtype == np.bool_:
        return 1.0
    largest = float(np.abs(values).max())
    if largest == 0 or SMALL < largest < LARGE:
        return 1.0
    return 2.0 ** max(math.frexp(largest)[1], -1000)


"""What a stopping rule keeps of the values that it has seen: moments, extremes, how often the usual value failed."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import betaincinv

from sgdlimits.exact.errors import InvalidInput

LARGEST = 1024  # distances from the usual value that are kept, of the largest
FEWEST_OF_A_TAIL = 25  # values on which its index may rest
FEWEST_AT_THE_END = 8  # the same of its very end


@dataclass(frozen=True)
class Summary:
    """Values seen so far, a block at a time.

    Attributes
    ----------
    count : int
    mean, second, third, fourth : float
        Mean, and sums of powers of the deviations from it.
    low, high : float
        Least and largest value.
    usual : float
        Middle value of the first block: the most frequent one where more than half of the values agree.
    away : int
        How many values differ from `usual`.
    other_low, other_high : float
        Least and largest of these (inf, -inf without any).
    boolean : bool
        Whether the values came as booleans: an indicator, whatever has been seen of it.
    largest : (at most LARGEST,) array
        Largest distances from `usual`, falling.
    """

    count: int
    mean: float
    second: float
    third: float
    fourth: float
    low: float
    high: float
    usual: float
    away: int
    other_low: float
    other_high: float
    boolean: bool
    largest: np.ndarray = field(compare=False, repr=False)

    @classmethod
    def of(cls, values: np.ndarray) -> Summary:
        """Summary of a first block (n,), n >= 1."""
        values = np.asarray(values)
        if values.ndim != 1 or not values.size:
            raise InvalidInput(f"values must be a 1-D array that is not empty, got shape {values.shape}")
        return cls._of(values, float(np.partition(values.astype(np.float64), values.size // 2)[values.size // 2]))

    @classmethod
    def _of(cls, values: np.ndarray, usual: float) -> Summary:
        numbers = values.astype(np.float64)
        others = numbers[numbers != usual]
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(usual + (numbers - usual).mean())  # exact where all are equal
            gap = numbers - mean
            square = gap * gap
            second, third, fourth = float(square.sum()), float((square * gap).sum()), float((square * square).sum())
        return cls(
            numbers.size, mean, second, third, fourth, float(numbers.min()), float(numbers.max()), usual, others.size,
            float(others.min(initial=math.inf)), float(others.max(initial=-math.inf)), values.dtype == np.bool_,
            _largest(np.abs(others - usual)),
        )  # fmt: skip

    def joined(self, values: np.ndarray) -> Summary:
        """Summary of the values seen before and a further block (Pebay, Sandia report 2008-6212, pairwise update)."""
        b = Summary._of(np.asarray(values), self.usual)
        n, m = self.count, b.count
        with np.errstate(over="ignore", invalid="ignore"):
            d, total = np.float64(b.mean - self.mean), n + m
            second = self.second + b.second + d**2 * n * m / total
            third = self.third + b.third + d**3 * n * m * (n - m) / total**2
            third += 3 * d * (n * b.second - m * self.second) / total
            fourth = self.fourth + b.fourth + d**4 * n * m * (n * n - n * m + m * m) / total**3
            fourth += 6 * d**2 * (n * n * b.second + m * m * self.second) / total**2
            fourth += 4 * d * (n * b.third - m * self.third) / total
        return replace(
            self, count=total, mean=float(self.mean + d * m / total), second=float(second), third=float(third),
            fourth=float(fourth), low=min(self.low, b.low), high=max(self.high, b.high), away=self.away + b.away,
            other_low=min(self.other_low, b.other_low), other_high=max(self.other_high, b.other_high),
            boolean=self.boolean and b.boolean, largest=_largest(np.concatenate([self.largest, b.largest])),
        )  # fmt: skip

    @property
    def variance(self) -> float:
        """Unbiased sample variance."""
        return self.second / (self.count - 1) if self.count > 1 else math.inf

    @property
    def skewness(self) -> float:
        """Sample skewness; infinite where a moment overflowed."""
        if self.second == 0:
            return 0.0
        spread = self.second / self.count
        value = self.third / self.count / (spread * math.sqrt(spread))  # a product overflows to inf, a power raises
        return value if math.isfinite(value) else math.inf

    @property
    def excess(self) -> float:
        """Sample excess kurtosis; infinite where a moment overflowed."""
        if self.second == 0:
            return 0.0
        spread = self.second / self.count
        value = self.fourth / self.count / (spread * spread) - 3.0
        return value if math.isfinite(value) else math.inf

    @property
    def largest_share(self) -> float:
        """Share of the largest squared deviation in their sum."""
        gap = max(self.high - self.mean, self.mean - self.low)
        return gap * gap / self.second if 0 < self.second < math.inf else 0.0

    def tail_index(self) -> tuple[float, float] | None:
        """Hill's estimate of the index of the tail, and its standard error; None where too few values are seen.

        Of distances from the usual value, both sides together (Ann. Statist. 3, 1975), from the 2 n^0.4 largest of n:
        more of them as n grows, from further out.
        """
        k = min(len(self.largest) - 1, int(2 * self.away**0.4))
        if k < FEWEST_OF_A_TAIL or not math.isfinite(self.largest[0]):
            return None
        return self._hill(k)

    def _hill(self, k: int) -> tuple[float, float]:
        mean_excess = float(np.log(self.largest[:k] / self.largest[k]).mean())
        index = math.inf if mean_excess == 0 else 1 / mean_excess
        return index, index / math.sqrt(k)

    def ends_further_out(self) -> bool:
        """Whether the largest values of all fall so fast that they end a tail that looks heavy before them.

        As those of a law with a rare mode far out: Hill's index of 8, 16, ... of them above 2 by twice its error.
        """
        k, most = FEWEST_AT_THE_END, min(len(self.largest) - 1, int(2 * self.away**0.4))
        while k < most:
            index, _ = self._hill(k)
            if index * (1 - 2 / math.sqrt(k)) > 2:
                return True
            k *= 2
        return False

    def lighter_further_out(self) -> bool:
        """Whether the index of the outer quarter of the largest values exceeds that of all by 0.7 times its error."""
        found = self.tail_index()
        k = min(len(self.largest) - 1, int(2 * self.away**0.4)) // 4
        return found is not None and k > 0 and self._hill(k)[0] > found[0] * (1 + 0.7 / math.sqrt(k))

    def pair(self) -> tuple[float, float] | None:
        """The two values of an indicator, low then high; None where that is not known.

        Booleans are one; so are 0 and 1 when both were seen, and any two values of which the rarer came twice: the
        values of a continuous law do not repeat.
        """
        if self.boolean:
            return (0.0, 1.0)
        if self.away and self.other_low == self.other_high:
            low, high = sorted((self.usual, self.other_low))
            if (low, high) == (0.0, 1.0) or self.away > 1:
                return (low, high)
        return None

    def within(self, pair: tuple[float, float]) -> bool:
        """Whether no value but these two was seen."""
        return self.usual in pair and (not self.away or (self.other_low == self.other_high and self.other_low in pair))

    def hits(self, value: float) -> int:
        """How many values of an indicator equal `value`."""
        return self.count - self.away if self.usual == value else self.away


def _largest(distances: np.ndarray) -> np.ndarray:
    if distances.size > LARGEST:
        distances = np.partition(distances, distances.size - LARGEST)[-LARGEST:]
    return np.sort(distances)[::-1]


def clopper_pearson(hits: float, count: float, miss: float) -> tuple[float, float]:
    """Exact interval of a probability from `hits` among `count` (Biometrika 26, 1934); each side errs by miss / 2."""
    low = float(betaincinv(hits, count - hits + 1, miss / 2)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, count - hits, 1 - miss / 2)) if hits < count else 1.0
    return low, high


def upper_frequency(hits: float, count: float, miss: float = 0.025) -> float:
    """Upper bound of a probability that errs with probability `miss`; 3.7 / count without a hit."""
    return clopper_pearson(hits, count, 2 * miss)[1]

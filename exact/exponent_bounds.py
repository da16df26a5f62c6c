"""Bounds of the tail index of a recurrence w' = Psi(w) that need not be linear, from its Lipschitz factors.

Where k |w| - M <= |Psi(w)| <= K |w| + M with independent (k, K, M) from step to step, M of lighter tails and
E log K < 0: the root beta of E K^beta = 1 is at most the index, because E |w|^p stays bounded for p < beta; and with
P(k > 1) > 0 the root of E k^alpha = 1 is at least the index (after Hodgkinson and Mahoney 2021; Alsmeyer 2016, Mirek
2011). Only far out must it hold. A linear step has k and K the least and the largest singular value of its matrix.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .moment_growth import FactorGrowth, factor_root
from .tail_index import GIVEN, LARGEST, refuse_growth

ONE = 1e-9  # log sizes below it in size are those of a factor 1: singular values carry rounding
FEW = 100.0  # draws that carry a mean, below which rarer ones matter and no interval holds
SAME = 0.01  # logarithm up to which draws may be one number
FEWEST = 20.0  # draws that carry its variance, below which it is not known either
WIDEST = 64.0  # times the root, where the search for the upper end of its interval ends


@dataclass(frozen=True)
class ExponentBound:
    """One bound of a tail index, which knows whether it says anything.

    Attributes
    ----------
    value : float
        0 of a void lower bound, math.inf of a void upper one; a lower bound of math.inf says that all moments are
        finite.
    interval : (float, float)
        Of the value: its numerical error where the law of the factor is given, a confidence interval from samples,
        (0, inf) where the samples give none.
    void : bool
    reason : str
        Why it is void; else what to know of it, empty where that is nothing.
    sampled : bool
        Whether the interval is one of sampling.
    """

    value: float
    interval: tuple[float, float]
    void: bool = False
    reason: str = ""
    sampled: bool = False

    @property
    def error(self) -> float:
        """Half the interval; inf where it is open."""
        return 0.0 if self.interval[0] == self.interval[1] else (self.interval[1] - self.interval[0]) / 2

    def __str__(self) -> str:
        if self.void:
            return f"void ({self.reason})"
        note = f" ({self.reason})" if self.reason else ""
        if math.isinf(self.value):
            return f"infinite{note}"
        if self.sampled and self.interval == (0.0, math.inf):
            return f"about {self.value:.3g}, without an interval{note}"
        if self.sampled:
            return f"{self.value:.4g} in [{self.interval[0]:.4g}, {self.interval[1]:.4g}]{note}"
        if math.isinf(self.interval[1]):
            return f"{self.value:.4g} or more{note}"
        return f"{self.value:.8g} +- {self.error:.1g}{note}"


@dataclass(frozen=True)
class TailExponentBounds:
    """lower <= index <= upper; unpacks to the two numbers.

    Attributes
    ----------
    lower, upper : ExponentBound
    note : str
        What concerns both.
    """

    lower: ExponentBound
    upper: ExponentBound
    note: str = ""

    def __iter__(self) -> Iterator[float]:
        return iter((self.lower.value, self.upper.value))

    @property
    def void(self) -> bool:
        """Whether neither says anything."""
        return self.lower.void and self.upper.void

    def __repr__(self) -> str:
        note = f"; {self.note}" if self.note else ""
        return f"TailExponentBounds(index at least: {self.lower}; at most: {self.upper}{note})"


@dataclass(frozen=True)
class FactorLaw:
    """Law of one factor: its moments, a coarser resolution of them, and how many draws they come from.

    Attributes
    ----------
    fine, coarse : FactorGrowth
    draws : int
        Samples; 0 of a law that is given.
    """

    fine: FactorGrowth
    coarse: FactorGrowth
    draws: int = 0

    @classmethod
    def of_samples(cls, factors: np.ndarray) -> FactorLaw:
        """Of draws (n,) of at least 0."""
        with np.errstate(divide="ignore"):
            growth = FactorGrowth(np.log(factors), np.full(factors.size, -math.log(factors.size)))
        return cls(growth, growth, factors.size)

    @property
    def reach(self) -> float:
        """Order of moments up to which roots are looked for."""
        return min(LARGEST, self.fine.reach)

    def mean_log(self, width: float) -> tuple[float, float]:
        """E log of the factor, and `width` standard errors of it: a numerical error where the law is given."""
        mean, logs = self.fine.exponent, self.fine.log_sizes
        if not math.isfinite(mean):
            return mean, 0.0
        if not self.draws:
            return mean, abs(mean - self.coarse.exponent) + self.fine.exponent_error
        return mean, width * float(logs.std()) / math.sqrt(self.draws)

    def studentized(self, order: float) -> float:
        """(E factor^order - 1) over the standard error of that mean."""
        first, second = self.fine(order), self.fine(2 * order)
        spread = math.expm1(min(second - 2 * first, 700.0))
        return -math.expm1(-first) * math.sqrt(self.draws / spread) if spread > 0 else math.copysign(math.inf, first)

    def root(self, width: float) -> tuple[float, tuple[float, float], str]:
        """The order at which the moment is 1, its interval, and a doubt; inf where there is none within reach.

        Of samples the interval holds all orders whose sampled moment lies within `width` standard errors of 1; where
        few draws decide, or the variance of what is averaged is not seen, it is (0, inf).
        """
        from scipy.optimize import brentq

        root, error = factor_root(self.fine, self.coarse, LARGEST)
        if not math.isfinite(root):
            return root, (root, root), ""
        if not self.draws:
            return root, (root - error, root + error), ""
        doubt = self._doubt(root)
        if doubt:
            return root, (0.0, math.inf), doubt
        low, high, last = 1e-6 * root, math.inf, root
        if self.studentized(low) < -width:
            low = float(brentq(lambda s: self.studentized(s) + width, low, root))
        else:
            low = 0.0
        for order in root * np.geomspace(1.01, WIDEST, 120):
            if self.studentized(order) > width:
                high = float(brentq(lambda s: self.studentized(s) - width, last, order))
                break
            last = order
        return root, (low, high), ""

    def _doubt(self, root: float) -> str:
        """Why no interval would hold; empty where one does."""
        carried, varied = (
            self.draws * math.exp(min(2 * self.fine(power * root) - self.fine(2 * power * root), 0.0))
            for power in (1, 2)
        )
        if carried >= FEW and varied >= FEWEST:
            return ""
        few, what = (carried, "decide") if carried < FEW else (varied, "decide how far to trust the others")
        return (
            f"about {max(few, 1):.0f} of {self.draws} draws {what}, too few for an interval: with more draws the root "
            "is likely to fall"
        )


def void_lower(reason: str) -> ExponentBound:
    """A lower bound that says nothing."""
    return ExponentBound(0.0, (0.0, 0.0), True, reason)


def void_upper(reason: str) -> ExponentBound:
    """An upper bound that says nothing."""
    return ExponentBound(math.inf, (math.inf, math.inf), True, reason)


def bounds_of_factors(largest: FactorLaw, smallest: FactorLaw | None, confidence: float) -> TailExponentBounds:
    """Bounds from the law of the largest factor K_Psi and, where it is known, of the smallest, k_Psi.

    Raises
    ------
    PositiveLyapunovExponent
        If even the smallest factor does not contract on average: paths run away.
    """
    from scipy.special import ndtri

    width = float(ndtri((1 + confidence) / 2))
    lower = _lower(largest, width)
    if smallest is None:
        return TailExponentBounds(lower, void_upper("k_Psi is not given"))
    mean, error = smallest.mean_log(width)
    refuse_growth(GIVEN, mean - error)
    upper = _upper(smallest, mean + error, width)
    if lower.void and upper.void and _least(largest.fine) >= -ONE and smallest.fine.largest <= ONE:
        return TailExponentBounds(
            lower, upper, "k_Psi <= 1 <= K_Psi at every step, as where every step has an eigenvalue 1: such bounds see "
            "no tail there, light or heavy; of a linear recurrence kesten_index or tail_index decide",
        )  # fmt: skip
    return TailExponentBounds(lower, upper)


def _least(growth: FactorGrowth) -> float:
    """Of the log sizes of some probability."""
    return float(growth.log_sizes[np.isfinite(growth.log_weights)].min(initial=math.inf))


def _shown(mean: float, error: float) -> str:
    return f"E log = {mean:.4g}" + (f" +- {error:.2g}" if error else "")


def _lower(law: FactorLaw, width: float) -> ExponentBound:
    mean, error = law.mean_log(width)
    if law.fine.log_bound is None and _least(law.fine) >= -ONE:
        return void_lower("K_Psi is never below 1: some direction is not contracted")
    if mean + error >= 0:
        seen = "is not seen to contract" if mean < 0 else "does not contract"
        return void_lower(f"K_Psi {seen} on average, {_shown(mean, error)}")
    if law.fine.largest <= ONE:
        if not law.draws:
            return ExponentBound(math.inf, (math.inf, math.inf), reason="K_Psi never exceeds 1")
        largest = math.exp(law.fine.largest)
        alike = _least(law.fine) >= law.fine.largest - SAME
        return void_lower(
            f"none of {law.draws} draws of K_Psi exceeds 1, the largest being {largest:.4g}: rarer ones may, and would "
            "decide" + (f"; if it is always {largest:.4g}, give that number" if alike else "")
        )
    root, interval, doubt = law.root(width)
    if not math.isfinite(root):
        far = f"E K_Psi^{law.reach:.4g} is still below 1, and higher moments are beyond the method"
        return ExponentBound(law.reach, (law.reach, math.inf), reason=far, sampled=law.draws > 0)
    return ExponentBound(root, interval, reason=doubt, sampled=law.draws > 0)


def _upper(law: FactorLaw, most: float, width: float) -> ExponentBound:
    if law.fine.largest <= ONE:
        return void_upper(
            f"none of {law.draws} draws of k_Psi exceeds 1" if law.draws else "k_Psi never exceeds 1"
        )
    if most >= 0:
        return void_upper(f"k_Psi is not seen to contract on average, {_shown(*law.mean_log(width))}")
    root, interval, doubt = law.root(width)
    if not math.isfinite(root):
        return void_upper(f"E k_Psi^{law.reach:.4g} is still below 1, and higher moments are beyond the method")
    return ExponentBound(root, interval, reason=doubt, sampled=law.draws > 0)

"""What every estimator of a tail index returns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TailEstimate:
    """An estimate of the index of the survival function, P(|X| > t) ~ t^-index, with its interval.

    Attributes
    ----------
    index : float
        Infinite where the method sees a tail lighter than every power, or an index beyond the largest that it tells
        from one: then there is no number to report, the interval is [lower, inf), and a warning says so.
    lower, upper : float
        Interval of the index for independent samples; `upper` is infinite where lighter tails cannot be ruled out.
    confidence : float
        What the interval claims. docs/tail_estimators.md holds what it reaches.
    k : int or None
        Order statistics above the threshold; None where the whole sample is fitted.
    method : str
        Estimator and the rule that chose k.
    samples : int
        Length of the sample.
    warnings : tuple of str
        Sentences that say why not to trust the numbers.
    details : mapping of str to float
        Further numbers of the method: the threshold, parameters of a law, p-values.
    """

    index: float
    lower: float
    upper: float
    confidence: float
    k: int | None
    method: str
    samples: int
    warnings: tuple[str, ...] = ()
    details: Mapping[str, float] = field(default_factory=dict)

    def __contains__(self, index: float) -> bool:
        """Whether the interval holds this index."""
        return self.lower <= index <= self.upper

    def __repr__(self) -> str:
        """One line: index, interval, method, k of n, and how many warnings."""
        numbers = f"index {_shown(self.index)} in [{_shown(self.lower)}, {_shown(self.upper)}]"
        used = f"n={self.samples}" if self.k is None else f"k={self.k} of {self.samples}"
        count = len(self.warnings)
        ending = "" if not count else f", {count} warning{'s' if count > 1 else ''}"
        return f"TailEstimate({numbers} at {100 * self.confidence:g} %, {self.method}, {used}{ending})"

    def __str__(self) -> str:
        """The line of `repr`, the details, and the warnings in full."""
        details = ", ".join(f"{name} = {_shown(value)}" for name, value in self.details.items())
        return "\n".join([repr(self), *([details] if details else []), *(f"! {text}" for text in self.warnings)])


def reciprocal(shape: float) -> float:
    """The index 1 / shape of an extreme-value shape; infinite for shapes of at most zero, of light tails."""
    return 1 / shape if shape > 0 else math.inf


def _shown(value: float) -> str:
    return "infinite" if value == math.inf else f"{value:.4g}"

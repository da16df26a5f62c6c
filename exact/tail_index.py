"""Tail indices: how a stationary law falls off at infinity, P(|X| > t) ~ t^-index, as the root of a moment's growth.

With k(s) = lim (E |A_n ... A_1|^s)^(1/n) of the linear part (of a diffusion, its generator), log k is convex, 0 at 0
and has the Lyapunov exponent as its slope there; the index is its positive root (Kesten 1973, Goldie
1991), formula kesten-index.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from .errors import PositiveLyapunovExponent
from .written_numbers import known

LARGEST = 1e4  # index from which on nobody would see a power
SMALLEST = 1e-9  # index below which growth is rounding
TOLERANCE = 1e-13
SHOWN_ERROR = 1e-6  # of an index in a sentence, relative, from which the sentence has it
BOUNDED = "bounded support"  # method of an index that is infinite because the law is
GIVEN = "the recurrence"  # how one is called whose factors the user gives


@dataclass(frozen=True)
class TailIndex:
    """Tail index of a stationary law: E |X|^p is finite for p below it and infinite above.

    Attributes
    ----------
    index : float
        math.inf where every moment is finite; `note` says why.
    error : float
        Of the index: numerical where the method is deterministic, half an interval where it samples.
    method : str
        How it was found, in words.
    lyapunov_exponent : float
        Rate per SGD step at which two paths with the same noise part, log of their distance; below zero where a
        stationary law exists. nan where the method does not need it.
    lyapunov_error : float
        Of that exponent; nan where it is not known.
    note : str
        What to know of the number; empty where it is all that there is to say.
    proved : bool
        False where a part of the argument was only seen in a simulation; `note` says which.
    """

    index: float
    error: float
    method: str
    lyapunov_exponent: float = math.nan
    lyapunov_error: float = math.nan
    note: str = ""
    proved: bool = True

    @property
    def lower(self) -> float:
        """Index less its error, not below zero."""
        return max(0.0, self.index - self.error)

    @property
    def upper(self) -> float:
        """Index and its error."""
        return self.index + self.error

    def __repr__(self) -> str:
        number = "infinite" if math.isinf(self.index) else f"{known(self.index, self.error)} +- {self.error:.2g}"
        error = "" if math.isnan(self.lyapunov_error) else f" +- {self.lyapunov_error:.2g}"
        exponent = f"; Lyapunov exponent {known(self.lyapunov_exponent, self.lyapunov_error)}{error} a step"
        exponent = "" if math.isnan(self.lyapunov_exponent) else exponent
        note = f"; {self.note}" if self.note else ""
        return f"TailIndex({number}; {self.method}{exponent}{note})"


def refuse_growth(label: str, exponent: float, error: float = 0.0, remedy: str = "") -> None:
    """Raise where the linear part does not contract, or its exponent cannot be told from 0; `remedy`: what would help.

    Raises
    ------
    PositiveLyapunovExponent
    """
    usual = "give factors that are smaller on average" if label == GIVEN else (
        "lower the step size or raise the batch size"
    )  # fmt: skip
    remedy = remedy or usual
    if exponent >= 0:
        raise PositiveLyapunovExponent(
            f"{label} has no stationary law, so no tail index: its Lyapunov exponent is {exponent:.4g} a step, not "
            f"below 0; {remedy}",
            lyapunov_exponent=exponent,
        )
    if exponent + error >= 0:
        raise PositiveLyapunovExponent(
            f"{label} has no stationary law that could be shown, so no tail index: its Lyapunov exponent, "
            f"{exponent:.4g} +- {error:.2g} a step, cannot be told from 0; {remedy}",
            lyapunov_exponent=exponent,
        )


def at_rest(found: TailIndex, state: str) -> TailIndex:
    """Where the noise dies with the risk: the law is a point, and the root tells which moments of `state` fall."""
    root = f"{found.index:.6g}" + (f" +- {found.error:.1g}" if found.error > SHOWN_ERROR * found.index else "")
    said = (
        "the risk is zero at the minimiser and there is no label noise: paths end there, and no other law is "
        f"stationary; E |{state} - minimiser|^p falls to zero for p below {root} and grows above it"
    )
    return replace(found, index=math.inf, error=0.0, note=f"{said}; {found.note}" if found.note else said)


def positive_root(
    log_growth: Callable[[float], float], largest: float = LARGEST, precision: float = TOLERANCE,
    smallest: float = SMALLEST,
) -> float:  # fmt: skip
    """The positive root of a convex function that is 0 at 0; inf where none is up to `largest`, 0 where it rises.

    Or of that function over its argument, where the root may be as small as it likes: smallest=0.
    """
    from scipy.optimize import brentq

    high = min(1.0, largest)
    while log_growth(high) <= 0:
        if high >= largest:
            return math.inf
        high = min(2 * high, largest)
    low = high / 2
    while log_growth(low) > 0:  # 0 and this one then lie between
        if low <= smallest:
            return 0.0
        low, high = low / 2, low
    return float(brentq(log_growth, low, high, xtol=precision * low, rtol=max(precision * 1e-2, 8.9e-16 * 4)))

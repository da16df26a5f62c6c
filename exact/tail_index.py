"""Tail indices: how a stationary law falls off at infinity, P(|X| > t) ~ t^-index, as the root of a moment's growth.

With k(s) = lim (E |A_n ... A_1|^s)^(1/n) of the linear part (of a diffusion, its generator), log k is convex, 0 at 0
and has the Lyapunov exponent as its slope there; the index is its positive root (Kesten 1973, Goldie 1991).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .errors import NoStationaryLaw

LARGEST = 1e4  # index from which on nobody would see a power
TOLERANCE = 1e-13


@dataclass(frozen=True)
class TailIndex:
    """P(|X| > t) falls as t^-index.

    Attributes
    ----------
    index : float
        inf where every moment is finite.
    error : float
        Bound of the numerical error, or half an interval where it was sampled.
    method : str
    lyapunov_exponent : float
        Growth of log |X| per step of the linear part; below 0.
    note : str
        What must be said beside it, or nothing.
    """

    index: float
    error: float
    method: str
    lyapunov_exponent: float
    note: str = ""

    def __repr__(self) -> str:
        shown = f"TailIndex({self.index:.6g} +- {self.error:.1g}" if math.isfinite(self.index) else "TailIndex(inf"
        said = f"; {self.note}" if self.note else ""
        return f"{shown}, by {self.method}; Lyapunov exponent {self.lyapunov_exponent:.4g} a step{said})"


def refuse_growth(label: str, exponent: float) -> None:
    """Raise where the linear part does not contract.

    Raises
    ------
    NoStationaryLaw
        With the exponent.
    """
    if exponent >= 0:
        raise NoStationaryLaw(
            f"{label} has no stationary law, so no tail index: its Lyapunov exponent is {exponent:.4g} a step, not "
            "below 0; lower the step size or raise the batch size",
            math.nan,
        )


def positive_root(log_growth: Callable[[float], float], largest: float = LARGEST) -> float:
    """The positive root of a convex function that is 0 at 0 and falls there; inf where none is up to `largest`."""
    from scipy.optimize import brentq

    high = 1.0
    while log_growth(high) <= 0:
        if high >= largest:
            return math.inf
        high = min(2 * high, largest)
    low = high / 2
    while log_growth(low) > 0:  # 0 and this one then lie between
        low, high = low / 2, low
    return float(brentq(log_growth, low, high, xtol=TOLERANCE * low, rtol=8.9e-16 * 4))

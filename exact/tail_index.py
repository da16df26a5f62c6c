"""The result type of exact tail indices, of recurrences and of diffusions alike."""

from __future__ import annotations

import math
from dataclasses import dataclass


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
    """

    index: float
    error: float
    method: str
    lyapunov_exponent: float = math.nan
    lyapunov_error: float = math.nan
    note: str = ""

    @property
    def lower(self) -> float:
        """Index less its error, not below zero."""
        return max(0.0, self.index - self.error)

    @property
    def upper(self) -> float:
        """Index and its error."""
        return self.index + self.error

    def __repr__(self) -> str:
        number = "infinite" if math.isinf(self.index) else f"{self.index:.10g} +- {self.error:.2g}"
        error = "" if math.isnan(self.lyapunov_error) else f" +- {self.lyapunov_error:.2g}"
        known = f"; Lyapunov exponent {self.lyapunov_exponent:.6g}{error} a step"
        known = "" if math.isnan(self.lyapunov_exponent) else known
        note = f"; {self.note}" if self.note else ""
        return f"TailIndex({number}; {self.method}{known}{note})"

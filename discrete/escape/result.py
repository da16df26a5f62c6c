"""What is handed back of an escape: a rate, an exponent, where paths are before it, and where they leave."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, function
from sgdlimits.exact.written_numbers import known, rounded


@dataclass(frozen=True, eq=False)
class WeightedPoints:
    """A law of weighted points: where paths are that have not left, or where those that leave do so.

    Attributes
    ----------
    points : (n, d) array
    masses : (n,) array
        Of sum 1.
    """

    points: np.ndarray
    masses: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """(d,)."""
        return self.masses @ self.points

    @property
    def covariance(self) -> np.ndarray:
        """(d, d)."""
        away = self.points - self.mean
        return (away * self.masses[:, None]).T @ away

    def expectation(self, of) -> float:
        """Mean of a function of positions (n, d) with values (n,)."""
        function("of", of, "of positions (n, d)")
        values = np.asarray(of(self.points.copy()), dtype=float)
        if values.shape != self.masses.shape:
            raise InvalidInput(f"the function must give {self.masses.size} values, got shape {values.shape}")
        return float(self.masses @ values)

    def __repr__(self) -> str:
        return f"WeightedPoints({len(self.points)} points, mean {np.array2string(self.mean, precision=4)})"


@dataclass(frozen=True, eq=False)
class EscapeRate:
    """Rate of escape a step: 1 less the factor by which the share of paths that are still inside shrinks each step.

    Attributes
    ----------
    rate : float
        Per step.
    error : float
        Numerical: the change from one resolution to the next. Of a simulation half of its interval.
    method : {"transfer", "splitting", "kramers", "walls"}
    quasi_stationary : WeightedPoints or None
        The law of paths that have not left for a long time.
    exits : WeightedPoints or None
        Where paths leave.
    interval : tuple of float, optional
        Of a simulation, at 95 %: as far from the rate above as below on the scale of logarithms.
    note : str
    """

    rate: float
    error: float
    method: str
    quasi_stationary: WeightedPoints | None = None
    exits: WeightedPoints | None = None
    interval: tuple[float, float] | None = None
    note: str = ""

    @property
    def sampled(self) -> bool:
        """Whether the rate is measured from paths."""
        return self.interval is not None

    @property
    def lower(self) -> float:
        """End of the interval; of a computed rate, that less its error, not below zero."""
        return max(0.0, self.rate - self.error) if self.interval is None else self.interval[0]

    @property
    def upper(self) -> float:
        """End of the interval; of a computed rate, that and its error."""
        return self.rate + self.error if self.interval is None else self.interval[1]

    @property
    def mean_steps(self) -> float:
        """Mean number of steps to the escape from the quasi-stationary law: it is geometric."""
        return 1 / self.rate

    def __repr__(self) -> str:
        error = (
            "no bound on its error" if math.isnan(self.error)
            else f"+- {self.error:.2g}{' (95 %)' if self.sampled else ''}"
        )  # fmt: skip
        note = f"; {self.note}" if self.note else ""
        return f"EscapeRate({rounded(self.rate, self.error)} a step, {error}; {self.method}{note})"


@dataclass(frozen=True, eq=False)
class EscapeExponent:
    """-log of the rate, to leading order in small noise: the cheapest way out.

    Attributes
    ----------
    exponent : float
        At the noise of the process.
    error : float
        Change when the path is made longer.
    path : (N + 1, d) array
        The cheapest path, from the minimum to where nothing more is to be paid.
    in_kramers : float
        exponent over that of Kramers' formula, nan where there is none.
    note : str
    """

    exponent: float
    error: float
    path: np.ndarray
    in_kramers: float = math.nan
    note: str = ""

    @property
    def direction(self) -> np.ndarray:
        """Unit vector (d,) from the minimum to the end of the path."""
        away = self.path[-1] - self.path[0]
        return away / np.linalg.norm(away)

    def __repr__(self) -> str:
        ratio = "" if math.isnan(self.in_kramers) else f", {self.in_kramers:.6g} times that of Kramers' formula"
        end = np.array2string(self.path[-1], precision=4)
        note = f"; {self.note}" if self.note else ""
        return f"EscapeExponent({known(self.exponent, self.error)} +- {self.error:.2g}{ratio}; to {end}{note})"

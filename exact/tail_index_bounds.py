"""Bounds of the tail index of homogenized SGD, on both sides of the mean-square threshold. Derived.

In modes dz_i = -rate_i z_i dt + step_size sqrt((2 L(z) + s^2) lambda_i / B) dW_i, per SGD step. With
kappa_i = step_size lambda_i^2 / rate_i, kappa_1 the largest and S their sum, V = (1 + z^T P z)^(p/2) of
P_i = lambda_i / rate_i and w_i the shares of z^T P z,

    generator V / V -> (p / 2) (sum w_i rate_i) [(step_size / B) (S + (p - 2) sum w_i kappa_i) - 2]   at infinity.

Let F(kappa) = 2 + (2 B / step_size - S) / kappa.

* Where the bracket is negative for all w, E V stays bounded, and p is at most the index.
* Where it is positive for all w, E V grows without bound from every start far enough out. If E V were finite under the
  stationary law, it would stay what it is although it grows from a set of positive mass: p is at least the index.

Below the threshold F falls in kappa, F(kappa_1) >= 2, and the bracket is negative for p < F(kappa_1), positive for
p > F(smallest kappa). Above it F rises, and both change sides: index >= F(smallest kappa), index <= F(kappa_1) < 2.
Moreover u_1^T z is in convex order above a one-dimensional Pearson diffusion, because L is at least its least value
along a coordinate and a linear drift preserves convexity: index <= eta^* = 1 + 2 B / (step_size kappa_1) everywhere.
Both below the threshold: formula hsgd-tail-bounds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .errors import PositiveLyapunovExponent
from .stationary_law import THRESHOLD_ERROR


@dataclass(frozen=True)
class TailIndexBounds:
    """lower <= index <= upper; unpacks to the two.

    Attributes
    ----------
    lower, upper : float
        Below the threshold eta_* = F(kappa_1) and eta^*; at it 2 and 2; above it max(0, F(smallest kappa)) and
        min(eta^*, F(kappa_1)). F and the etas stand in the module's text.
    lower_proved, upper_proved : bool
        Whether a proof is known, for the step size asked.
    regime : str
        "below the threshold", "at the threshold" or "above the threshold": of the step sizes up to which the stationary
        second moment is finite.
    pearson_upper : float
        eta^*, from the convex order, in every regime.
    sharpest_upper : float
        The least of all upper bounds: below the threshold F(smallest kappa) may lie below eta^*.
    """

    lower: float
    upper: float
    lower_proved: bool
    upper_proved: bool
    regime: str
    pearson_upper: float
    sharpest_upper: float

    def __iter__(self) -> Iterator[float]:
        return iter((self.lower, self.upper))

    @property
    def void(self) -> bool:
        """Whether the lower bound is 0, which says nothing."""
        return self.lower == 0

    def __repr__(self) -> str:
        sides = " and ".join(
            f"{name} bound {'proved' if proved else 'not proved'}"
            for name, proved in (("lower", self.lower_proved), ("upper", self.upper_proved))
        )
        void = "; the lower bound is void" if self.void else ""
        return f"TailIndexBounds({self.lower:.6g} <= index <= {self.upper:.6g}; {self.regime}; {sides}{void})"


def homogenized_bounds(
    eigenvalues: np.ndarray, rates: np.ndarray, step_size: float, batch_size: int
) -> TailIndexBounds:
    """Bounds for homogenized SGD whose risk is not zero at the minimiser.

    Parameters
    ----------
    eigenvalues : (r,) array
        Of the Hessian of the risk, all above zero.
    rates : (r,) array
        Decay of the modes' mean per SGD step, all above zero, whatever the order of the drift.
    step_size : float
    batch_size : int

    Raises
    ------
    PositiveLyapunovExponent
        If the upper bound is not above 0: the Lyapunov exponent is not below zero, and no stationary law exists.
    """
    kappa = step_size * eigenvalues**2 / rates
    total, largest, least = float(kappa.sum()), float(kappa.max()), float(kappa.min())
    room = 2 * batch_size / step_size - total

    def f(kappa: float) -> float:
        return 2 + room / kappa

    pearson = 1 + 2 * batch_size / (step_size * largest)
    if abs(room) <= THRESHOLD_ERROR * total:
        return TailIndexBounds(2.0, 2.0, True, True, "at the threshold", pearson, 2.0)
    if room > 0:
        return TailIndexBounds(
            f(largest), pearson, True, True, "below the threshold", pearson, min(pearson, f(least))
        )
    upper = min(pearson, f(largest))
    if upper <= 0:
        raise PositiveLyapunovExponent(
            f"step_size is {step_size:g}, so large that all moments of homogenized SGD grow without bound, and no "
            f"stationary law exists: the upper bound of its tail index is {upper:.6g}; lower the step size or raise "
            "the batch size"
        )
    return TailIndexBounds(max(0.0, f(least)), upper, True, True, "above the threshold", pearson, upper)

"""How a tail settles, x = C p^-gamma (1 + gamma beta p^-rho / rho), and Hill's estimate freed of the second term."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

RANGE = (-1.0, -0.4)  # rho of Student's t with 2 and with 5 degrees of freedom: no sample of 10^4 tells which
SETTLES = -0.5  # rho within this range
USUAL = 400.0  # order statistics of 10^4 samples
SHRINK = 1.5  # a tail that is still bending is looked at so much farther out


@dataclass(frozen=True)
class Line:
    """Scaled log-spacings as gamma + slope (j / (k + 1))^-rho.

    Attributes
    ----------
    gamma, error : float
        Limit at j = 0, that is 1 / index, and its standard error.
    slope : float
    bend : float
        Square term of the same power in its standard errors: a normal variable where the line is enough.
    """

    gamma: float
    error: float
    slope: float
    bend: float


def spacings(above: np.ndarray) -> np.ndarray:
    """j log(x_(j) / x_(j+1)) for j = 1 ... k (k,), independent exponentials of mean 1 / index for a pure power."""
    return np.arange(1, len(above) + 1) * (above - np.append(above[1:], 0.0))


def line(scaled: np.ndarray, rho: float = SETTLES) -> Line:
    """Least squares for scaled spacings (k,): Feuerverger and Hall (1999), Beirlant et al. (1999), with a known rho."""
    k = len(scaled)
    power = (np.arange(1, k + 1) / (k + 1)) ** -rho
    centred = power - power.mean()
    per_slope = centred / (centred @ centred)
    per_gamma = 1 / k - power.mean() * per_slope
    gamma, slope = float(per_gamma @ scaled), float(per_slope @ scaled)
    # An exponential's standard deviation is its mean, which the line gives; it cannot fall below zero.
    spread = np.maximum(gamma + slope * power, 0.05 * scaled.mean())
    square = np.square(centred)
    square -= square.mean() + centred * (per_slope @ square)
    bend = float(square @ scaled / np.linalg.norm(spread * square))
    return Line(gamma, float(np.linalg.norm(spread * per_gamma)), slope, bend)


def line_of_range(scaled: np.ndarray, quantile: float, rho: float | None = None) -> tuple[Line, float, float]:
    """The line, and the ends of the interval of gamma that holds whatever rho within `RANGE` is the right one.

    `quantile` of the normal law. A rho given stands alone.
    """
    found = line(scaled, SETTLES if rho is None else rho)
    lines = [line(scaled, each) for each in RANGE] if rho is None else []
    lower, upper = (
        [each.gamma + sign * quantile * each.error for each in (found, *lines)] for sign in (-1, 1)
    )  # fmt: skip
    return found, min(lower), max(upper)


def usual_count(n: int, most: int) -> int:
    """k of the corrected estimate before any look at the sample: 400 of 10^4, growing as n^(2/3)."""
    return int(min(most, n // 4, USUAL * (n / 1e4) ** (2 / 3)))


def fewest_for(k: int) -> int:
    """Length of a sample from which that count is at least k."""
    return max(4 * k, math.ceil(1e4 * (k / USUAL) ** 1.5))


def estimate_rho(logs: np.ndarray, k: int) -> float:
    """rho by Fraga Alves, Gomes and de Haan (2003) with tau = 0, from the k largest; logs (m,), largest first."""
    above = logs[:k] - logs[k]
    first, second, third = (float((above**p).mean()) for p in (1, 2, 3))
    a, b, c = np.log(first), np.log(second / 2) / 2, np.log(third / 6) / 3
    if b == c:
        return -2.0
    ratio = (a - b) / (b - c)
    rho = -abs(3 * (ratio - 1) / (ratio - 3)) if ratio != 3 else -2.0
    return float(np.clip(rho, -2.0, -0.1))


def estimate_beta(scaled: np.ndarray, rho: float, n: int) -> float:
    """beta by Gomes and Martins (2002), from scaled spacings (k,) of n samples."""
    k = len(scaled)
    place = np.arange(1, k + 1) / k
    one, two = place**-rho, place ** (-2 * rho)
    top = one.mean() * scaled.mean() - (one * scaled).mean()
    bottom = one.mean() * (one * scaled).mean() - (two * scaled).mean()
    return float((k / n) ** rho * top / bottom) if bottom else 0.0

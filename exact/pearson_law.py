"""The stationary law of dY = -rate Y dt + sqrt(quadratic Y^2 + slope Y + floor) dW: Pearson's type IV. Derived.

With D = quadratic y^2 + slope y + floor, discriminant = 4 quadratic floor - slope^2 > 0 and
index = 1 + 2 rate / quadratic,

    density ~ D^(-(index + 1) / 2) exp(skew arctan((2 quadratic y + slope) / sqrt(discriminant))),
    skew = 2 rate slope / (quadratic sqrt(discriminant)).

In phi, y = (sqrt(discriminant) tan(phi) - slope) / (2 quadratic), it is cos(phi)^(index - 1) exp(skew phi), which is
integrated by Gauss's rules. Limits: slope = 0 is Student's t; quadratic = slope = 0 is normal; discriminant = 0 is a
reciprocal gamma law on the side of the double root where 0 lies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

from .errors import InvalidInput, NoStationaryLaw, PositiveLyapunovExponent, real_array, whole_number

NODES = 60  # of Gauss's rule on the whole of a side, and on each panel
PANELS = 4  # of a side, where the density in phi is narrow
HALVINGS = 40
BLOCK = 4096  # points of one array of nodes
NARROW = 40.0  # index, or skew times angle, from which on it is
FAR = 40.0  # nats below the mode at which the density in phi is cut where it is narrow
TOUCHING = 1e-13  # discriminant over slope^2, at which the roots have met


@dataclass(frozen=True)
class PearsonLaw:
    """The law; `cdf`, `sf`, `pdf` and `quantile` take arrays.

    Parameters
    ----------
    rate : float
        Above -quadratic / 2, and above zero where there is no quadratic.
    quadratic, slope, floor : float
        Of the noise; a square that is nowhere negative.

    Raises
    ------
    InvalidInput
        If the noise is negative somewhere, or vanishes at 0 where nothing drives the process away.
    NoStationaryLaw
        If the process runs away.
    """

    rate: float
    quadratic: float
    slope: float
    floor: float

    def __post_init__(self) -> None:
        check_noise(self.quadratic, self.slope, self.floor)
        lyapunov = -self.rate - self.quadratic / 2
        if lyapunov >= 0:
            raise PositiveLyapunovExponent(
                f"rate is {self.rate:g} and quadratic {self.quadratic:g}, so paths part at the rate {lyapunov:g} and "
                "there is no stationary law; it needs rate > -quadratic / 2",
                lyapunov_exponent=lyapunov,
            )
        if self.floor == 0:
            raise InvalidInput(
                "floor is 0: the noise vanishes at 0, where the process ends, and the stationary law is that point"
            )
        if self._one_sided and self.rate <= 0:
            raise NoStationaryLaw(
                f"rate is {self.rate:g} and the noise vanishes at {self._root:g}, which paths are driven over for ever"
            )

    @property
    def index(self) -> float:
        """Tail index 1 + 2 rate / quadratic; infinite for a normal law."""
        return 1 + 2 * self.rate / self.quadratic if self.quadratic else math.inf

    @property
    def _discriminant(self) -> float:
        return 4 * self.quadratic * self.floor - self.slope**2

    @property
    def _one_sided(self) -> bool:
        return self.slope != 0 and self._discriminant <= TOUCHING * self.slope**2

    @property
    def _root(self) -> float:
        return -self.slope / (2 * self.quadratic)

    @property
    def _skew(self) -> float:
        return 2 * self.rate * self.slope / (self.quadratic * math.sqrt(self._discriminant))

    @property
    def support(self) -> tuple[float, float]:
        """Where the density is above zero."""
        if not self._one_sided:
            return -math.inf, math.inf
        return (self._root, math.inf) if self._root < 0 else (-math.inf, self._root)

    def moment(self, order: int) -> float:
        """E Y^order; inf from the tail index on (of an odd order too, whose mean does not exist)."""
        order = whole_number("order", order, 0)
        if order >= self.index:
            return math.inf
        values = [1.0, 0.0]
        for j in range(2, order + 1):
            pairs = j * (j - 1) / 2
            push = self.slope * values[j - 1] + self.floor * values[j - 2]
            values.append(pairs * push / (j * self.rate - pairs * self.quadratic))
        return values[order]

    @property
    def mean(self) -> float:
        """0, or inf where there is none."""
        return self.moment(1)

    @property
    def variance(self) -> float:
        """floor / (2 rate - quadratic), or inf."""
        return self.moment(2)

    def pdf(self, y: np.ndarray) -> np.ndarray:
        """Density at y."""
        y = real_array("y", y)
        if not self.quadratic:
            far = np.minimum(np.abs(y) * math.sqrt(self.rate / self.floor), 100.0)  # where nothing is left
            return np.exp(-(far**2)) * math.sqrt(self.rate / (math.pi * self.floor))
        if self._one_sided:
            u = np.abs(y - self._root)
            inside = (y - self._root) * -self._root > 0
            safe = np.where(inside, u, 1.0)
            logs = self.index * math.log(self._scale) - special.gammaln(self.index)
            return np.where(inside, np.exp(logs - (self.index + 1) * np.log(safe) - self._scale / safe), 0.0)
        jacobian = 2 * self.quadratic / math.sqrt(self._discriminant)
        phi = self._angle(y)
        # The cosine from y itself: of cos(phi) nothing is left near +-pi/2.
        cosine = -np.log(np.hypot(1.0, jacobian * (y - self._root)))
        return jacobian * np.exp((self.index + 1) * cosine + self._skew * phi - self._log_mass)

    def cdf(self, y: np.ndarray) -> np.ndarray:
        """P(Y <= y), with relative accuracy in the left tail."""
        return self._below(real_array("y", y), 1.0)

    def sf(self, y: np.ndarray) -> np.ndarray:
        """P(Y > y), with relative accuracy in the right tail."""
        return self._below(-real_array("y", y), -1.0)

    def quantile(self, probability: np.ndarray) -> np.ndarray:
        """The y with P(Y <= y) = probability, which is above 0 and below 1."""
        probability = real_array("probability", probability)
        if not ((probability > 0) & (probability < 1)).all():
            raise InvalidInput("probability must lie above 0 and below 1")
        return np.vectorize(self._quantile, otypes=[float])(probability)

    def _quantile(self, probability: float) -> float:
        from scipy.optimize import brentq

        upper = probability > 0.5
        log_target = math.log1p(-probability) if upper else math.log(probability)
        side: Callable[..., np.ndarray] = self.sf if upper else self.cdf

        # In t, y = unit sinh(t), tails of powers are straight lines.
        unit = self._unit

        def gap(t: float) -> float:
            value = float(side(np.array(unit * math.sinh(t))))
            return (math.log(value) if value > 0 else -1e4) - log_target

        return unit * math.sinh(brentq(gap, -300.0, 300.0, xtol=1e-14, rtol=1e-14))

    @property
    def _unit(self) -> float:
        return math.sqrt(self.floor / (2 * abs(self.rate) + self.quadratic))

    @property
    def _scale(self) -> float:
        """Of the reciprocal gamma law."""
        return 2 * self.rate * abs(self._root) / self.quadratic

    def _angle(self, y: np.ndarray) -> np.ndarray:
        return np.arctan((2 * self.quadratic * y + self.slope) / math.sqrt(self._discriminant))

    @cached_property
    def _log_mass(self) -> float:
        """log of the integral of cos^(index - 1) exp(skew phi); a closed form."""
        power, skew = self.index - 1, self._skew
        gamma = special.loggamma(1 + (power + 1j * skew) / 2).real
        return math.log(math.pi) + float(special.gammaln(power + 1)) - power * math.log(2) - 2 * gamma

    def _below(self, y: np.ndarray, sign: float) -> np.ndarray:
        """P(sign Y <= y)."""
        if not self.quadratic:
            return special.ndtr(y * math.sqrt(2 * self.rate / self.floor))
        if self._one_sided:
            u = sign * y - self._root
            share = special.gammaincc(self.index, self._scale / np.where(u == 0, 1.0, np.abs(u)))
            inside, right = u * -self._root > 0, self._root < 0
            if right == (sign > 0):  # the tail is not asked for
                return np.where(inside, share, 0.0)
            rest = special.gammainc(self.index, self._scale / np.where(u == 0, 1.0, np.abs(u)))
            return np.where(inside, rest, 1.0)
        if self.slope == 0:
            scale = math.sqrt(self.floor / (self.quadratic * self.index))
            return special.stdtr(self.index, y / scale)
        # The angles above -pi/2 and below pi/2, each with all its digits in its tail.
        root, place = math.sqrt(self._discriminant), 2 * self.quadratic * y + sign * self.slope
        psi, rest = np.arctan2(root, -place), np.arctan2(root, place)
        mode = math.pi / 2 + (math.atan(sign * self._skew / (self.index - 1)) if self.index > 1 else 0.0)
        far = psi > mode  # from the smaller side
        parts = self._integral(np.where(far, rest, psi).ravel(), np.where(far, -sign, sign).ravel())
        parts = parts.reshape(psi.shape)
        return np.where(far, 1 - parts, parts)

    def _integral(self, psi: np.ndarray, sign: np.ndarray) -> np.ndarray:
        """Mass (n,) of the angles of sign * phi within psi (n,) of the end -pi/2."""
        found, skew = np.zeros(psi.size), sign * self._skew
        narrow = (self.index >= NARROW) | (skew * psi > NARROW)
        for rule, chosen in ((self._from_the_end, ~narrow), (self._from_the_top, narrow)):
            some = np.flatnonzero(chosen & (psi > 0))
            for part in np.array_split(some, 1 + some.size // BLOCK):
                found[part] = rule(psi[part, None], skew[part, None])
        return found

    def _from_the_end(self, psi: np.ndarray, skew: np.ndarray) -> np.ndarray:
        """By Gauss and Jacobi's rule, which knows the power at the end."""
        power = self.index - 1
        nodes, weights = special.roots_jacobi(NODES, 0.0, power)
        u = (nodes + 1) / 2
        logs = power * np.log(np.sinc(psi * u / math.pi)) + skew * (psi * u - math.pi / 2) - self._log_mass
        return np.exp(logs + self.index * np.log(psi / 2)) @ weights

    def _from_the_top(self, psi: np.ndarray, skew: np.ndarray) -> np.ndarray:
        """On panels from psi, where a concave logarithm is largest, down to where nothing is left."""

        def log_density(at: np.ndarray) -> np.ndarray:
            return (self.index - 1) * np.log(np.sin(at)) + skew * (at - math.pi / 2) - self._log_mass

        nodes, weights = special.roots_legendre(NODES)
        low, high, level = psi * 1e-12, psi, log_density(psi) - FAR
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            beyond = log_density(middle) < level
            low, high = np.where(beyond, middle, low), np.where(beyond, high, middle)
        total, half = np.zeros(len(psi)), (psi - low) / (2 * PANELS)
        for panel in range(PANELS):
            total += np.exp(log_density(low + (2 * panel + 1) * half + half * nodes)) @ weights
        return total * half[:, 0]


def check_noise(quadratic: float, slope: float, floor: float) -> None:
    """Raise where quadratic y^2 + slope y + floor is negative for some y, or zero for all."""
    if quadratic < 0 or floor < 0 or slope**2 > 4 * quadratic * floor * (1 + TOUCHING):
        raise InvalidInput(
            f"the squared noise {quadratic:g} y^2 + {slope:g} y + {floor:g} is negative for some y: it needs quadratic "
            "and floor of at least 0 and slope^2 of at most 4 quadratic floor"
        )
    if not quadratic and not floor:
        raise InvalidInput("quadratic, slope and floor are all 0: there is no noise")

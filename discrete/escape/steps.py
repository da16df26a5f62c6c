"""Law of one step on a line: density, and the chance to leave an interval, without cancellation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

Array = np.ndarray


class LineSteps(ABC):
    """z = carried(w) + v + a random move; v is what momentum adds.

    Attributes
    ----------
    singular : bool
        Whether the density has a singular point or a kink, at carried(w) + v.
    """

    singular = False

    @abstractmethod
    def mean(self, w: Array) -> Array:
        """Expected z (P,) where v is 0."""

    @abstractmethod
    def width(self, w: Array) -> Array:
        """Standard deviation (P,) of the narrowest part of the move."""

    @abstractmethod
    def density(self, w: Array, v: Array, z: Array) -> Array:
        """Density at z (P, Z) from w (P,) with v (P,)."""

    @abstractmethod
    def leaving(self, w: Array, v: Array, lower: float, upper: float) -> Array:
        """P(z <= lower or z >= upper), (P,); a bound may be infinite."""

    def carried(self, w: Array) -> Array:
        """Where z is without a move, (P,)."""
        return w

    def steepness(self, w: Array) -> Array:
        """How fast the mean moves with w, (P,), at least 1: the law must be resolved as finely in w."""
        move = 1e-5 * np.maximum(self.width(w), 1e-300)
        return np.maximum(1.0, np.abs(self.mean(w + move) - self.mean(w - move)) / (2 * move))


@dataclass(frozen=True, eq=False)
class GaussianSteps(LineSteps):
    """A mixture of R Gaussian laws; `parts(w)` gives means (P, R) and standard deviations (P, R)."""

    parts: Any
    weights: Array

    def mean(self, w: Array) -> Array:
        return self.parts(w)[0] @ self.weights

    def width(self, w: Array) -> Array:
        return self.parts(w)[1].min(axis=1)

    def density(self, w: Array, v: Array, z: Array) -> Array:
        out = np.zeros(z.shape)
        for mean, sd, weight in zip(*(part.T for part in self.parts(w)), self.weights, strict=True):
            out += np.exp(-0.5 * np.square((z - (mean + v)[:, None]) / sd[:, None])) * (
                weight / (np.sqrt(2 * np.pi) * sd[:, None])
            )
        return out

    def leaving(self, w: Array, v: Array, lower: float, upper: float) -> Array:
        means, sds = self.parts(w)
        means = means + v[:, None]
        return (ndtr((lower - means) / sds) + ndtr((means - upper) / sds)) @ self.weights

    def steepness(self, w: Array) -> Array:
        move = 1e-5 * self.width(w)
        slopes = (self.parts(w + move)[0] - self.parts(w - move)[0]) / (2 * move[:, None])
        return np.maximum(1.0, np.abs(slopes).max(axis=1))


@dataclass(frozen=True, eq=False)
class LawSteps(LineSteps):
    """z = drift(w) + v - step_size xi with xi of a law with a density."""

    drift: Any
    step_size: float
    deviation: float
    frozen: Any

    def mean(self, w: Array) -> Array:
        return self.drift(w)

    def carried(self, w: Array) -> Array:
        return self.drift(w)

    def width(self, w: Array) -> Array:
        return np.full(w.shape, self.step_size * self.deviation)

    def density(self, w: Array, v: Array, z: Array) -> Array:
        return self.frozen.pdf(((self.drift(w) + v)[:, None] - z) / self.step_size) / self.step_size

    def leaving(self, w: Array, v: Array, lower: float, upper: float) -> Array:
        centre = self.drift(w) + v
        return self.frozen.sf((centre - lower) / self.step_size) + self.frozen.cdf((centre - upper) / self.step_size)


@dataclass(frozen=True, eq=False)
class NesterovSteps(LineSteps):
    """z = moved + momentum (moved - before), moved = a step of `plain` from w: its move is 1 + momentum times as large.

    v is momentum (carried(w) - before), as it is momentum (w - before) for the heavy ball.
    """

    plain: Any
    momentum: float

    @property
    def singular(self) -> bool:  # type: ignore[override]
        return self.plain.singular

    def carried(self, w: Array) -> Array:
        return self.plain.carried(w)

    def mean(self, w: Array) -> Array:
        return self.carried(w) + (1 + self.momentum) * (self.plain.mean(w) - self.carried(w))

    def width(self, w: Array) -> Array:
        return (1 + self.momentum) * self.plain.width(w)

    def steepness(self, w: Array) -> Array:
        return self.plain.steepness(w)

    def density(self, w: Array, v: Array, z: Array) -> Array:
        centre = self.carried(w)[:, None]
        moved = centre + (z - centre - v[:, None]) / (1 + self.momentum)
        return self.plain.density(w, np.zeros_like(v), moved) / (1 + self.momentum)

    def density_away(self, w: Array, v: Array, away: Array) -> Array:
        """Density (P, Z) at carried(w) + v + away."""
        return self.plain.density_away(w, v, away / (1 + self.momentum)) / (1 + self.momentum)

    def leaving(self, w: Array, v: Array, lower: float, upper: float) -> Array:
        out = np.zeros(w.shape)
        for low, high, end in ((lower, np.inf, lower), (-np.inf, upper, upper)):
            if np.isfinite(end):
                shift = (self.momentum * (end - self.carried(w)) + v) / (1 + self.momentum)
                out += self.plain.leaving(w, shift, low, high)
        return out


def chi_nodes(batch_size: int) -> tuple[Array, Array]:
    """Nodes q and weights of the chi-squared law with `batch_size` degrees of freedom, fine in the root of q."""
    from scipy.special import gammaln, roots_legendre

    t, weight = roots_legendre(40)
    ends = np.linspace(0.0, np.sqrt(batch_size) + 12.0, 4)
    half = np.diff(ends)[:, None] / 2
    u = (ends[:-1, None] + half * (t + 1)).ravel()
    mass = np.exp((batch_size - 1) * np.log(u) - u * u / 2 + (1 - batch_size / 2) * np.log(2) - gammaln(batch_size / 2))
    return u * u, (half * weight).ravel() * mass


def chi_mixture(power: float, batch_size: int, dimension: int, tilt: Array, inner: Array, root: Array, log_volume: Array
                ) -> Array:  # fmt: skip
    """Density at x of a q + sqrt(q) C^(1/2) n, with q chi-squared and n normal: a modified Bessel function.

    Parameters
    ----------
    power : float
        (batch_size - dimension) / 2, the order of the function.
    tilt, inner, root : arrays
        a' C^-1 x, x' C^-1 x, and 1 + a' C^-1 a.
    log_volume : array
        Half the logarithm of the determinant of C.
    """
    from scipy.special import gammaln, kve

    argument = np.sqrt(root * inner)
    constant = np.log(2) - batch_size / 2 * np.log(2) - gammaln(batch_size / 2) - dimension / 2 * np.log(2 * np.pi)
    with np.errstate(divide="ignore", over="ignore"):
        size = np.exp(constant - log_volume + tilt - argument + power / 2 * (np.log(inner) - np.log(root)))
        return size * kve(power, argument)


@dataclass(frozen=True, eq=False)
class StreamSteps(LineSteps):
    """SGD on Gaussian features of variance `h` with label noise: the move is a Gaussian law mixed over the features."""

    step_size: float
    batch_size: int
    h: float
    truth: float
    deviation: float
    ridge: float
    singular = True

    def carried(self, w: Array) -> Array:
        return w * (1 - self.step_size * self.ridge)

    def mean(self, w: Array) -> Array:
        return self.carried(w) - self.step_size * self.h * (w - self.truth)

    def _tilt(self, w: Array) -> Array:
        return -self.step_size * self.h * (w - self.truth) / self.batch_size

    @property
    def _scale(self) -> float:
        return self.step_size * self.deviation * np.sqrt(self.h) / self.batch_size

    def width(self, w: Array) -> Array:
        return np.full(w.shape, self._scale * np.sqrt(self.batch_size))

    def density(self, w: Array, v: Array, z: Array) -> Array:
        return self.density_away(w, v, z - (self.carried(w) + v)[:, None])

    def density_away(self, w: Array, v: Array, away: Array) -> Array:
        """Density (P, Z) at carried(w) + v + away."""
        x = away / self._scale
        tilt = self._tilt(w)[:, None] / self._scale
        return chi_mixture(
            (self.batch_size - 1) / 2, self.batch_size, 1, tilt * x, np.maximum(x * x, 1e-300), 1 + tilt**2,
            np.log(self._scale),
        )  # fmt: skip

    def leaving(self, w: Array, v: Array, lower: float, upper: float) -> Array:
        q, weight = chi_nodes(self.batch_size)
        means = (self.carried(w) + v)[:, None] + self._tilt(w)[:, None] * q
        sd = self._scale * np.sqrt(q)
        return (ndtr((lower - means) / sd) + ndtr((means - upper) / sd)) @ weight

"""Law of a one-dimensional linear recurrence with additive noise: characteristic function, cumulants, tails.

The recurrence is x' = a x - step_size xi with a = 1 - step_size curvature and independent xi of one law. Unrolled,
x_n = a^n x_0 - step_size (xi_0 + a xi_1 + ... + a^(n-1) xi_(n-1)) in law; n may be infinite where |a| < 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from .characteristic_functions import ROUGH
from .cumulants import moments_of_cumulants
from .errors import InvalidInput
from .noise_laws import HIGHEST, NoiseLaw

Array = np.ndarray
NEGLIGIBLE = 1e-17  # of a characteristic function: what the factors left out may change it by
MOST_FACTORS = 1_000_000  # that are multiplied
MOST_WORK = 2_000_000_000  # factors times points
BLOCK = 64  # factors between two looks at what is left, where moments are infinite


@dataclass(frozen=True, eq=False)
class AdditiveLaw:
    """Law of x after `steps` steps from the fixed x0, or the stationary one.

    Attributes
    ----------
    contraction : float
        step_size times curvature, 1 - a.
    scale : float
        Minus the step size, by which the noise is multiplied.
    noise : NoiseLaw
    steps : int or None
        None: stationary.
    x0 : float
    """

    contraction: float
    scale: float
    noise: NoiseLaw
    steps: int | None = None
    x0: float = 0.0

    @property
    def multiplier(self) -> float:
        """a = 1 - step_size curvature."""
        return 1.0 - self.contraction

    @property
    def draws(self) -> float:
        """How many noise variables x depends on: 1 where a = 0, whatever came before."""
        if self.multiplier == 0 and self.steps != 0:
            return 1
        return math.inf if self.steps is None else self.steps

    def power(self, n: float) -> float:
        """The multiplier to the power n."""
        return 0.0 if n == math.inf or self.multiplier == 0 and n > 0 else self.multiplier**n

    def geometric(self, order: int = 1) -> float:
        """Sum of a^(order k) over the draws k, without cancellation near a = 1."""
        if self.draws <= 1:
            return float(self.draws)
        even = order % 2 == 0
        if self.contraction < 1 or even:
            log = math.log1p(-self.contraction) if self.contraction < 1 else math.log(self.contraction - 1)
            below = -math.expm1(order * log)
            return -math.expm1(self.draws * order * log) / below if self.draws < math.inf else 1 / below
        return (1 - self.power(self.draws) ** order) / (1 - self.multiplier**order)

    @cached_property
    def centre(self) -> float:
        """What x is measured from: its mean where there is one."""
        start = self.power(self.draws) * self.x0 if self.steps is not None else 0.0
        return start + self.scale * self.noise.centre * self.geometric()

    @cached_property
    def cumulants(self) -> Array:
        """Cumulants of orders 1, 2, ..., as many as the noise has: scale^n kappa_n times the sum of a^(n k)."""
        known = self.noise.cumulants
        found = np.array([self.scale**n * k * self.geometric(n) for n, k in enumerate(known, start=1)])
        if found.size:
            found[0] = self.centre
        return found

    @property
    def variance(self) -> float:
        """Infinite where it is, or where it is not known."""
        return float(self.cumulants[1]) if self.cumulants.size > 1 else math.inf

    @cached_property
    def moments(self) -> Array:
        """Central moments of orders 0, 1, 2, ..., as many as are known; the first two are 1 and 0."""
        cumulants = self.cumulants.copy()
        cumulants[:1] = 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            found = np.concatenate([[1.0], moments_of_cumulants(cumulants.tolist())])
        good = np.isfinite(found) & (np.abs(found) < 1e300)
        return found[: int(np.argmin(good)) if not good.all() else found.size]

    @property
    def reach(self) -> float:
        """Largest distance from the centre that the noise allows."""
        low, high = self.noise.support
        one = abs(self.scale) * max(high - self.noise.centre, self.noise.centre - low)
        return one * self._sizes() if one else 0.0

    def _sizes(self) -> float:
        """Sum of |a|^k over the draws k."""
        size = abs(self.multiplier)
        if self.contraction < 1:
            return self.geometric()
        return float(self.draws) if self.draws <= 1 else (1 - size**self.draws) / (2 - self.contraction)

    def tail(self, y: float) -> float:
        """Bound on P(|x - centre| > y): the best of the even moments and of a union over the draws."""
        if y >= self.reach:
            return 0.0
        even = self.moments[2::2]
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            bounds = [1.0, *np.exp(np.log(even) - 2 * np.arange(1, even.size + 1) * math.log(y))] if y > 0 else [1.0]
        return float(min(*bounds, self._union(y))) if even.size < HIGHEST // 2 else float(min(bounds))

    def tail_integral(self, y: float) -> float:
        """Bound on the integral of P(|x - centre| > z) over z > y."""
        if y >= self.reach:
            return 0.0
        orders = 2.0 * np.arange(1, self.moments[2::2].size + 1)
        with np.errstate(over="ignore", under="ignore", divide="ignore"):
            bounds = np.exp(np.log(self.moments[2::2]) + (1 - orders) * math.log(y)) / (orders - 1)
        found = float(bounds.min(initial=math.inf))
        if orders.size < HIGHEST // 2 and self.noise.sf is not None:
            pieces = [y * 2.0**i * self.tail(y * 2.0**i) for i in range(200)]
            found = min(found, math.fsum(pieces) + pieces[-1] if pieces[-1] < 1e-9 * pieces[0] else math.inf)
        return found

    def _union(self, y: float) -> float:
        """The sum of P(|a^k b| > share_k y) with shares that fall like |a|^(k/2)."""
        if self.noise.sf is None or self.noise.cdf is None:
            return 1.0
        root = math.sqrt(abs(self.multiplier))
        count = self.draws if self.draws < 1e5 or root == 0 else min(self.draws, 80 / -math.log(root))
        k = np.arange(min(count, 200_000))
        share = y * (1 - root) / root**k if root else np.array([y])
        away = share / abs(self.scale) if self.scale else share * math.inf
        chances = self.noise.sf(self.noise.centre + away) + self.noise.cdf(self.noise.centre - away)
        rest = 0.0 if k.size == self.draws else float(chances[-1]) * 10 / (1 - root)
        return float(chances.sum()) + rest

    def within(self, chance: float) -> float:
        """A distance y with P(|x - centre| > y) below `chance`; infinite where no bound gives one."""
        spread = self.spread
        y = spread
        for _ in range(400):
            if self.tail(y) <= chance:
                return min(y, self.reach)
            y *= 1.1 if y < 64 * spread else 2.0
        return math.inf

    @cached_property
    def spread(self) -> float:
        """Standard deviation, else the distance at which the characteristic function has fallen to exp(-1/2)."""
        if math.isfinite(self.variance):
            return math.sqrt(self.variance)
        t = 2.0 ** np.arange(-200, 200) / (abs(self.scale) or 1.0)
        fallen = np.abs(self.noise.characteristic_function(self.scale * t)) < math.exp(-0.5)
        if not fallen.any():
            return 0.0
        one = 1 / t[int(np.argmax(fallen))]
        return one / (1 - abs(self.multiplier)) if self.draws > 1 else one

    def centred_function(self, t: Array) -> tuple[Array, float]:
        """Characteristic function of x - centre, and a bound (a finite variance) or an estimate of its error."""
        t = np.asarray(t, float)
        largest = float(np.abs(t).max(initial=0.0))
        if largest == 0 or self.scale == 0 or not self.draws:
            return np.ones(t.shape, complex), 0.0
        out, done, left = (self._by_moments if math.isfinite(self.variance) else self._by_fall)(t, largest)
        error = getattr(self.noise.characteristic_function, "error", None)
        inner = 0.0 if error is None else error(abs(self.scale) * largest) * self._sizes() + ROUGH * done
        return out, left + inner + 4e-16 * done

    def check_factors(self, factors: int, points: int) -> None:
        """Refuse what would take too long."""
        if factors * points > MOST_WORK or factors > MOST_FACTORS:
            raise InvalidInput(
                f"step_size * curvature is {self.contraction:.3g}, so near 0 or 2 that the characteristic function at "
                f"{points} points takes too many factors: take another step size or fewer points"
            )

    def _factors(self, t: Array, first: int, last: int) -> Array:
        """Product of the factors of the draws first..last-1, centred."""
        self.check_factors(last, t.size)
        out, power = np.ones(t.shape, complex), self.multiplier**first
        for _ in range(first, last):
            s = self.scale * power * t
            out *= self.noise.characteristic_function(s) * np.exp(-1j * self.noise.centre * s)
            power *= self.multiplier
        return out

    def _by_moments(self, t: Array, largest: float) -> tuple[Array, int, float]:
        """Factors until the rest, which is the law itself scaled down, is told by its moments (Taylor's bound)."""
        moments = replace(self, steps=None).moments
        order = (moments.size - 1) // 2 * 2
        small = (NEGLIGIBLE * math.factorial(order) / moments[order]) ** (1 / order)
        needed = math.log(max(largest / small, 1.0))
        done = int(min(self.draws, math.ceil(needed / -math.log(abs(self.multiplier))) if self.multiplier else 1))
        out = self._factors(t, 0, done)
        if done == self.draws:
            return out, done, 0.0
        rest = replace(self, steps=None if self.steps is None else self.steps - done).moments[:order]
        u = 1j * t * self.power(done)
        return out * sum(moment * u**n / math.factorial(n) for n, moment in enumerate(rest)), done, NEGLIGIBLE

    def _by_fall(self, t: Array, largest: float) -> tuple[Array, int, float]:
        """Factors in blocks until, by the fall from the last block to this one, all further ones change nothing."""
        out, done, gap = np.ones(t.shape, complex), 0, 1.0
        while done < self.draws:
            last = int(min(done + BLOCK, self.draws))
            out *= self._factors(t, done, last)
            done, before = last, gap
            s = np.array([self.scale * self.power(done) * largest])
            gap = abs(complex(self.noise.characteristic_function(s)[0] * np.exp(-1j * self.noise.centre * s[0])) - 1)
            left = BLOCK * gap / (1 - gap / before) if gap < before else math.inf
            if left < NEGLIGIBLE or gap == 0:
                return out, done, left
        return out, done, 0.0

    def characteristic_function(self, t: Array) -> Array:
        """E exp(i t x)."""
        return self.centred_function(t)[0] * np.exp(1j * self.centre * np.asarray(t, float))

    def majorant(self, t: Array) -> Array:
        """What the modulus of the characteristic function is nowhere above; it falls in t > 0."""
        assert self.noise.majorant is not None
        out, power = np.ones(np.shape(t)), abs(self.scale)
        for _ in range(int(min(self.draws, 200_000))):
            factor = self.noise.majorant(power * np.asarray(t, float))
            out = out * factor
            power *= abs(self.multiplier)
            if np.min(factor) > 0.999999:  # the factors left out are at most 1
                break
        return out

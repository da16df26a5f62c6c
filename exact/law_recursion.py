"""Brackets of a distribution function by the recursion of the law itself; no characteristic function is inverted.

The law of n + m draws is that of S_n + a^n S_m with independent parts, F(x) = sum p_i F_m((x - s_i) / a^n): it is
iterated on a lattice by doubling n. What the roundings move is bounded, so a variable X~ on the lattice stays within a
known distance of x but for an event of small chance, F~(x - shift) - chance <= F(x) <= F~(x + shift) + chance: that is
proved whatever the law, singular ones included. Where few roundings matter each goes to the nearest place; else to both
neighbours with chances that keep the mean, and the sum of the roundings is sub-Gaussian (Hoeffding).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .additive_laws import AdditiveLaw
from .gaussian_gaps import area
from .noise_laws import MOST_ATOMS

Array = np.ndarray
CELLS = 2**18 - 2  # of the lattice: a convolution of two fits in 2^19
UNLIKELY = 1e-15  # what may lie outside of the lattice
SELDOM = 1e-10  # the chance that the sum of the roundings is larger than said
UNIT = 2.0**-53


@dataclass(frozen=True, eq=False)
class StepLaw:
    """Law of X~ on finitely many places, and how near x is to it.

    Attributes
    ----------
    places, below : array
        In rising order, and P(X~ <= place).
    shift : float
        |x - X~| is at most this,
    chance : float
        but for an event of at most this chance.
    apart : float
        The Wasserstein distance of x and X~ is at most this.
    enumerated : bool
        Whether the places are the atoms of x themselves.
    """

    places: Array
    below: Array
    shift: float
    chance: float
    apart: float
    enumerated: bool = False

    def bracket(self, x: Array) -> tuple[Array, Array]:
        """Lower and upper bound of P(x <= ...) at each number."""
        x = np.asarray(x, float)
        slack = self.shift + 8 * UNIT * (np.abs(x) + np.abs(self.places).max()) if self.shift else 0.0
        steps = np.r_[0.0, self.below]
        low = steps[np.searchsorted(self.places, x - slack, side="right")] - self.chance
        high = steps[np.searchsorted(self.places, x + slack, side="right")] + self.chance
        return np.clip(low, 0, 1), np.clip(high, 0, 1)

    def distances(self, mean: float, deviation: float) -> tuple[tuple[float, float], tuple[float, float]]:
        """Kolmogorov and Wasserstein distance to a Gaussian law, each (value, bound of its error)."""
        from scipy.special import ndtr

        z = (self.places - mean) / deviation
        steps = np.r_[0.0, self.below]
        move = self.shift / deviation
        # At a place the function jumps: what lies before it and what lies after are both compared.
        inner = max(float((steps[1:] - ndtr(z + move)).max()), float((ndtr(z - move) - steps[:-1]).max()))
        outer = max(float((steps[1:] - ndtr(z - move)).max()), float((ndtr(z + move) - steps[:-1]).max()))
        lower, upper = max(0.0, inner - self.chance), min(1.0, outer + self.chance)
        value = max(float((steps[1:] - ndtr(z)).max()), float((ndtr(z) - steps[:-1]).max()))
        rounding = 8 * UNIT * z.size * float(np.abs(z[[0, -1]]).max())
        ks = value, max(upper - value, value - lower) + 4 * UNIT
        return ks, (deviation * area(z, self.below), self.apart + deviation * rounding)


def step_law(law: AdditiveLaw) -> StepLaw:
    """The law of the recurrence by enumeration where it has few atoms, else on a lattice."""
    noise = law.noise
    one = noise.atoms is not None and noise.atoms[0].size == 1 and not noise.lost
    if law.draws == 0 or law.scale == 0 or one:
        shift = 0.0 if law.draws == 0 else 4 * UNIT * abs(law.centre)
        return StepLaw(np.array([law.centre]), np.ones(1), shift, 0.0, shift, True)
    if noise.atoms is not None and noise.atoms[0].size ** min(law.draws, 64) <= MOST_ATOMS:
        draws = int(law.draws)
        places, chances = _enumerated(law, draws, 0.0)
        places = places + law.power(draws) * law.x0 if law.steps is not None else places
        lost = noise.lost * draws
        shift = 0.0 if draws == 1 else 8 * UNIT * draws * float(np.abs(places).max())
        return StepLaw(places, _summed(chances), shift, lost, shift + _rare(law, lost), True)
    return _on_lattice(law)


def _summed(chances: Array) -> Array:
    below = np.cumsum(chances)
    return below / below[-1]


def _enumerated(law: AdditiveLaw, draws: int, centre: float) -> tuple[Array, Array]:
    """Values of the sum of a^k b_k over the draws, b measured from `centre`, in rising order, and their chances."""
    assert law.noise.atoms is not None
    values, chances = law.scale * (law.noise.atoms[0] - centre), law.noise.atoms[1]
    places, masses = values, chances
    for _ in range(draws - 1):
        places = (values[:, None] + law.multiplier * places).ravel()
        masses = (chances[:, None] * masses).ravel()
    order = np.argsort(places, kind="stable")
    return places[order], masses[order]


@dataclass(frozen=True, eq=False)
class _Part:
    """Masses on the lattice of a sum of draws; the sum of its roundings is a number of at most `shift` in size and a
    sub-Gaussian one of variance `proxy`, but for an event of the chance `chance`; `rounding` is that of the masses."""

    masses: Array
    shift: float = 0.0
    proxy: float = 0.0
    chance: float = 0.0
    rounding: float = 0.0


@dataclass(frozen=True, eq=False)
class _Lattice:
    """Places j cell, |j| <= CELLS / 2, and the sums of draws of a law on them."""

    law: AdditiveLaw
    cell: float
    by_means: bool

    @property
    def numbers(self) -> Array:
        """j of every place."""
        return np.arange(CELLS + 1) - CELLS // 2

    def first(self) -> tuple[int, _Part]:
        """How many draws are taken at once, and their sum, rounded once."""
        noise, law = self.law.noise, self.law
        if noise.atoms is None:
            return 1, self._continuous()
        count = max(1, int(min(law.draws, math.log(MOST_ATOMS) / math.log(max(noise.atoms[0].size, 2)))))
        places, chances = _enumerated(law, count, noise.centre)
        return count, self.rounded(places / self.cell, _Part(chances, chance=noise.lost * count))

    def _continuous(self) -> _Part:
        noise = self.law.noise
        assert noise.cdf is not None and noise.sf is not None
        edges = noise.centre + (np.arange(CELLS + 2) - CELLS // 2 - 0.5) * self.cell / self.law.scale
        # The difference of the smaller tails: those of the other side would cancel.
        below, above = noise.cdf(edges), noise.sf(edges)
        masses = np.where(below[:-1] < 0.5, np.abs(np.diff(below)), np.abs(np.diff(above)))
        left = float(min(below[0], above[0]) + min(below[-1], above[-1]))
        return _Part(masses, shift=self.cell / 2, chance=left, rounding=4 * UNIT * CELLS**0.5)

    def rounded(self, numbers: Array, part: _Part) -> _Part:
        """Put masses at real numbers of cells on the places; what lies outside is one event more."""
        near = np.floor(numbers) if self.by_means else np.rint(numbers)
        inside = (near >= -CELLS // 2) & (near + self.by_means <= CELLS // 2)
        chances, near, away = part.masses[inside], near[inside].astype(int) + CELLS // 2, (numbers - near)[inside]
        chance = part.chance + float(part.masses[~inside].sum())
        if not self.by_means:
            masses = np.bincount(near, chances, minlength=CELLS + 1)
            moved = float(np.abs(away[chances > 0]).max(initial=0.0)) * self.cell
            return replace(part, masses=masses, shift=part.shift + moved, chance=chance)
        masses = np.bincount(near, chances * (1 - away), minlength=CELLS + 1)
        masses += np.bincount(near + 1, chances * away, minlength=CELLS + 1)
        moved = self.cell if away[chances > 0].any() else 0.0
        return replace(part, masses=masses, proxy=part.proxy + moved**2 / 4, chance=chance)

    def together(self, first: _Part, factor: float, second: _Part) -> _Part:
        """The law of S + factor S' with independent S and S'."""
        second = replace(second, shift=abs(factor) * second.shift, proxy=factor**2 * second.proxy)
        scaled = self.rounded(self.numbers * factor, second)
        size = 2 * (CELLS + 2)
        product = np.fft.irfft(np.fft.rfft(first.masses, size) * np.fft.rfft(scaled.masses, size), size)
        # Rounding of an FFT in the 2-norm (Higham 2002, theorem 24.2), summed up by Cauchy and Schwarz.
        norms = [float(np.linalg.norm(part.masses)) for part in (first, scaled)]
        error = 2 * 7 * math.log2(size) * UNIT * math.sqrt(size) * (sum(norms) + min(norms))
        product = np.maximum(product[: 2 * CELLS + 1], 0.0)
        inside = slice(CELLS // 2, CELLS // 2 + CELLS + 1)
        lost = float(product[: inside.start].sum() + product[inside.stop :].sum())
        return _Part(
            product[inside], first.shift + scaled.shift, first.proxy + scaled.proxy,
            first.chance + scaled.chance + lost, first.rounding + scaled.rounding + error,
        )  # fmt: skip


def _on_lattice(law: AdditiveLaw) -> StepLaw:
    half = _half_width(law)
    cell = 2 * half / CELLS
    count, part = _Lattice(law, cell, False).first()
    lattice = _Lattice(law, cell, by_means=law.noise.atoms is not None and abs(law.power(count)) > 0.9)
    count, part = lattice.first()
    if law.draws == math.inf:
        while (far := abs(law.power(count)) * half) > cell / 64:
            part, count = lattice.together(part, law.power(count), part), 2 * count
        part = replace(part, shift=part.shift + far, chance=part.chance + law.tail(half))
    else:
        part = _finite(lattice, int(law.draws), count, part)
    masses = part.masses.copy()
    masses[CELLS // 2] += max(0.0, 1 - float(masses.sum()))
    places = law.centre + lattice.numbers * cell
    sure = part.shift + 8 * UNIT * float(np.abs(places).max())
    chance = part.chance + part.rounding + (SELDOM if part.proxy else 0.0)
    apart = sure + math.sqrt(part.proxy) + _rare(law, part.chance) + 2 * half * part.rounding
    below = _summed(masses)
    kept = masses > 0
    return StepLaw(places[kept], below[kept], sure + math.sqrt(2 * part.proxy * math.log(2 / SELDOM)), chance, apart)


def _finite(lattice: _Lattice, draws: int, count: int, block: _Part) -> _Part:
    """The sum of finitely many draws: blocks doubled, and what is left over put in front."""
    whole, left = draws // count, draws % count
    part = _power(lattice, whole, count, block)
    if left:
        law = lattice.law
        places, chances = _enumerated(law, left, law.noise.centre)
        front = lattice.rounded(places / lattice.cell, _Part(chances, chance=law.noise.lost * left))
        part = lattice.together(front, law.power(left), part)
    return part


def _power(lattice: _Lattice, blocks: int, count: int, block: _Part) -> _Part:
    if blocks == 1:
        return block
    half = _power(lattice, blocks // 2, count, block)
    part = lattice.together(half, lattice.law.power(blocks // 2 * count), half)
    return lattice.together(block, lattice.law.power(count), part) if blocks % 2 else part


def _half_width(law: AdditiveLaw) -> float:
    """Half of the lattice: what lies outside is rare, and the cells are small."""
    widths = [(law.within(chance), chance) for chance in (UNLIKELY, 1e-12, 1e-9, 1e-7, 1e-5, 1e-3)]
    scale = law.spread or law.reach
    return min(widths, key=lambda each: each[1] + each[0] / scale / CELLS)[0]


def _rare(law: AdditiveLaw, chance: float) -> float:
    """Bound on the part of E |x - centre| that an event of this chance holds, by Hoelder from the even moments."""
    if chance == 0:
        return 0.0
    even = law.moments[2::2]
    powers = 1 / (2.0 * np.arange(1, even.size + 1))
    bounds = even**powers * chance ** (1 - powers)
    return min(float(bounds.min(initial=math.inf)), law.reach * chance)

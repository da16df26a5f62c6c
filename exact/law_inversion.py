"""Distribution functions from characteristic functions that decay, with bounds on both errors of the inversion.

Gil-Pelaez: F(x) = 1/2 - Im (integral of phi(t) exp(-i t x) / (pi t) over t > 0). With x' = x measured from its centre,
the midpoint rule of step 2 pi / L is off by at most P(|x'| > L / 2) for |x'| <= L / 2 (Davies 1973), the cut at T by
the integral of |phi| / (pi t) beyond it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .additive_laws import AdditiveLaw
from .gaussian_gaps import excess

Array = np.ndarray
SMALL = 1e-13  # both errors are brought below it where that is not too dear
USABLE = 1e-6  # a larger error is no inversion
MOST_POINTS = 2**19  # of a rule of integration
MOST_WORK = 2e8  # points times factors of the characteristic function
GRID = 2**20  # places at which a distribution function is tabulated
MANY = 8  # orders of moments from which they bound a tail well
NODES = 16  # of a Gauss rule in each panel


@dataclass(frozen=True, eq=False)
class Inversion:
    """A characteristic function on midpoints (k + 1/2) step, and what is left out.

    Attributes
    ----------
    law : AdditiveLaw
    step, values : float, array
        Of the midpoint rule; of x'.
    last : float
        Where the integral is cut.
    cut, alias, rounding : float
        Errors of the distribution function: by the cut; by the step, for |x'| <= pi / step; by rounding.
    peak, bend : float
        Largest density, and largest slope of it.
    proved : bool
        Whether all of them are bounds; otherwise one at least is an estimate.
    """

    law: AdditiveLaw
    step: float
    values: Array
    last: float
    cut: float
    alias: float
    rounding: float
    peak: float
    bend: float
    proved: bool

    @property
    def error(self) -> float:
        """Of the distribution function, inside of half a period."""
        return self.cut + self.alias + self.rounding

    def table(self) -> tuple[Array, Array]:
        """Places x', evenly over one period, and the distribution function there, by one FFT."""
        size = max(GRID, 2 ** math.ceil(math.log2(2 * self.values.size)))
        k = np.arange(self.values.size)
        terms = np.zeros(size, complex)
        terms[: k.size] = self.values * np.where(k % 2, -1.0, 1.0) / (math.pi * (k + 0.5))
        share = np.arange(size) / size - 0.5
        found = 0.5 - (np.exp(-1j * math.pi * share) * np.fft.fft(terms)).imag
        return share * (2 * math.pi / self.step), found


def invert(law: AdditiveLaw) -> Inversion | None:
    """None where the characteristic function is not seen to decay fast enough to be integrated."""
    if hasattr(law.noise.characteristic_function, "error") and law.noise.cumulants.size < 6:
        return None  # a quadrature of a quantile function with heavy tails is neither fast nor near
    law.check_factors(int(_factors(law)), 1)
    cuts = _cuts(law)
    if law.spread == 0 or not cuts:
        return None
    proved = law.noise.majorant is not None and math.isfinite(law.variance)
    points = min(MOST_POINTS, MOST_WORK / _factors(law))
    known = law.noise.sf is not None and law.moments.size > 2 or law.moments.size > MANY
    if known:
        choices = [_period(law, points * 2 * math.pi / last, cut) + (last, cut) for last, cut in cuts]
        _, period, last, cut = min(choices)
    else:
        last, cut = min(cuts, key=lambda each: each[1])
        period = min(80 * law.spread, points * 2 * math.pi / last)
    step = 2 * math.pi / period
    t = (np.arange(math.ceil(last / step)) + 0.5) * step
    values, error = law.centred_function(t)
    peak, bend = _smoothness(law, t, np.abs(values), step, last)
    rounding = error * (1 + math.log(t.size + 1)) + 1e-15
    found = Inversion(law, step, values, last, cut, 0.0, rounding, peak, bend, proved and known)
    # Where nothing bounds the tails: what the distribution function is off by near both ends of the period.
    alias = law.tail(period / 2) if known else _at_ends(found)
    found = replace(found, alias=alias)
    return found if found.error - (0 if math.isfinite(law.variance) else alias) < USABLE else None


def _smoothness(law: AdditiveLaw, t: Array, sizes: Array, step: float, last: float) -> tuple[float, float]:
    """Largest density and largest slope of it: integrals of |phi| / pi and t |phi| / pi, from above by a majorant."""
    beyond = last * 2.0 ** np.arange(60)
    rests = np.zeros((2, beyond.size))
    if law.noise.majorant is not None:
        sizes = law.majorant(t - step / 2)
        rests = law.majorant(beyond) * np.array([beyond, 1.5 * beyond**2])
    found = np.array([sizes.sum(), (t + step / 2) @ sizes]) * step + rests.sum(1)
    found[rests[:, -1] > 1e-9 * rests[:, 0]] = math.inf  # a density that jumps, or one with kinks
    return float(found[0]) / math.pi, float(found[1]) / math.pi


def _at_ends(inversion: Inversion) -> float:
    table = inversion.table()[1]
    edge = table.size // 16
    return float(np.abs(np.r_[table[:edge], 1 - table[-edge:]]).max())


def _factors(law: AdditiveLaw) -> float:
    size = abs(law.multiplier)
    return min(law.draws, max(1.0, 10 / -math.log(size) if size > 0 else 1.0))


def _period(law: AdditiveLaw, longest: float, cut: float) -> tuple[float, float]:
    """(Error by it, period): a long one wraps less, a short one is tabulated more finely."""
    enough = max(2 * law.within(SMALL), 26 * law.spread)  # the Gaussian law has to fit in too
    if enough < min(longest, 200 * law.spread):
        return max(cut, SMALL), enough
    ladder = min(longest, 1e6 * law.spread) * 0.5 ** np.arange(0, 12, 0.5)
    chords = 0.1 * (ladder / GRID / law.spread) ** 2
    errors = [law.tail(each / 2) + chord for each, chord in zip(ladder, chords)]
    best = int(np.argmin(errors))
    return cut + errors[best], float(ladder[best])


def _cuts(law: AdditiveLaw) -> list[tuple[float, float]]:
    """Where the integral may be cut, with the error by it: a bound where the noise has a majorant, else from probes."""
    found: list[tuple[float, float]] = []
    if law.spread == 0:
        return found
    ladder = 2.0 ** np.arange(0, 60, 0.5) / law.spread
    if law.noise.majorant is not None:
        bounds = law.majorant(ladder)
        for place in range(0, 40):
            ahead = bounds[place::2]  # at T, 2 T, 4 T, ...
            fall = ahead[-1] / ahead[-2] if ahead[-2] > 0 else 0.0
            # On [T, 2 T] the integral of a falling function over t is at most log 2 times its value at T.
            rest = ahead[-1] * fall / (1 - fall) if fall < 1 else math.inf
            found.append((float(ladder[place]), math.log(2) / math.pi * float(ahead.sum() + rest)))
            if found[-1][1] < SMALL:
                break
    else:
        for last in ladder[4:28:2]:
            probes = last * np.geomspace(1, 16, 97)
            largest = float(np.abs(law.centred_function(probes)[0]).max())
            found.append((float(last), largest * math.log(16) / math.pi))
            if found[-1][1] < SMALL:
                break
    return [each for each in found if each[1] < USABLE]


def distribution_function(inversion: Inversion, x: Array) -> tuple[Array, Array]:
    """Values at x and the error of each: by the midpoint sum, or by panels where tails are heavy."""
    away = np.asarray(x, float).ravel() - inversion.law.centre
    if inversion.alias <= 10 * SMALL or not inversion.law.noise.sf:
        inside = np.abs(away) <= math.pi / inversion.step
        t = (np.arange(inversion.values.size) + 0.5) * inversion.step
        weights = inversion.values / (math.pi * (np.arange(t.size) + 0.5))
        error = inversion.error
    else:
        inside, t, weights, error = _by_panels(inversion, away)
    out, errors = (away > 0).astype(float), np.full(away.shape, error)
    out[inside] = 0.5 - _sine_sums(t, weights, away[inside])
    errors[~inside] = [min(1.0, max(inversion.alias, inversion.law.tail(abs(each)))) for each in away[~inside]]
    return np.clip(out, 0.0, 1.0).reshape(np.shape(x)), errors.reshape(np.shape(x))


def _sine_sums(t: Array, weights: Array, x: Array) -> Array:
    out = np.empty(x.size)
    size = max(1, 2_000_000 // max(t.size, 1))
    for first in range(0, x.size, size):
        part = x[first : first + size]
        out[first : first + size] = (np.exp(-1j * part[:, None] * t) @ weights).imag
    return out


def _by_panels(inversion: Inversion, away: Array) -> tuple[Array, Array, Array, float]:
    """Which places are reached, points, weights, and the estimated error, of Gauss rules in panels that halve to zero.

    A characteristic function with heavy tails is not smooth at zero; the panels resolve that, and no period wraps.
    """
    law, last = inversion.law, inversion.last
    widest = min(float(np.abs(away).max(initial=0.0)), 8 * MOST_POINTS / NODES / last)
    inside = np.abs(away) <= widest
    longest = 8 / (widest + 4 * law.spread)
    edges = [np.array([0.0])]
    for high in last * 0.5 ** np.arange(80.0, -1, -1):
        low = edges[-1][-1]
        edges.append(np.linspace(low, high, max(1, math.ceil((high - low) / longest)) + 1)[1:])
    ends = np.concatenate(edges)
    rules = []
    for nodes in (NODES, NODES + 6):
        places, masses = np.polynomial.legendre.leggauss(nodes)
        half = np.diff(ends)[:, None] / 2
        t = (ends[:-1, None] + half * (1 + places)).ravel()
        values, left = law.centred_function(t)
        rules.append((t, values * (half * masses).ravel() / (math.pi * t), left))
    probes = away[inside][:: max(1, int(inside.sum()) // 50)]
    apart = np.abs(_sine_sums(*rules[0][:2], probes) - _sine_sums(*rules[1][:2], probes)).max(initial=0.0)
    t, weights, left = rules[1]
    return inside, t, weights, 10 * float(apart) + inversion.cut + left * 60 + 1e-15


def distances(inversion: Inversion, mean: float, deviation: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """Kolmogorov and Wasserstein distance to a Gaussian law, each (value, error).

    Between two places of the table the difference of the distribution functions leaves its chord by at most
    h^2 / 8 times the largest slope of both densities, and by at most h / 2 times the largest of both.
    """
    from scipy.special import ndtr

    law = inversion.law
    x, found = inversion.table()
    h = float(x[1] - x[0])
    gap = found - ndtr((x + law.centre - mean) / deviation)
    peak = 1 / math.sqrt(2 * math.pi) / deviation
    chord = min(h * h / 8 * (inversion.bend + math.exp(-0.5) * peak / deviation), h / 2 * (inversion.peak + peak))
    error = inversion.error + chord
    ends = (x[-1] + law.centre - mean) / deviation, (mean - x[0] - law.centre) / deviation
    beyond = max(float(ndtr(-min(ends))), law.tail(x[-1]) if inversion.proved else inversion.alias)
    ks = float(np.abs(gap).max())
    size, left, right = np.abs(gap), gap[:-1], gap[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        crossed = (left**2 + right**2) / (2 * np.abs(left - right))
    areas = np.where(left * right < 0, crossed, (size[:-1] + size[1:]) / 2)
    tails = law.tail_integral(x[-1]) if inversion.proved else x[-1] * inversion.alias
    tails += sum(deviation * excess(end) for end in ends)
    return (ks, max(error, beyond - ks)), (float(areas.sum() * h), float(x[-1] - x[0]) * error + tails)

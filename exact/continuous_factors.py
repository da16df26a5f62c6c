"""Moments of a factor with a continuous law: panels in its logarithm that halve until they fit, and tails of powers.

With g the density of t = log |a| on one side of 0, E |a|^s = int exp(s t) g(t) dt. Panels are settled for every order
at once: each with the tilts exp(s t) under which it may count. Where log g turns into a straight line its slope is the
tail exponent of the law, from which on moments are infinite, and the rest of the integral is known. Derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import logsumexp

from .errors import InvalidInput, OutOfReach
from .moment_growth import FactorGrowth, PowerTail, gauss_panels
from .tail_index import LARGEST

Logs = Callable[[np.ndarray], np.ndarray]
NODES = 16  # of a panel
SETTLED = 1e-12  # relative change of a panel's integral when it is halved
FLOOR = 1e-10  # width of panels that halve no further: their mass comes from the distribution function
MOST = 3000  # panels
LOST = 45.0  # powers of e below the largest that count as nothing
FURTHEST = 690.0  # log |a|, within the range of numbers
UNSURE = 1e-290  # densities below it have lost their digits
STRAIGHT = 1e-10  # how far log g may lie from a line
RUN, FALL, LONG = 1.0, 10.0, 50.0  # how long such a line must be in t, and also in log g where t is not as long
LADDER = np.geomspace(1e-4, 2 * FURTHEST, 300)  # of distances from the bulk


@dataclass(frozen=True, eq=False)
class _Side:
    """One side of 0: the density of log |a| between two ends, and places in the bulk of it."""

    sign: int
    log_density: Logs
    ends: tuple[float, float]
    bulk: np.ndarray

    def ladder(self, up: bool) -> tuple[np.ndarray, np.ndarray]:
        """Places (m,) from the bulk out, and log g there, as far as it is seen."""
        outward = self.bulk if up else self.bulk[::-1]
        places = np.append(outward, outward[-1] + (LADDER if up else -LADDER))
        places = places[(places > max(self.ends[0], -FURTHEST)) & (places < min(self.ends[1], FURTHEST))]
        logs = self.log_density(places)
        unseen = np.flatnonzero(~np.isfinite(logs))
        count = unseen[0] if unseen.size else logs.size
        return places[:count], logs[:count]


def continuous_growth(law: Any) -> tuple[FactorGrowth, FactorGrowth]:
    """Moments of a factor with a continuous distribution of scipy, and a coarser resolution of them.

    Raises
    ------
    InvalidInput
        If the density does not add up to 1.
    OutOfReach
        If no moment of positive order is seen to be finite.
    """
    density, ends, quantiles = _log_density(law), _ends(law), _quantiles(law)
    sides, reach = [], LARGEST
    parts: list[tuple[np.ndarray, ...]] = []
    tails: list[PowerTail] = []
    for sign in (1, -1):
        low, high = (max(sign * end, 0.0) for end in (ends if sign > 0 else ends[::-1]))
        if high > 0:
            sides.append(_side(sign, density, low, high, quantiles))
    for side in sides:
        edges, cuts = [side.bulk], []
        for up in (True, False):
            places, values = side.ladder(up)
            tail, cut, seen = _outer(side, up, places, values)
            reach = min(reach, seen)
            tails += [] if tail is None else [tail]
            edges.append(places[::6])
            cuts.append(cut)
        within = np.concatenate(edges)
        within = within[(within > cuts[1]) & (within < cuts[0])]
        parts.append(_panels(law, side, np.unique(np.append(within, cuts)), reach))
    if not reach > 0:
        raise OutOfReach(
            "the law of A falls off more slowly than any power, as far as its density is seen: no moment of positive "
            "order is finite, so there is no tail index"
        )
    sizes, logs, coarse_sizes, coarse_logs, lost = (np.concatenate(part) for part in zip(*parts))
    total = float(np.exp(logsumexp(np.append(logs, [tail.log_mass for tail in tails]))))
    if not abs(total - 1) < 1e-6:
        raise InvalidInput(
            f"the density of the law adds up to {total:.6g} by quadrature, not to 1: give factors with probabilities "
            "instead"
        )
    bound, error = float(np.log(np.abs(ends).max())), abs(total - 1) + float(lost.sum())
    bent = tuple(replace(tail, rate=tail.rate + tail.rate_error) for tail in tails)
    return (
        FactorGrowth(sizes, logs, error, tuple(tails), bound, reach),
        FactorGrowth(coarse_sizes, coarse_logs, error, bent, bound, reach),
    )


def _log_density(law: Any) -> Logs:
    """Of a; -inf where it is 0 or no longer known to all digits."""
    own = getattr(law, "logpdf", None)

    def logs(places: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            density = np.asarray(law.pdf(places), dtype=float)
            plain = np.log(density)
            better = np.asarray(own(places), dtype=float) if callable(own) else plain
        found = np.where((better == plain) & (density < UNSURE), -np.inf, better)
        return np.where(np.isnan(found), -np.inf, found)

    return logs


def _ends(law: Any) -> np.ndarray:
    support = law.support() if callable(getattr(law, "support", None)) else (law.ppf(0.0), law.ppf(1.0))
    return np.array([float(support[0]), float(support[1])])


def _quantiles(law: Any) -> np.ndarray:
    outer = 10.0 ** -np.arange(15.0, 1.0, -1.0)
    upper = law.isf(outer) if callable(getattr(law, "isf", None)) else law.ppf(1 - outer[outer > 1e-13])
    found = np.concatenate([law.ppf(outer), law.ppf(np.linspace(0.1, 0.9, 17)), upper])
    return np.unique(found[np.isfinite(found)])


def _side(sign: int, logs: Logs, low: float, high: float, quantiles: np.ndarray) -> _Side:
    with np.errstate(divide="ignore"):
        ends = float(np.log(low)), float(np.log(high))
    own = sign * quantiles
    bulk = np.log(np.unique(own[(own > low) & (own < high) & (own > 0)]))
    if not bulk.size:  # hardly any of the law: near 0, where the rest of it is nearest
        wide = float(np.ptp(quantiles)) or float(np.abs(quantiles).max()) or 1.0
        inner = min(max(math.log(wide) - 3, ends[0] + 1e-3), ends[1] - 1e-3)
        bulk = np.array([inner])

    def log_density(places: np.ndarray) -> np.ndarray:
        return places + logs(sign * np.exp(places))

    return _Side(sign, log_density, ends, bulk)


def _outer(side: _Side, up: bool, places: np.ndarray, values: np.ndarray) -> tuple[PowerTail | None, float, float]:
    """The tail beyond the panels, where they end, and the order of moments up to which that is enough."""
    end = side.ends[1] if up else side.ends[0]
    if math.isfinite(end):
        return None, end, LARGEST
    if not places.size:
        return None, float(side.bulk[-1 if up else 0]), 0.0 if up else LARGEST
    tail = _power_tail(places, values, up)
    if up:
        if tail is not None:
            return tail, tail.start, LARGEST
        reach = _reach(places, values)
        tilted = reach * places + values
        beyond = (np.arange(tilted.size) > tilted.argmax()) & (tilted < tilted.max() - LOST)
        return None, float(places[beyond.argmax() if beyond.any() else -1]), reach
    gone = values + np.log1p(np.abs(places)) < values.max() - LOST
    if gone.any():
        return None, float(places[gone.argmax()]), LARGEST
    return tail, float(places[-1]) if tail is None else tail.start, LARGEST


def _power_tail(places: np.ndarray, values: np.ndarray, up: bool) -> PowerTail | None:
    """Where log g turns into a straight line that falls outwards; None where it does not."""
    middle = int(np.searchsorted(np.abs(places - places[0]), np.abs(places[-1] - places[0]) / 2))
    if middle >= places.size - 1 or abs(places[-1] - places[middle]) < RUN / 2:
        return None
    rate = -float((values[-1] - values[middle]) / (places[-1] - places[middle]))
    side = 1 if up else -1
    if not side * rate * RUN > STRAIGHT:
        return None
    line = values[-1] - rate * (places - places[-1])
    bent = np.flatnonzero(np.abs(values - line) > STRAIGHT + 1e-14 * np.abs(values).max())
    first = int(bent[-1]) + 1 if bent.size else 0
    run, fall = abs(places[-1] - places[first]), abs(values[-1] - values[first])
    if run < RUN or (run < LONG and fall < FALL):
        return None
    error = float(np.abs(values - line)[first:].max() / run)
    return PowerTail(float(places[first]), float(line[first]) - math.log(side * rate), side * rate, side, error)


def _reach(places: np.ndarray, values: np.ndarray) -> float:
    """Largest order under which the density has fallen to nothing at the last place."""

    def fallen(order: float) -> bool:
        tilted = order * places + values
        return bool(tilted[-1] < tilted.max() - LOST)

    if fallen(LARGEST):
        return LARGEST
    low, high = 0.0, LARGEST
    while high - low > 1e-3 * high + 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if fallen(middle) else (low, middle)
    return low


def _panels(law: Any, side: _Side, edges: np.ndarray, reach: float) -> tuple[np.ndarray, ...]:
    """Fine sizes and log weights, and coarse ones, each (n,); and what rounding of places does to log sizes (1,)."""
    points, weights = gauss_panels(np.array([0.0, 1.0]), NODES)
    low, high = edges[:-1], edges[1:]
    fine: list[tuple[np.ndarray, np.ndarray]] = []
    coarse: list[tuple[np.ndarray, np.ndarray]] = []
    taken, lost = 0, 0.0
    while low.size:
        width = (high - low)[:, None]
        at = low[:, None] + width * points
        half = np.concatenate([points / 2, (1 + points) / 2])
        closer = low[:, None] + width * half
        with np.errstate(divide="ignore"):
            whole = side.log_density(at.ravel()).reshape(at.shape) + np.log(width * weights)
            halves = side.log_density(closer.ravel()).reshape(closer.shape)
            halves += np.log(width * np.concatenate([weights, weights]) / 2)
        empty = ~(np.isfinite(whole).any(axis=1) | np.isfinite(halves).any(axis=1))
        done = _settled(at, whole, closer, halves, width[:, 0], weights, reach) | empty
        taken += low.size
        if taken > MOST:
            done[:] = True
        small = ~done & (width[:, 0] < FLOOR)
        kept = done & ~empty
        fine.append((closer[kept].ravel(), halves[kept].ravel()))
        coarse.append((at[kept].ravel(), whole[kept].ravel()))
        if small.any():
            masses = _masses(law, side, low[small], high[small], logsumexp(halves[small], axis=1))
            fine.append(((low[small] + high[small]) / 2, masses))
            coarse.append(fine[-1])
            lost += float(np.exp(masses).sum()) * float(np.spacing(1 + np.abs(low[small]).max())) / FLOOR
        left = ~(done | small)
        middle = (low[left] + high[left]) / 2
        low, high = np.concatenate([low[left], middle]), np.concatenate([middle, high[left]])
    parts = [np.concatenate(each) for each in (*zip(*fine), *zip(*coarse))]
    return *parts, np.array([lost])


def _settled(
    at: np.ndarray, whole: np.ndarray, closer: np.ndarray, halves: np.ndarray, width: np.ndarray,
    weights: np.ndarray, reach: float,
) -> np.ndarray:  # fmt: skip
    """Whether panels (p,) and their halves agree, under all tilts that make something of them."""
    with np.errstate(invalid="ignore"):
        bare = whole - np.log(weights)
        slope = (bare[:, -1] - bare[:, 0]) / (at[:, -1] - at[:, 0])
    slope = np.where(np.isfinite(slope), slope, 0.0)
    middle = at.mean(axis=1, keepdims=True)
    lost = 2e-16 * np.where(np.isfinite(whole), np.abs(whole), 0.0).max(axis=1)
    agree = np.ones(len(at), bool)
    for steeper in (None, -12.0, 0.0, 12.0):
        order = np.zeros(len(at)) if steeper is None else np.clip(-slope + steeper / width, 0.0, reach)
        with np.errstate(invalid="ignore"):
            change = logsumexp(whole + order[:, None] * (at - middle), axis=1)
            change -= logsumexp(halves + order[:, None] * (closer - middle), axis=1)
        agree &= np.abs(change) <= SETTLED + 4 * lost
    return agree


def _masses(law: Any, side: _Side, low: np.ndarray, high: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Log probabilities of panels next to a jump or a pole, from the distribution function where there is one."""
    if not (callable(getattr(law, "cdf", None)) and callable(getattr(law, "sf", None))):
        return known
    inner, outer = side.sign * np.exp(low), side.sign * np.exp(high)
    below = np.abs(np.asarray(law.cdf(outer), dtype=float) - law.cdf(inner))
    above = np.abs(np.asarray(law.sf(outer), dtype=float) - law.sf(inner))
    masses = np.where(law.sf(inner) < 0.5, above, below)
    with np.errstate(divide="ignore"):
        return np.where(masses > 0, np.log(masses), known)

"""Linear recurrences and linear differential equations in the eigenbasis, at any time without the way to it. Derived.

A coordinate a decays by itself and is driven by a constant and by geometric (exponential) terms,

    y_a(n + 1) = (1 - decay_a) y_a(n) + constant_a + sum_j driven_aj (1 - fading_j)^n,     or
    y_a'(t) = -decay_a y_a + constant_a + sum_j driven_aj exp(-fading_j t).

Its solution is made of divided differences (p^n - r^n) / (p - r), taken by expm1 where the two are close, so that
decays that coincide, or a step size of 1e-12, cost no digits. All follow from decays, never from factors 1 - decay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .compiling import compiled
from .threads import thread_pool, threads_of

NEAR = 1.0  # exponents that differ by less are taken by expm1
BLOCK = 2**20  # numbers of a table of powers: 8 MB
PARALLEL = 200_000  # pairs from which on threads share a sum
APART = 1e-3  # relative difference of decays from which on a divided difference is taken apart


@compiled
def _driven(weights, decays, logs, signs, powers, fadings, fading_logs, fading_signs, fading_powers, time, steps, out):
    """Sums over j of weights (A, J) times the divided differences at one time, into out (A,)."""
    for a in range(weights.shape[0]):
        total = 0.0
        for j in range(weights.shape[1]):
            if weights[a, j] == 0.0:
                continue
            gap = fadings[j] - decays[a]  # of the factors, or of the exponents
            apart = time * (logs[a] - fading_logs[j])
            if steps and gap == 0.0 and fadings[j] == 1.0:  # both factors are 0
                total += weights[a, j] if time == 1.0 else 0.0
            elif signs[a] != fading_signs[j] or not abs(apart) < NEAR:
                total += weights[a, j] * ((powers[a] - fading_powers[j]) / gap)
            elif not steps:
                grown = np.expm1(apart) / apart if apart != 0.0 else 1.0
                total += weights[a, j] * time * fading_powers[j] * grown
            else:
                # In absolute values: of two negative factors the difference of the powers has their sign.
                factor = 1.0 - fadings[j]
                ratio = logs[a] - fading_logs[j]
                grown = np.expm1(apart) / np.expm1(ratio) if ratio != 0.0 else time
                total += weights[a, j] * (fading_powers[j] / factor) * grown
        out[a] = total


@compiled
def _driven_at(weights, decays, logs, signs, powers, fadings, fading_logs, fading_signs, faded, times, steps, out):
    for k in range(times.size):
        if times[k] > 0:
            _driven(
                weights, decays, logs, signs, powers[k], fadings, fading_logs, fading_signs, faded[k], times[k], steps,
                out[k],
            )  # fmt: skip


@compiled
def _pairs(decays, logs, signs, powers, fadings, fading_logs, fading_signs, fading_powers, time, steps, out):
    one, part = np.ones((1, 1)), np.empty(1)
    for i in range(decays.size):
        here = slice(i, i + 1)
        _driven(
            one, decays[here], logs[here], signs[here], powers[here], fadings[here], fading_logs[here],
            fading_signs[here], fading_powers[here], time, steps, part,
        )  # fmt: skip
        out[i] = part[0]


@dataclass(frozen=True, eq=False)
class Factors:
    """Decays (k,) a step, or a unit of time, as factors whose powers keep their digits."""

    decays: np.ndarray
    discrete: bool

    @cached_property
    def logs(self) -> np.ndarray:
        """Logarithms of the factors' sizes."""
        if not self.discrete:
            return -self.decays
        with np.errstate(divide="ignore"):
            return np.where(self.decays < 1, np.log1p(-np.minimum(self.decays, 1.0)), np.log(np.abs(self.decays - 1)))

    @cached_property
    def signs(self) -> np.ndarray:
        return np.where(self.decays > 1, -1.0, 1.0) if self.discrete else np.ones(self.decays.size)

    def powers(self, time: float) -> np.ndarray:
        """Factors to the power of a number of steps, or exp(-decay time)."""
        if time == 0:
            return np.ones(self.decays.size)
        with np.errstate(over="ignore", invalid="ignore"):
            sizes = np.exp(time * self.logs)
        return sizes * np.where(self.signs < 0, 1.0 if int(time) % 2 == 0 else -1.0, 1.0)

    def sums(self, time: float) -> np.ndarray:
        """1 + factor + ... + factor^(time - 1), or the integral of exp(-decay s) up to a time."""
        if time == 0:
            return np.zeros(self.decays.size)
        safe = np.where(self.decays == 0, 1.0, self.decays)
        with np.errstate(over="ignore", invalid="ignore"):
            lost = np.where(self.signs > 0, -np.expm1(time * self.logs), 1 - self.powers(time))
        return np.where(self.decays == 0, time, lost / safe)

    def table(self, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """`powers` and `sums` (times, k) at many times; warnings of overflow are the caller's."""
        times = np.asarray(times)[:, None]
        exponents = times * np.maximum(self.logs, -np.finfo(float).max)  # 0 times that of a factor 0 is 0
        powers = np.where((times % 2 == 1) & (self.signs < 0), -np.exp(exponents), np.exp(exponents))
        safe = np.where(self.decays == 0, 1.0, self.decays)
        lost = np.where(self.signs > 0, -np.expm1(exponents), 1 - powers)
        return powers, np.where(self.decays == 0, times, lost / safe)


@dataclass(frozen=True, eq=False)
class SpectralSums:
    """y_a at any time.

    Parameters
    ----------
    decays : (A,) array
    discrete : bool
    start, constant : (A,) arrays
    fadings : (J,) array
    driven : (A, J) array, or None where nothing fades
    apart : bool
        Whether `totals` may take divided differences of unlike decays apart: A + J powers a time instead of A J
        quotients, at the price of some three digits of what is driven.
    """

    decays: np.ndarray
    discrete: bool
    start: np.ndarray
    constant: np.ndarray
    fadings: np.ndarray
    driven: np.ndarray | None
    apart: bool = False

    @cached_property
    def _factors(self) -> tuple[Factors, Factors]:
        return Factors(self.decays, self.discrete), Factors(self.fadings, self.discrete)

    def at(self, time: float) -> np.ndarray:
        """y (A,)."""
        own, other = self._factors
        with np.errstate(over="ignore", invalid="ignore"):
            # Where nothing starts or drives, nothing grows, however large its factor.
            found = np.where(self.start == 0, 0.0, own.powers(time) * self.start)
            found += np.where(self.constant == 0, 0.0, own.sums(time) * self.constant)
            if self.driven is not None and time > 0:
                found = found + self._driven(time, own, other)
        return found

    def totals(self, times: np.ndarray) -> np.ndarray:
        """Sum of all y_a (times,)."""
        if self.driven is not None:
            return self._driven_totals(np.asarray(times, dtype=float), self.driven)
        own, found = self._factors[0], np.empty(len(times))
        starts, drives = self.start != 0, self.constant != 0
        size = max(1, BLOCK // max(1, self.decays.size))
        with np.errstate(over="ignore", invalid="ignore"):
            for first in range(0, len(times), size):
                here = slice(first, first + size)
                powers, sums = own.table(times[here])
                found[here] = powers[:, starts] @ self.start[starts] + sums[:, drives] @ self.constant[drives]
        return found

    def _driven_totals(self, times: np.ndarray, weights: np.ndarray) -> np.ndarray:
        own, other = self._factors
        found, driven = np.empty(len(times)), np.zeros((len(times), self.decays.size))
        if self.apart:
            return self._totals_apart(times)
        if weights.size > PARALLEL:  # the rows of one time are enough for all threads
            return np.array([self.at(time).sum() for time in times])
        with np.errstate(over="ignore", invalid="ignore"):
            powers, sums = own.table(times)
            _driven_at(
                weights, own.decays, own.logs, own.signs, powers, other.decays, other.logs, other.signs,
                other.table(times)[0], times, self.discrete, driven,
            )  # fmt: skip
            each = np.where(self.start == 0, 0.0, powers * self.start)
            each += np.where(self.constant == 0, 0.0, sums * self.constant)
            found[:] = (each + driven).sum(axis=1)
        return found

    def _totals_apart(self, times: np.ndarray) -> np.ndarray:
        (own, other), (left, right, near) = self._factors, self._taken_apart
        found = np.zeros(len(times)) if near is None else near.totals(times)
        with np.errstate(over="ignore", invalid="ignore"):
            powers, sums = own.table(times)
            for table, weights in (
                (powers, self.start + left), (sums, self.constant), (other.table(times)[0], -right)
            ):  # fmt: skip
                found += table[:, weights != 0] @ weights[weights != 0]
        return found

    @cached_property
    def _taken_apart(self) -> tuple[np.ndarray, np.ndarray, SpectralSums | None]:
        """Weights of the powers of either decay (A,), (J,), and what is left of pairs that are too near for that."""
        weights = self.driven
        assert weights is not None
        gaps = self.fadings - self.decays[:, None]
        near = np.abs(gaps) <= APART * np.maximum(np.abs(self.fadings), np.abs(self.decays)[:, None])
        parts = np.where(near, 0.0, weights) / np.where(near, 1.0, gaps)
        rows, columns = near.any(axis=1), near.any(axis=0)
        rest = None
        if rows.any():
            nothing = np.zeros(int(rows.sum()))
            rest = SpectralSums(
                self.decays[rows], self.discrete, nothing, nothing, self.fadings[columns],
                np.where(near, weights, 0.0)[np.ix_(rows, columns)],
            )  # fmt: skip
        return parts.sum(axis=1), parts.sum(axis=0), rest

    def _driven(self, time: float, own: Factors, other: Factors) -> np.ndarray:
        weights, out = self.driven, np.empty(self.decays.size)
        assert weights is not None
        powers, faded = own.powers(time), other.powers(time)

        def part(first: int, last: int) -> None:
            rows = slice(first, last)
            _driven(
                weights[rows], own.decays[rows], own.logs[rows], own.signs[rows], powers[rows], other.decays,
                other.logs, other.signs, faded, float(time), self.discrete, out[rows],
            )  # fmt: skip

        share(out.size, part, weights.size)
        return out


def divided(decays: np.ndarray, fadings: np.ndarray, time: float, discrete: bool) -> np.ndarray:
    """Divided differences of two factors' powers, entry by entry; shapes broadcast."""
    decays, fadings = np.broadcast_arrays(decays, fadings)
    own, other = Factors(decays.ravel(), discrete), Factors(fadings.ravel(), discrete)
    out = np.zeros(decays.size)
    if time > 0:
        with np.errstate(over="ignore", invalid="ignore"):
            _pairs(
                own.decays, own.logs, own.signs, own.powers(time), other.decays, other.logs, other.signs,
                other.powers(time), float(time), discrete, out,
            )  # fmt: skip
    return out.reshape(decays.shape)


def share(size: int, work: Callable[[int, int], object], pairs: int) -> None:
    """Do work(first, last) for 0..size-1, in as many parts as there are threads where there are many pairs."""
    threads = threads_of() if pairs > PARALLEL else 1
    if threads == 1:
        work(0, size)
        return
    edges = np.linspace(0, size, threads + 1).astype(int)
    with thread_pool(threads) as pool:
        list(pool.map(work, edges[:-1].tolist(), edges[1:].tolist()))

"""Covariances after many steps by Chebyshev polynomials of one step's map. Derived.

What moves covariances about the mean has real eigenvalues between known bounds: those of a self-adjoint map, and of
what fades by itself (products of means, means, a constant). With G = 1 - map on [low, low + width],

    (1 - G)^k = sum_j c_j(k) T_j(X),    X = 1 - 2 (G - low) / width,

and c_j(k) is rounding from a few sqrt(k width) on: far fewer products than steps. The T_j serve every k, and none mixes
sizes that are apart: a product of means is no part of a covariance. Where covariances fall far below what they are
summed from, polynomials start again from the state that is reached.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .linear_maps import KrylovSpace, pack_symmetric, unpack_symmetric
from .moment_spectra import GONE, MomentSpectra
from .spectral_sums import Factors

LOST = 1e3  # by how much covariances may be smaller than what they are summed from
GROWTH = 300.0  # exponent of what may grow in one stretch
HELD = 2**26  # numbers of the polynomials of a stretch: half a GB
FEW = 64  # states that are formed at once


def degree(steps: float, width: float) -> float:
    """How many polynomials give so many steps to rounding."""
    return min(steps, 20.0 + 6.5 * (steps * width) ** 0.5)


def bounds(equations: Any) -> tuple[float, float]:
    """The least decay of what fades by itself, at most 0, and a bound of G from above.

    The noise of a covariance S is E (a.S a) a a^T - H S H, of which the first part only lowers G.
    """
    decays, noise = equations.mean_decays, equations.noise
    pairs = MomentSpectra(equations).together(decays[:, None], decays)
    second = equations.noise_scale * noise.factor * float(np.square(noise.eigenvalues).max(initial=0.0))
    low = min(0.0, float(decays.min()), float(pairs.min()))
    return low, max(low, float(decays.max()), float(pairs.max()) + second)


def products(equations: Any, steps: float) -> float:
    """How many noises so many steps need, about; all numbers that are held at once are `HELD` at most."""
    low, high = bounds(equations)
    width, most = high - low, HELD / equations.mean_decays.size**2
    needed = degree(steps, width)
    return needed if needed <= most else most * steps * width * (6.5 / most) ** 2


@dataclass(frozen=True, eq=False)
class Stretch:
    """The polynomials T_j, of as many steps as they reach, from one state on.

    Attributes
    ----------
    basis : (J, p) array
        Packed covariances of T_j of the state.
    low, width : float
        Of the eigenvalues of G.
    """

    basis: np.ndarray
    low: float
    width: float

    @cached_property
    def _nodes(self) -> Factors:
        count = 2 << len(self.basis).bit_length()
        angles = (np.arange(count) + 0.5) * (np.pi / count)
        return Factors(self.low + self.width * np.sin(angles / 2) ** 2, True)

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.abs(self.basis).max(axis=1)

    def at(self, steps: Sequence[int], largest: float) -> tuple[np.ndarray, np.ndarray]:
        """Packed covariances (steps, p), and which of them have their digits; `largest` says what has faded."""
        from scipy.fft import dct

        weights = np.zeros((len(steps), len(self.basis)))
        for row, count in zip(weights, steps):
            used = int(degree(count, self.width)) + 1
            row[:used] = dct(self._nodes.powers(count))[:used] / self._nodes.decays.size
        weights[:, 0] /= 2
        found = weights @ self.basis
        size = np.maximum(np.abs(found).max(axis=1), GONE * largest)
        return found, np.abs(weights) @ self._sizes <= LOST * size


@dataclass(frozen=True, eq=False)
class ChebyshevMoments:
    """Covariances of plain SGD on finitely many samples.

    Parameters
    ----------
    spectra : MomentSpectra
    """

    spectra: MomentSpectra

    @cached_property
    def _pairs(self) -> np.ndarray:
        """How products of means decay (d, d)."""
        decays = self.spectra.equations.mean_decays
        return self.spectra.together(decays[:, None], decays)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        """(low, width) of the eigenvalues of G: from below by a proof of stability, else by Lanczos' method."""
        equations: Any = self.spectra.equations
        (low, high), size = bounds(equations), self._pairs.shape[0]
        if low < 0 or not equations.proved_stable():
            start = np.random.Generator(np.random.Philox(0)).standard_normal(size * (size + 1) // 2)
            projected = KrylovSpace(self.spectra.decay, start).projected
            low = min(low, float(np.linalg.eigvalsh((projected + projected.T) / 2)[0]))
        return low, max(high - low, np.finfo(float).tiny)

    def _stretch(self, mean: np.ndarray, covariance: np.ndarray, steps: int) -> tuple[Stretch, int]:
        """Polynomials from a state on, and the steps that they reach, as many as are asked where they can."""
        low, width = self._bounds
        most = HELD / covariance.size
        growth = float(np.log(max(1 - low, low + width - 1)))
        while steps > 1 and (degree(steps, width) > most or steps * growth > GROWTH):
            steps //= 2
        still, equations = self.spectra.still, self.spectra.equations
        factors = [1 - 2 / width * (decays - low) for decays in (self._pairs, self._pairs, equations.mean_decays, 0.0)]

        def moved(state: list[Any]) -> list[Any]:
            noise = equations.noise_scale * equations.noise(state[0] + state[1], state[2]) + (state[3] - 1) * still
            found = [factor * part for factor, part in zip(factors, state)]
            found[0] += 2 / width * noise
            return found

        before: list[Any] = []
        now: list[Any] = [covariance, np.outer(mean, mean), mean, 1.0]
        basis = np.empty((int(degree(steps, width)) + 1, covariance.shape[0] * (covariance.shape[0] + 1) // 2))
        for j, row in enumerate(basis):
            row[:] = pack_symmetric(now[0])
            if j + 1 < len(basis):
                image = moved(now)
                after = [2 * part - old for part, old in zip(image, before)] if before else image
                before, now = now, after
        return Stretch(basis, low, width), steps

    def states(
        self, mean: np.ndarray, covariance: np.ndarray, times: Sequence[float] | np.ndarray
    ) -> Iterator[np.ndarray]:
        """Covariances (d, d) at increasing times; not numbers from the step on that leaves their range."""
        left, now, largest = [int(time) for time in times], 0, float(np.abs(covariance).max())
        room = left[-1]  # where digits were lost soon, the next stretch is not made for all that remains
        while left:
            if left[0] == now or not np.isfinite(covariance).all():
                yield covariance
                del left[0]
                continue
            moved = mean * self.spectra.fading.powers(now)
            stretch, reach = self._stretch(moved, covariance, min(left[-1] - now, room))
            steps, lost = 0, False
            while left and left[0] - now <= reach:
                some = [time - now for time in left[:FEW] if time - now <= reach]
                found, kept = stretch.at(some, largest)
                good = len(some) if kept.all() else int(np.argmin(kept))
                for state in found[:good]:
                    covariance = unpack_symmetric(state, mean.size)
                    largest = max(largest, float(np.abs(covariance).max()))
                    yield covariance
                del left[:good]
                steps = some[good - 1] if good else steps
                if good < len(some):
                    reach, lost = some[good], True
                    break
            # From here as far towards the next time as digits last.
            while left and reach > steps:
                found, kept = stretch.at([reach], largest)
                if kept[0] or reach == 1:
                    covariance, steps = unpack_symmetric(found[0], mean.size), reach
                reach = (reach + steps) // 2
            now, room = now + steps, (4 if lost else 64) * steps

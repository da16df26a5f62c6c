"""Moments at any time by the spectrum of what moves them: one eigenproblem, then closed form. Derived.

Second moments of one number a mode obey S' = (1 - G) S + forcing, with G symmetric: diagonal less rank one where
variances close, else a map of symmetric matrices that is self-adjoint in the Frobenius product. Means fade
geometrically, so that the forcing is a sum of such terms and every moment a `SpectralSums`. For the risk alone second
moments are taken about the minimiser, where the forcing is linear in the mean; for covariances about the mean, so that
a start at a point loses no digits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Protocol

import numpy as np

from .cost import check_memory
from .errors import OutOfReach
from .linear_maps import pack_symmetric, unpack_symmetric
from .noise_maps import ConstantNoise, NoiseMap, RankOneNoise
from .rank_one_spectrum import RankOneSpectrum
from .spectral_sums import Factors, SpectralSums, divided

LARGEST_KRYLOV = 3000
KRYLOV_BLOCK = 100  # vectors between two looks at the risk
SETTLED = 1e-12  # change of a value between two looks, relative to itself, that is taken for rounding
FAR = 2.0**200
APART_FROM = 50  # modes from which on what is driven is taken apart
GONE = 1e-18  # of the largest value: what is smaller has faded


class Spectral(Protocol):
    """What is asked of a `MomentMap` or `MomentFlow` of one number a mode, whose noise enters all modes alike."""

    discrete: ClassVar[bool]

    @property
    def noise(self) -> NoiseMap: ...

    @property
    def mean_decays(self) -> np.ndarray: ...

    @property
    def noise_scale(self) -> float: ...


@dataclass(frozen=True, eq=False)
class Functional:
    """constant + slope . mean + weights . diag(second moments) / 2, of modes about the minimiser: a risk."""

    constant: float
    slope: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True, eq=False)
class MomentSpectra:
    """The spectrum of some moment equations.

    Parameters
    ----------
    equations : Spectral
    """

    equations: Spectral

    @cached_property
    def fading(self) -> Factors:
        """How means fade."""
        return Factors(self.equations.mean_decays, self.equations.discrete)

    def means(self, mean: np.ndarray, times: Sequence[float] | np.ndarray) -> np.ndarray:
        """Means (times, d)."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.fading.table(np.asarray(times))[0] * mean

    def together(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Decay of a product of two that decay so; shapes broadcast."""
        return left + right - left * right if self.equations.discrete else left + right

    def risk(
        self, mean: np.ndarray, spread: np.ndarray, times: Sequence[float] | np.ndarray, functional: Functional,
        krylov: bool = False, poisson: bool = False,
    ) -> Callable[[Sequence[float] | np.ndarray], np.ndarray]:  # fmt: skip
        """The functional as a function of times, from a start with covariances (d, d) or variances (d,).

        A Krylov space is made as large as `times` need; others are not to lie beyond the last of them. With `poisson`
        steps fall at the times of a Poisson process of rate 1: a step's map M becomes the generator M - 1.
        """
        if isinstance(self.equations.noise, ConstantNoise):
            sums = self._still_risk(mean, spread, functional)
        elif spread.ndim == 1:
            sums = self._rank_one_risk(mean, spread, functional)
        elif krylov:
            sums = self._krylov_risk(mean, spread, times, functional)
        else:
            sums = self._packed_risk(mean, spread, functional)
        fading = self.fading
        if poisson:  # the same decays, in continuous time
            sums, fading = replace(sums, discrete=False), replace(fading, discrete=False)

        def risk(times: Sequence[float] | np.ndarray) -> np.ndarray:
            linear = 0.0
            if functional.slope.any():
                with np.errstate(over="ignore", invalid="ignore"):
                    linear = (fading.table(np.asarray(times))[0] * mean) @ functional.slope
            return np.asarray(linear + functional.constant + sums.totals(np.asarray(times)))

        return risk

    def _still_risk(self, mean: np.ndarray, variances: np.ndarray, functional: Functional) -> SpectralSums:
        """Of a noise that is the same everywhere: every mode by itself."""
        noise: Any = self.equations.noise
        decays, weights = self.equations.mean_decays, 0.5 * functional.weights
        entered = self.equations.noise_scale * np.diagonal(noise.covariance)
        return SpectralSums(
            self.together(decays, decays), self.equations.discrete, weights * (variances + mean**2), weights * entered,
            decays, None,
        )  # fmt: skip

    def _rank_one_risk(self, mean: np.ndarray, variances: np.ndarray, functional: Functional) -> SpectralSums:
        """The functional's part of each eigenvector; weights of the risk lie along the root, so none is left out."""
        noise, spectrum, scale, entry, own = self._rank_one
        read, start, enters, still = spectrum.project(np.stack([
            0.5 * functional.weights * scale, (variances + mean**2) / scale, entry / scale,
            own * noise.offsets**2 / scale,
        ]))  # fmt: skip
        shared, alone = noise.slope * mean, 2 * own * noise.offsets * mean / scale
        driven = None
        if shared.any() or alone.any():
            size = 8.0 * mean.size * read.size
            check_memory(
                f"the risk of {mean.size} modes with a ridge", 3 * size, "leave the ridge out, or take fewer modes"
            )
            driven = (read * enters)[:, None] * shared
            if alone.any():
                driven += (spectrum.vectors() * read).T * alone
        return SpectralSums(
            spectrum.decays, self.equations.discrete, read * start, read * (enters * noise.floor + still),
            self.equations.mean_decays, driven, mean.size > APART_FROM,
        )  # fmt: skip

    @cached_property
    def _rank_one(self) -> tuple[RankOneNoise, RankOneSpectrum, np.ndarray, np.ndarray, np.ndarray]:
        """Noise, spectrum, what makes the matrix symmetric, how the level enters, a mode's own noise."""
        noise: Any = self.equations.noise
        decays, factor = self.equations.mean_decays, self.equations.noise_scale
        entry, own = factor * noise.spread, factor * noise.own**2
        scale = np.sqrt(np.divide(entry, noise.coupling, out=np.ones_like(entry), where=noise.coupling > 0))
        spectrum = RankOneSpectrum(self.together(decays, decays) - own, np.sqrt(entry * noise.coupling))
        return noise, spectrum, scale, entry, own

    def rank_one(
        self, mean: np.ndarray, spread: np.ndarray, times: Sequence[float] | np.ndarray
    ) -> Iterator[np.ndarray]:
        """Variances (d,), or covariances (d, d) where those of the start are given, at each time."""
        noise, spectrum, scale, entry, own = self._rank_one
        decays, (values, vectors) = self.equations.mean_decays, spectrum.eigenpairs()
        start = (spread if spread.ndim == 1 else np.diagonal(spread)) / scale
        enters = vectors.T @ (entry / scale)
        still = enters * noise.floor + vectors.T @ (own * noise.offsets**2 / scale)
        once, twice = noise.slope * mean, noise.coupling * mean**2
        driven = np.concatenate([enters[:, None] * once, enters[:, None] * twice], axis=1)
        if own.any():
            parts = 2 * own * noise.offsets * mean / scale, own * mean**2 / scale
            driven += np.concatenate([vectors.T * part for part in parts], axis=1)
        sums = SpectralSums(
            values, self.equations.discrete, vectors.T @ start, still,
            np.concatenate([decays, self.together(decays, decays)]), driven if mean.any() else None,
        )  # fmt: skip
        for time in times:
            # What lies below the rounding of the largest may come out negative.
            variances = np.maximum(scale * (vectors @ sums.at(time)), 0.0)
            if spread.ndim == 1:
                yield variances
                continue
            covariance = self._off_diagonal(noise, own, mean, spread, float(time))
            np.fill_diagonal(covariance, variances)
            yield covariance

    def _off_diagonal(
        self, noise: RankOneNoise, own: np.ndarray, mean: np.ndarray, spread: np.ndarray, time: float
    ) -> np.ndarray:
        """Covariances (d, d) of different modes, each by itself; the diagonal means nothing."""
        decays, discrete = self.equations.mean_decays, self.equations.discrete
        pairs = self.together(decays[:, None], decays)
        root = np.sqrt(own)
        growth = pairs - root[:, None] * root
        found = Factors(growth.ravel(), discrete).powers(time).reshape(growth.shape) * spread
        if own.any():
            nothing = np.zeros_like(decays)
            for left, left_decays in ((mean, decays), (noise.offsets, nothing)):
                for right, right_decays in ((mean, decays), (noise.offsets, nothing)):
                    if left.any() and right.any():
                        fadings = self.together(left_decays[:, None], right_decays)
                        found += root[:, None] * root * np.outer(left, right) * divided(growth, fadings, time, discrete)
        return found

    def states(
        self, mean: np.ndarray, spread: np.ndarray, times: Sequence[float] | np.ndarray
    ) -> Iterator[np.ndarray]:
        """Variances or covariances at each time, by the eigenproblem of the noise's structure."""
        way = self.rank_one if isinstance(self.equations.noise, RankOneNoise) else self.packed
        return way(mean, spread, times)

    # Any noise: symmetric matrices as vectors (p,) whose products are those of Frobenius.

    def _pack(self, matrices: np.ndarray) -> np.ndarray:
        return pack_symmetric(matrices) * self._weights

    def _unpack(self, vectors: np.ndarray) -> np.ndarray:
        return unpack_symmetric(vectors / self._weights, self.equations.mean_decays.size)

    @cached_property
    def _weights(self) -> np.ndarray:
        d = self.equations.mean_decays.size
        return pack_symmetric(np.full((d, d), np.sqrt(2)) - (np.sqrt(2) - 1) * np.eye(d))

    @cached_property
    def still(self) -> np.ndarray:
        """Noise (d, d) at the minimiser."""
        d = self.equations.mean_decays.size
        return self.equations.noise_scale * self.equations.noise(np.zeros((d, d)), np.zeros(d))

    @cached_property
    def unit(self) -> float:
        """A length at which what is linear in the moments is as large as the noise at the minimiser.

        Whatever the batch size, on which both depend alike.
        """
        still, d = float(np.abs(self.still).max()), len(self.still)
        far = self.equations.noise(FAR * np.eye(d), np.zeros(d))  # where nothing is seen of the noise at the minimiser
        slope = self.equations.noise_scale * float(np.abs(far).max()) / FAR
        if not (0 < still < np.inf and slope > 0):
            return 1.0
        return float(2.0 ** np.rint(np.log2(still / slope) / 2))

    def drawn(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """What of the noise is linear in the moments, (d, d), of moments that are counted in the unit of length."""
        unit = self.unit
        return self.equations.noise_scale * self.equations.noise(unit**2 * second, unit * mean) - self.still

    def answers(self, modes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Noise of each pair (p,) of first modes: at the minimiser, by a mean (p, modes), by a second moment (p, p).

        Of sizes at which no part drowns another.
        """
        d, (rows, columns) = self.equations.mean_decays.size, np.triu_indices(modes)
        nothing = np.zeros((d, d))
        tilt, response = np.empty((rows.size, modes)), np.empty((rows.size, rows.size))
        for mode, mean in enumerate(np.eye(d)[:modes]):
            tilt[:, mode] = self.drawn(nothing, mean)[rows, columns] / self.unit
        for place, (i, j) in enumerate(zip(rows, columns)):
            second = nothing.copy()
            second[i, j] = second[j, i] = 1.0
            response[:, place] = self.drawn(second, np.zeros(d))[rows, columns] / self.unit**2
        return self.still[rows, columns], tilt, response

    def decay(self, vector: np.ndarray) -> np.ndarray:
        """G of a packed matrix."""
        matrix, decays = self._unpack(vector), self.equations.mean_decays
        drawn = self.drawn(matrix, np.zeros(decays.size)) / self.unit**2
        return self._pack(self.together(decays[:, None], decays) * matrix - drawn)

    @cached_property
    def _tabulated(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Packed noise by a second moment (p, p) and by a mean (p, d), where the noise has a table of both."""
        table, weights = self.equations.noise.table(), self._weights
        if table is None:
            return None
        d = self.equations.mean_decays.size
        rows, columns = np.triu_indices(d + 1)
        made = self.equations.noise_scale * weights[:, None] * table
        return made[:, columns < d] / weights, made[:, (columns == d) & (rows < d)]

    def _pulls(self, mean: np.ndarray) -> np.ndarray:
        """Noise that is linear in the mean, for each mode's start (p, d)."""
        if self._tabulated is not None:
            return self._tabulated[1] * mean
        d = mean.size
        nothing = np.zeros((d, d))
        return np.column_stack([
            mean[j] / self.unit * self._pack(self.drawn(nothing, row)) for j, row in enumerate(np.eye(d))
        ])  # fmt: skip

    @cached_property
    def _packed(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (p,) of G, and eigenvectors."""
        decays = self.equations.mean_decays
        if self._tabulated is None:
            matrix = np.column_stack([self.decay(column) for column in np.eye(self._weights.size)])
        else:
            matrix = np.diag(pack_symmetric(self.together(decays[:, None], decays))) - self._tabulated[0]
        values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
        return values, vectors

    def _packed_risk(self, mean: np.ndarray, covariance: np.ndarray, functional: Functional) -> SpectralSums:
        values, vectors = self._packed
        read = vectors.T @ self._pack(np.diag(0.5 * functional.weights))
        start = vectors.T @ self._pack(covariance + np.outer(mean, mean))
        driven = read[:, None] * (vectors.T @ self._pulls(mean)) if mean.any() else None
        return SpectralSums(
            values, self.equations.discrete, read * start, read * (vectors.T @ self._pack(self.still)),
            self.equations.mean_decays, driven,
        )  # fmt: skip

    def packed(
        self, mean: np.ndarray, covariance: np.ndarray, times: Sequence[float] | np.ndarray
    ) -> Iterator[np.ndarray]:
        """Covariances (d, d) at each time."""
        values, vectors = self._packed
        decays, d, driven = self.equations.mean_decays, mean.size, None
        rows, columns = np.triu_indices(d)
        fadings = np.concatenate([decays, self.together(decays[rows], decays[columns])])
        if mean.any():
            products = np.zeros((rows.size, rows.size))  # noise of each product of two means
            for place, (i, j) in enumerate(zip(rows, columns)):
                if mean[i] and mean[j]:
                    square = np.zeros((d, d))
                    square[i, j] = square[j, i] = 1.0
                    size = mean[i] * mean[j] / self.unit**2
                    products[:, place] = size * self._pack(self.drawn(square, np.zeros(d)))
            driven = vectors.T @ np.column_stack([self._pulls(mean), products])
        sums = SpectralSums(
            values, self.equations.discrete, vectors.T @ self._pack(covariance), vectors.T @ self._pack(self.still),
            fadings, driven,
        )  # fmt: skip
        for time in times:
            yield self._unpack(vectors @ sums.at(time))

    def _krylov_risk(
        self, mean: np.ndarray, covariance: np.ndarray, times: Sequence[float] | np.ndarray, functional: Functional
    ) -> SpectralSums:
        """By Lanczos' method from the functional on: a start and a forcing then are a number a vector.

        The space grows until the values stay.

        Raises
        ------
        OutOfReach
            If they do not within the largest space.
        """
        read = self._pack(np.diag(0.5 * functional.weights))
        right = np.column_stack([
            self._pack(covariance + np.outer(mean, mean)), self._pack(self.still), self._pulls(mean),
        ])  # fmt: skip
        length = float(np.linalg.norm(read))
        basis = np.zeros((min(read.size, LARGEST_KRYLOV), read.size))
        diagonal, beside = np.zeros(len(basis)), np.zeros(len(basis))
        basis[0], before = read / length, None
        for k in range(len(basis)):
            image = self.decay(basis[k])
            diagonal[k] = basis[k] @ image
            for _ in range(2):  # twice is enough: orthogonal to rounding
                image = image - (basis[: k + 1] @ image) @ basis[: k + 1]
            beside[k] = np.linalg.norm(image)
            last = k + 1 == len(basis) or beside[k] <= 1e-14 * np.abs(diagonal[: k + 1]).max()
            if last or (k + 1) % KRYLOV_BLOCK == 0:
                sums = self._in_space(diagonal[: k + 1], beside[:k], basis[: k + 1] @ right, length)
                if last and (k + 1 == read.size or k + 1 < len(basis)):
                    return sums  # the space is all that the functional reaches
                found = sums.totals(np.asarray(times))
                room = SETTLED * np.abs(found) + GONE * np.abs(found).max()
                if before is not None and (np.abs(found - before) <= room).all():
                    return sums
                before = found
            if not last:
                basis[k + 1] = image / beside[k]
        raise OutOfReach(
            f"the risk at {float(times[-1]):g} steps in {mean.size} modes does not settle within {len(basis)} Krylov "
            "vectors: ask for fewer steps, or raise the ridge"
        )

    def _in_space(
        self, diagonal: np.ndarray, beside: np.ndarray, right: np.ndarray, length: float
    ) -> SpectralSums:
        from scipy.linalg import eigh_tridiagonal

        values, vectors = eigh_tridiagonal(diagonal, beside)
        read, coefficients = length * vectors[0], vectors.T @ right
        return SpectralSums(
            values, self.equations.discrete, read * coefficients[:, 0], read * coefficients[:, 1],
            self.equations.mean_decays, read[:, None] * coefficients[:, 2:],
        )  # fmt: skip


def collected(
    means: np.ndarray, states: Iterable[np.ndarray], times: Sequence[float] | np.ndarray, kept: int,
    report: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Means (times, d), and variances (`kept` is 1) or covariances (2); inf where they are no numbers.

    Parameters
    ----------
    states : iterable
        Variances or covariances at each time; the former are read off the latter.
    """
    found, now = np.empty((len(times),) + means.shape[1:] * kept), 0
    for index, state in enumerate(states):
        found[index] = state if state.ndim == kept else np.diagonal(state)
        if report is not None:
            report(int(times[index]) - now)
            now = int(times[index])
    for values in (means, found):
        values[np.isnan(values)] = np.inf
    return means, found

"""First and second moments of diffusions with linear drift and state-dependent noise, exactly.

In modes dz_i = -r_i z_i dt + noise of covariance scale * N dt, with N linear in the first and second moments:

    mean' = -r mean,    cov'_ij = -(r_i + r_j) cov_ij + scale * N_ij(cov + mean mean^T, mean).

The covariance about the mean is what moves, so a start at a point loses no digits. Derived.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from . import mean_square
from .linear_maps import exponential_states, pack_symmetric, unpack_symmetric
from .matrix_equations import solve_lyapunov
from .moment_spectra import MomentSpectra, collected
from .noise_feedback import NoiseFeedback, Responses
from .noise_maps import NoiseMap, SampledNoise
from .routes import Method, Moments, Route, choose_route, feedback_of

TINY = np.finfo(float).tiny


@dataclass(frozen=True, eq=False)
class MomentFlow:
    """The moment equations of one diffusion.

    Attributes
    ----------
    rates : array (d,)
        r, per unit of the time that `propagate` takes.
    scale : float
    noise : NoiseMap
        N.
    """

    rates: np.ndarray
    scale: float
    noise: NoiseMap

    discrete: ClassVar[bool] = False
    numbers: ClassVar[int] = 1
    mean_stable: ClassVar[bool] = True  # while no rate is negative, which is another sentence

    spectral: ClassVar[bool] = True
    paired: ClassVar[bool] = False

    @property
    def dimension(self) -> int:
        """Number of modes d."""
        return self.rates.size

    @property
    def mean_decays(self) -> np.ndarray:
        """The rates."""
        return self.rates

    @property
    def noise_scale(self) -> float:
        """What N is multiplied by."""
        return self.scale

    def propagate(
        self, mean: np.ndarray, spread: np.ndarray | None, times: Sequence[float] | np.ndarray,
        route: Route | None = None, report: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
        """Means (times, d) at increasing times from 0 on, and what the route keeps.

        Parameters
        ----------
        mean : (d,) array
        spread : (d, d) or (d,) array, or None
            At the start, as the route carries it.
        route : Route, optional
            What `choose_route` chose; that of all covariances by default.
        report : callable, optional
            Is told how much more of the time is done.
        """
        times = np.asarray(times, dtype=float)
        route = choose_route(self, ("covariance",), len(times)) if route is None else route
        means = np.exp(-np.outer(times, self.rates)) * mean
        if spread is None:
            if report is not None:
                report(int(times[-1]))
            return means, None
        if route.method is Method.EIGENPROBLEM:
            return collected(means, MomentSpectra(self).states(mean, spread, times), times, int(route.kept), report)
        ways = {Method.ENTRIES: self._entries, Method.EXPONENTIAL: self._exponential}
        kept, now = np.empty((times.size,) + (mean.size,) * route.kept), 0.0
        for index, state in enumerate(ways[route.method](mean, spread, times, route)):
            kept[index] = state
            if report is not None:
                report(int(times[index] - now))
                now = times[index]
        return means, kept

    def _entries(self, mean: np.ndarray, spread: np.ndarray, times: np.ndarray, route: Route) -> Iterator[np.ndarray]:
        """Additive noise: every entry by itself."""
        noise: Any = self.noise  # a ConstantNoise
        if spread.ndim == 1:
            constant, decay = np.diagonal(noise.covariance), 2 * self.rates
        else:
            constant, decay = noise.covariance, self.rates[:, None] + self.rates
        safe = np.where(decay == 0, 1.0, decay)
        for time in times:
            elapsed = time * decay
            grown = np.where(decay == 0, time, -np.expm1(-elapsed) / safe)
            yield np.exp(-elapsed) * spread + self.scale * constant * grown

    def _exponential(
        self, mean: np.ndarray, covariance: np.ndarray, times: np.ndarray, route: Route
    ) -> Iterator[np.ndarray]:
        """Any noise: packed covariances about the mean, squares of the mean, the mean and 1 by their generator."""
        d = self.rates.size
        size = d * (d + 1) // 2
        decay = self.rates[:, None] + self.rates
        constant = self.noise(np.zeros((d, d)), np.zeros(d))
        unit = length_unit(mean, covariance, self.scale / max(float(decay.max()), TINY) * constant)

        # Lengths are counted in `unit`: squares, means and 1 then have one size, and none drowns the others.
        def generator(vector: np.ndarray) -> np.ndarray:
            spread, square = (unpack_symmetric(vector[i * size : (i + 1) * size], d) for i in range(2))
            first, one = vector[2 * size : -1], vector[-1]
            noise = (self.noise(unit**2 * (spread + square), unit * first) + (one - 1) * constant) / unit**2
            parts = self.scale * noise - decay * spread, -decay * square
            return np.concatenate([*map(pack_symmetric, parts), -self.rates * first, [0.0]])

        scaled = mean / unit
        start = [pack_symmetric(covariance / unit**2), pack_symmetric(np.outer(scaled, scaled)), scaled, np.ones(1)]
        for state in exponential_states(generator, np.concatenate(start), times):
            found = unit**2 * unpack_symmetric(state[:size], d)
            yield found if route.kept is Moments.COVARIANCES else np.diagonal(found)

    def responses(self) -> Responses:
        """What a noise leaves behind, about mean zero; the mean must settle in every mode that has noise."""
        d, moving = self.dimension, self.rates > 0
        variances = np.where(moving, self.scale / np.where(moving, 2 * self.rates, 1.0), 0.0)
        pairs = moving[:, None] & moving

        def covariances() -> np.ndarray:
            return np.where(pairs, solve_lyapunov(self.rates, np.full((d, d), self.scale)), 0.0)

        return Responses(covariances, variances, np.ones(d))

    @cached_property
    def feedback(self) -> NoiseFeedback:
        """Noise -> stationary covariance -> noise."""
        return feedback_of(self)

    def proved_stable(self) -> bool:
        """Whether a cheap bound shows that second moments settle, given that the mean does."""
        noise = self.noise
        if not isinstance(noise, SampledNoise):
            return False
        h, weight = noise.eigenvalues, self.scale * noise.factor
        return mean_square.flow_is_stable(noise.features(), 2 * self.rates[: h.size] + weight * h**2, weight)


def length_unit(mean: np.ndarray, covariance: np.ndarray, added: np.ndarray) -> float:
    """A power of two of the size of positions with these moments, or of what noise adds to them; 1 if all vanish."""
    square = max(float(np.square(mean).max()), float(np.abs(covariance).max()), float(np.abs(added).max()))
    return float(2.0 ** np.rint(np.log2(square) / 2)) if 0 < square < np.inf else 1.0

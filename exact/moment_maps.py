"""First and second moments under linear recurrences with state-dependent noise, mode by mode, exactly.

A mode i carries s numbers (s = 1: its position; s = 2: position and momentum buffer) and moves by

    state_i <- F_i (g_i * state_i) + e * noise_i,

where the noise has mean zero and conditional covariance w_ij * N_ij, and N is linear in the first and second
moments of the positions g * state. SGD on least squares is of this form, and so are the schemes that
integrate its diffusions. Derived.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from . import mean_square
from .chebyshev import ChebyshevMoments
from .matrix_equations import fading_response
from .moment_spectra import MomentSpectra, collected
from .noise_feedback import NoiseFeedback, Responses
from .noise_maps import NoiseMap, SampledNoise
from .momentum_moments import means_after, variances_after
from .momentum_pairs import MomentumPairs
from .routes import Method, Moments, Route, choose_route, feedback_of

BETWEEN_REPORTS = 2**14  # numbers that steps have moved: reports cost little beside them


@dataclass(frozen=True, eq=False)
class MomentMap:
    """One step of the exact moment equations.

    Attributes
    ----------
    transition : array (d, s, s)
        F.
    entry : array (s,)
        e: how the noise enters a mode's numbers.
    noise : NoiseMap
        N, from moments of the positions.
    weights : array (d, d) or (1, 1)
        w.
    decay_before_noise : array (d,)
        g, for splitting schemes whose noise acts after part of the drift; 1 otherwise.
    lost : array (d, s, s), optional
        1 - F with all its digits: of a small step F has lost them.
    pairs : MomentumPairs, optional
        Of modes of position and momentum buffer, what a constant noise leaves behind.
    """

    transition: np.ndarray
    entry: np.ndarray
    noise: NoiseMap
    weights: np.ndarray
    decay_before_noise: np.ndarray = field(default_factory=lambda: np.ones(1))
    lost: np.ndarray = None  # type: ignore[assignment]
    pairs: MomentumPairs | None = None

    discrete: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.lost is None:
            object.__setattr__(self, "lost", np.eye(self.entry.size) - self.transition)

    @property
    def dimension(self) -> int:
        """Number of modes d."""
        return self.transition.shape[0]

    @property
    def numbers(self) -> int:
        """Numbers s of a mode."""
        return self.entry.size

    @property
    def spectral(self) -> bool:
        """Whether second moments move by a symmetric map that `MomentSpectra` takes."""
        alike = bool((self.weights == self.weights.flat[0]).all())
        return self.numbers == 1 and alike and bool((self.decay_before_noise == 1).all())

    @property
    def paired(self) -> bool:
        """Whether second moments move by matrices that `momentum_moments` takes."""
        return self.numbers > 1 and bool((self.decay_before_noise == 1).all())

    @property
    def mean_decays(self) -> np.ndarray:
        """1 - F (d,), where a mode is one number."""
        return self.lost[:, 0, 0]

    @property
    def noise_scale(self) -> float:
        """What N is multiplied by, where `spectral`."""
        return float(self.entry[0] ** 2 * self.weights.flat[0])

    @cached_property
    def _whole(self) -> np.ndarray:
        """F g (d, s, s): what the mean is multiplied by."""
        return self.transition * self.decay_before_noise[:, None, None]

    @cached_property
    def _lost_whole(self) -> np.ndarray:
        """1 - F g (d, s, s), with the digits of `lost`."""
        return self.lost + self.transition * (1 - self.decay_before_noise)[:, None, None]

    @cached_property
    def _carry(self) -> np.ndarray:
        """What covariances are multiplied by, mode pair by mode pair: (a, b, c, e, d, d)."""
        whole = np.moveaxis(self._whole, 0, 2)
        return np.einsum("aci,bej->abceij", whole, whole)

    @cached_property
    def _carry_variances(self) -> np.ndarray:
        """The same for a mode with itself: (a, b, c, e, d)."""
        whole = np.moveaxis(self._whole, 0, 2)
        return np.einsum("aci,bei->abcei", whole, whole)

    @property
    def mean_stable(self) -> bool:
        """Whether the mean does not grow, where a mode is one number."""
        return bool((np.abs(self._whole[:, 0, 0]) <= 1).all())

    def move_mean(self, means: np.ndarray) -> np.ndarray:
        """Means (s, d) after one step."""
        if self.numbers == 1:
            return self._whole[:, 0, 0] * means
        return np.einsum("iac,ci->ai", self._whole, means)

    def apply(self, means: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moments after one step: means (s, d), and covariances (s, s, d, d) or variances (s, s, d) of all numbers."""
        before, mean = self.decay_before_noise, self.decay_before_noise * means[0]
        if spread.ndim == 3:
            noise: Any = self.noise  # of variances alone: a DiagonalNoise
            drawn = np.diagonal(self.weights) * noise.variances(before * before * spread[0, 0] + mean * mean, mean)
            carry = self._carry_variances
        else:
            second = before[:, None] * before * spread[0, 0] + mean[:, None] * mean
            drawn, carry = self.weights * self.noise(second, mean), self._carry
        if self.numbers == 1:
            carried = carry[0, 0, 0, 0] * spread[0, 0] + self.entry[0] ** 2 * drawn
            return self.move_mean(means), carried[None, None]
        carried = np.einsum("abce...,ce...->ab...", carry, spread)
        enters = self.entry[:, None] * self.entry
        carried += enters.reshape(enters.shape + (1,) * drawn.ndim) * drawn
        return self.move_mean(means), carried

    def propagate(
        self, mean: np.ndarray, spread: np.ndarray | None, record: Sequence[int] | np.ndarray,
        route: Route | None = None, map_of: Callable[[int], MomentMap] | None = None,
        report: Callable[[int], None] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
        """Position moments at the recorded steps (sorted, from 0): means (steps, d), and what the route keeps.

        From the step on at which a moment leaves the range of floating-point numbers, moments that are not numbers
        are inf.

        Parameters
        ----------
        mean : (d,) array
        spread : (d, d) or (d,) array, or None
            Of the positions at the start, as the route carries it; a momentum buffer starts at zero.
        route : Route, optional
            What `choose_route` chose; that of all covariances by default.
        map_of : callable, optional
            The map of each step k = 0, 1, ..., where it is not this one at all of them.
        report : callable, optional
            Is told how many steps more are done.
        """
        route = choose_route(self, ("covariance",), len(record)) if route is None else route
        spectra = MomentSpectra(self)
        ways: dict[Method, Any] = {Method.EIGENPROBLEM: spectra, Method.CHEBYSHEV: ChebyshevMoments(spectra)}
        if route.method in ways and spread is not None:
            states = ways[route.method].states(mean, spread, record)
            return collected(spectra.means(mean, record), states, record, int(route.kept), report)
        if route.method is Method.POWERS:
            return self._by_powers(mean, spread, record, route, report)
        if route.method is Method.ENTRIES:
            if report is not None:
                report(int(record[-1]))
            return spectra.means(mean, record), None
        s, now, since = self.numbers, 0, 0
        often = max(1, BETWEEN_REPORTS // mean.size ** max(1, int(route.carried)))
        means, carried = np.zeros((s, mean.size)), None
        means[0] = mean
        if spread is not None:
            carried = np.zeros((s, s, *spread.shape))
            carried[0, 0] = spread
        kept_means = np.empty((len(record), mean.size))
        kept = None if route.kept is Moments.MEAN else np.empty((len(record),) + (mean.size,) * route.kept)
        with np.errstate(over="ignore", invalid="ignore"):
            for index, step in enumerate(record):
                for k in range(now, step):
                    map_ = self if map_of is None else map_of(k)
                    if carried is None:
                        means = map_.move_mean(means)
                    else:
                        means, carried = map_.apply(means, carried)
                    since += 1
                    if report is not None and since == often:
                        report(since)
                        since = 0
                now = step
                kept_means[index] = means[0]
                if kept is not None and carried is not None:
                    narrower = kept.ndim < carried.ndim - 1
                    kept[index] = np.diagonal(carried[0, 0]) if narrower else carried[0, 0]
        if report is not None and since:
            report(since)
        for values in (kept_means, kept):
            if values is not None:
                values[np.isnan(values)] = np.inf
        return kept_means, kept

    def _by_powers(
        self, mean: np.ndarray, spread: np.ndarray | None, record: Sequence[int] | np.ndarray, route: Route,
        report: Callable[[int], None] | None,
    ) -> tuple[np.ndarray, np.ndarray | None]:  # fmt: skip
        means = means_after(self, mean, record)
        if spread is not None:
            return collected(means, variances_after(self, mean, spread, record), record, int(route.kept), report)
        if report is not None:
            report(int(record[-1]))
        return np.where(np.isnan(means), np.inf, means), None

    def states_of(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Stationary covariances (s, s, ...) of the numbers of two modes each, for an N of ones; modes that move.

        With momentum to some 1e-15 of every entry, with one number a mode too, as long as step sizes and curvatures are
        taken as they are given: next to the threshold their own rounding weighs as its distance is small.
        """
        if self.pairs is not None:
            return self.pairs.covariances(left, right)
        assert self.numbers == 1  # nobody asks of others where they settle
        lost = self._lost_whole[:, 0, 0]
        with np.errstate(over="ignore"):  # past the range of numbers it is inf
            return (self.entry[0] ** 2 * fading_response(lost[left], lost[right]))[None, None]

    @property
    def moving(self) -> np.ndarray:
        """Numbers of the modes in which anything moves."""
        return np.flatnonzero(self._lost_whole[:, 0, 0])

    @cached_property
    def response(self) -> np.ndarray:
        """Stationary position covariance (d, d) for an N of ones, entry by entry; 0 where nothing moves."""
        moving, response = self.moving, np.zeros((self.dimension, self.dimension))
        response[np.ix_(moving, moving)] = self.states_of(moving[:, None], moving)[0, 0]
        return self.weights * response

    def responses(self) -> Responses:
        """What a noise leaves behind, about mean zero."""
        d, moving = self.dimension, self.moving
        variances = np.zeros(d)
        variances[moving] = self.states_of(moving, moving)[0, 0]
        seen = np.broadcast_to(self.decay_before_noise, (d,))
        return Responses(lambda: self.response, np.diagonal(self.weights) * variances, seen)

    @cached_property
    def feedback(self) -> NoiseFeedback:
        """Noise -> stationary covariance -> noise; needs a stable mean."""
        return feedback_of(self)

    def proved_stable(self) -> bool:
        """Whether a cheap bound shows that second moments settle, given that the mean does: samples, one number a mode.
        """
        noise, weight = self.noise, self.weights.flat[0]
        plain = self.numbers == 1 and (self.decay_before_noise == 1).all() and (self.weights == weight).all()
        if not isinstance(noise, SampledNoise) or not plain:
            return False
        h, factor = noise.eigenvalues, self.entry[0] ** 2 * float(weight) * noise.factor
        kept = self._whole[: h.size, 0, 0] ** 2 - factor * h**2
        return mean_square.map_is_stable(noise.features(), kept, factor)

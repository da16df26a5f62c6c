"""All that a moment equation carries, from any state on: the start of a run whose noise or step size changes. Derived.

Second moments of a mode close with those of its momentum, and with those of other modes: a state holds means and
covariances of all numbers of all modes, or their variances alone where these close among themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .chebyshev import ChebyshevMoments
from .cost import CALLS, available_bytes, check_time
from .moment_maps import MomentMap
from .moment_spectra import Functional, MomentSpectra
from .momentum_moments import numbers_after, size_of
from .noise_maps import ConstantNoise
from .routes import LARGEST_PACKED, Method, choose_route
from .spectral_sums import Factors

AT_ONCE = 64  # steps that are walked without a choice of the way
HELD = 2**23  # numbers of the states that powers of a matrix are taken for at once
Curve = Callable[[np.ndarray], np.ndarray]  # of steps (k,): values (k,)
LARGEST_POWERS = 500  # numbers of a system whose powers are taken
DENSE = 3 * 8.0  # bytes for each entry of a matrix of eigenvectors, and of what is made with it


@dataclass(frozen=True, eq=False)
class MomentState:
    """First and second moments of d modes of s numbers.

    Attributes
    ----------
    means : (s, d) array
    spread : (s, s, d) or (s, s, d, d) array
        Variances of the modes, or covariances.
    """

    means: np.ndarray
    spread: np.ndarray

    @classmethod
    def at_rest(cls, mean: np.ndarray, spread: np.ndarray, numbers: int) -> MomentState:
        """Positions with mean (d,) and variances (d,) or covariances (d, d), whose momentum is zero."""
        means, carried = np.zeros((numbers, mean.size)), np.zeros((numbers, numbers, *spread.shape))
        means[0], carried[0, 0] = mean, spread
        return cls(means, carried)

    @property
    def mean(self) -> np.ndarray:
        """Of the positions (d,)."""
        return self.means[0]

    @property
    def variances(self) -> np.ndarray:
        """Of the positions (d,)."""
        here = self.spread[0, 0]
        return here if here.ndim == 1 else np.diagonal(here)


def without_noise(equations: MomentMap) -> MomentMap:
    """The same recurrence without its noise: gradient descent."""
    return replace(equations, noise=ConstantNoise(np.zeros((1, 1))))


def states(equations: MomentMap, start: MomentState, times: Sequence[int] | np.ndarray) -> Iterator[MomentState]:
    """The states after these numbers of steps (rising), walked or leaped to, whichever is cheaper.

    Raises
    ------
    OutOfReach
        If steps must be walked, and take hours.
    """
    last, whole = int(times[-1]) if len(times) else 0, start.spread.ndim == 4
    if isinstance(equations.noise, ConstantNoise) and last > AT_ONCE:
        yield from _faded(equations, start, times)
        return
    method = Method.STEPS
    if last > AT_ONCE:
        method = choose_route(equations, ("covariance",) if whole else ("risk",), len(times), last).method
    if method is Method.POWERS:
        yield from _leaped(equations, start, times)
    elif method is Method.CHEBYSHEV or (method is Method.EIGENPROBLEM and _fits(start, last)):
        spectra: Any = MomentSpectra(equations)
        means = spectra.means(start.means[0], times)
        way = ChebyshevMoments(spectra) if method is Method.CHEBYSHEV else spectra
        for mean, spread in zip(means, way.states(start.means[0], start.spread[0, 0], times)):
            yield MomentState(mean[None], spread[None, None])
    else:
        yield from _walked(equations, start, times)


def _walked(equations: MomentMap, start: MomentState, times: Sequence[int] | np.ndarray) -> Iterator[MomentState]:
    means, spread, now = start.means, start.spread, 0
    for time in times:
        for _ in range(int(time) - now):
            means, spread = equations.apply(means, spread)
        now = int(time)
        yield MomentState(means, spread)


def _leaped(equations: MomentMap, start: MomentState, times: Sequence[int] | np.ndarray) -> Iterator[MomentState]:
    block = max(1, HELD // start.spread.size)
    for first in range(0, len(times), block):
        found = numbers_after(equations, start.means, start.spread, times[first : first + block])
        for means, spread in zip(*found):
            yield MomentState(means, spread)


def _faded(equations: MomentMap, start: MomentState, times: Sequence[int] | np.ndarray) -> Iterator[MomentState]:
    """Without noise each entry fades by itself."""
    if equations.numbers > 1:
        yield from _leaped(equations, start, times)
        return
    fading = Factors(equations.mean_decays, True)
    for time in times:
        powers = fading.powers(int(time))
        both = powers * powers if start.spread.ndim == 3 else powers[:, None] * powers
        yield MomentState(powers * start.means, both * start.spread)


def _fits(start: MomentState, last: int) -> bool:
    """Whether a matrix of eigenvectors of this many numbers has room; else steps are walked, unless that takes hours.
    """
    d = start.means.shape[1]
    if start.spread.ndim == 4 or DENSE * d**2 < available_bytes() / 4:
        return True
    check_time(f"{last:.3g} steps of {d} modes", last * (CALLS + 4.0 * d), "ask for fewer steps")
    return False


def leaps_far(equations: MomentMap) -> bool:
    """Whether `weighted_variances` and `states` reach any step at about the same cost."""
    if equations.numbers == 1 or isinstance(equations.noise, ConstantNoise):
        return True
    return size_of(equations.noise.structure, equations.dimension, equations.numbers) <= LARGEST_POWERS


def weighted_variances(equations: MomentMap, spread: np.ndarray, weights: np.ndarray) -> Curve:
    """weights . variances / 2 of the positions at any steps (k,), from a state with mean zero.

    Parameters
    ----------
    equations : MomentMap
        Of which nothing moves a state at zero.
    spread : as in `MomentState`
    weights : (d,) array
    """
    here = spread[0, 0]
    if equations.numbers == 1 and isinstance(equations.noise, ConstantNoise):
        start = 0.5 * weights * (here if here.ndim == 1 else np.diagonal(here))
        fading = Factors(equations.mean_decays, True)
        return lambda steps: np.array([start @ np.square(fading.powers(int(step))) for step in steps])
    if equations.spectral:
        return _by_spectrum(equations, here, weights)
    first = MomentState(np.zeros((equations.numbers, weights.size)), spread)
    way = _leaped if leaps_far(equations) else states

    def curve(steps: np.ndarray) -> np.ndarray:
        kept, back = np.unique(steps, return_inverse=True)
        return np.array([0.5 * weights @ state.variances for state in way(equations, first, kept)])[back]

    return curve


def _by_spectrum(equations: MomentMap, spread: np.ndarray, weights: np.ndarray) -> Curve:
    """A spectrum is made once, a Krylov space as far as steps are asked for."""
    spectra: Any = MomentSpectra(equations)
    functional, mean = Functional(0.0, np.zeros(weights.size), weights), np.zeros(weights.size)
    krylov = spread.ndim == 2 and weights.size * (weights.size + 1) // 2 > LARGEST_PACKED
    made: dict[int, Curve] = {}

    def curve(steps: np.ndarray) -> np.ndarray:
        last = int(np.max(steps))
        if not made or (krylov and last > max(made)):
            reach = max(4 * last, AT_ONCE)
            made.clear()
            made[reach] = spectra.risk(mean, spread, np.geomspace(1, reach, AT_ONCE), functional, krylov)
        (found,) = made.values()
        return np.asarray(found(steps))

    return curve

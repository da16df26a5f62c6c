"""Noise -> stationary covariance -> noise: whether second moments settle and where, one class a structure. Derived.

Equations give what a constant noise leaves behind, `response`, and what of it the noise sees. The loop is a positive
map of covariances, so that its spectral radius decides, and belongs to a positive semidefinite matrix (Krein, Rutman).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .linear_maps import on_symmetric, pack_symmetric, solve_fixed_point, spectral_radius, unpack_symmetric
from .noise_maps import ConstantNoise, NoiseMap, RankOneNoise

SMALLEST_FRACTION, LARGEST_FRACTION = 1e-9, 1 - 1e-12  # of the mean's threshold, between which a root is looked for


@dataclass(frozen=True, eq=False)
class Responses:
    """What equations say of a noise that is switched on for ever, about mean zero.

    Attributes
    ----------
    covariances : () -> (d, d)
        Stationary covariance per unit of constant noise, entry by entry; zero where nothing moves.
    variances : (d,) array
        Its diagonal.
    seen : (d,) array
        Factor from a mode to what the noise sees of it; 1 but for splitting schemes.
    """

    covariances: Callable[[], np.ndarray]
    variances: np.ndarray
    seen: np.ndarray


class NoiseFeedback(ABC):
    """The loop of one noise; needs a stable mean. Leaves are made of (noise, responses)."""

    @abstractmethod
    def __init__(self, noise: NoiseMap, responses: Responses) -> None: ...

    @abstractmethod
    def spectral_radius(self) -> float:
        """Of the linear part: the second moment settles iff it is below one."""

    @abstractmethod
    def is_stable(self) -> bool:
        """Whether the spectral radius is below one; cheap away from the threshold."""

    @abstractmethod
    def stationary_covariance(self) -> np.ndarray:
        """Fixed point (d, d) of the covariance; needs a spectral radius below one."""

    def stationary_variances(self) -> np.ndarray:
        """Its diagonal (d,)."""
        return np.diagonal(self.stationary_covariance())


@dataclass(frozen=True, eq=False)
class NoFeedback(NoiseFeedback):
    """A noise that does not see the state."""

    noise: ConstantNoise
    responses: Responses

    def spectral_radius(self) -> float:
        return 0.0

    def is_stable(self) -> bool:
        return True

    def stationary_covariance(self) -> np.ndarray:
        return self.responses.covariances() * self.noise.covariance


@dataclass(frozen=True, eq=False)
class RankOneFeedback(NoiseFeedback):
    """diag(a) + b c^T on variances; entries off the diagonal move alone, and settle where the variances do. O(d)."""

    noise: RankOneNoise
    responses: Responses

    @cached_property
    def _own(self) -> np.ndarray:
        """a (d,)."""
        return self.responses.variances * np.square(self.noise.own * self.responses.seen)

    @cached_property
    def _shared(self) -> np.ndarray:
        """b c (d,), elementwise."""
        return self.responses.variances * self.noise.spread * self.noise.coupling * np.square(self.responses.seen)

    def spectral_radius(self) -> float:
        """The largest root of sum bc / (root - a) = 1, or the largest a of a mode that is not coupled."""
        from scipy.optimize import brentq

        coupled = self._shared > 0
        alone = float(self._own[~coupled].max(initial=0.0))
        if not coupled.any():
            return alone
        shared, own = self._shared[coupled], self._own[coupled]
        if not (np.isfinite(shared).all() and np.isfinite(own).all()):
            return np.inf
        gaps = own.max() - own  # counted from the largest a, so that a root next to it keeps its digits
        least = float(shared[gaps == 0].sum())

        def excess(offset: float) -> float:
            return float((shared / (gaps + offset)).sum()) - 1

        most = float(shared.sum())
        offset = least if excess(least) <= 0 else brentq(excess, least, most * (1 + 1e-12), xtol=1e-300, rtol=1e-15)
        return max(alone, float(own.max()) + offset)

    def is_stable(self) -> bool:
        left = 1 - self._own
        return bool((left > 0).all() and (self._shared / left).sum() < 1)

    def stationary_variances(self) -> np.ndarray:
        noise, responses = self.noise, self.responses
        left = 1 - self._own
        constant = responses.variances * np.square(noise.own * noise.offsets) / left
        entry = responses.variances * noise.spread / left
        seen = noise.coupling * np.square(responses.seen)
        level = (noise.floor + float(seen @ constant)) / (1 - float(seen @ entry))
        return constant + entry * level

    def stationary_covariance(self) -> np.ndarray:
        noise, responses = self.noise, self.responses
        covariance = np.diag(self.stationary_variances())
        if (noise.own * noise.offsets).any():
            weights = responses.covariances() * noise.own[:, None] * noise.own
            fixed = weights * np.outer(noise.offsets, noise.offsets) / (1 - weights * np.outer(*[responses.seen] * 2))
            np.fill_diagonal(fixed, np.diagonal(covariance))
            return fixed
        return covariance


@dataclass(frozen=True, eq=False)
class GeneralFeedback(NoiseFeedback):
    """Any noise: iterates on packed triangles, dense where they are small."""

    noise: NoiseMap
    responses: Responses

    @cached_property
    def _response(self) -> np.ndarray:
        return self.responses.covariances()

    @cached_property
    def _constant(self) -> np.ndarray:
        """The noise at the minimiser (d, d)."""
        d = len(self._response)
        return self.noise(np.zeros((d, d)), np.zeros(d))

    def _linear(self) -> Callable[[np.ndarray], np.ndarray]:
        """The linear part of the loop, on packed triangles."""
        seen = self.responses.seen
        factor, rest = seen[:, None] * seen * self._response, np.zeros(len(self._response))
        level = 2.0**40 * max(float(np.abs(self._constant).max()), 1e-100)

        def linear(noise: np.ndarray) -> np.ndarray:
            size = float(np.abs(noise).max())
            if size == 0:
                return np.zeros_like(noise)
            # Scaled up, the argument drowns the constant, whose subtraction then costs no digits.
            return (self.noise(level / size * factor * noise, rest) - self._constant) * (size / level)

        return on_symmetric(linear, len(self._response))

    def spectral_radius(self) -> float:
        d = len(self._response)
        return spectral_radius(self._linear(), d * (d + 1) // 2)

    def is_stable(self) -> bool:
        """Bounds of Collatz and Wielandt decide; the spectral radius only if they do not."""
        certain = self.decided()
        return self.spectral_radius() < 1 if certain is None else certain

    def decided(self, tries: int = 6) -> bool | None:
        """What bounds of Collatz and Wielandt, from iterates of full rank, say; None where they do not decide."""
        linear, d = self._linear(), len(self._response)
        trial = np.eye(d)
        for _ in range(tries):
            image = unpack_symmetric(linear(pack_symmetric(trial)), d)
            root = np.linalg.inv(np.linalg.cholesky(trial))
            growth = np.linalg.eigvalsh(root @ image @ root.T)
            if growth[-1] < 1:
                return True
            if growth[0] > 1:
                return False
            # Mixing in the identity keeps the rank full, which is all that the bounds ask.
            trial = image / np.trace(image) + 1e-3 / d * np.eye(d)
        return None

    def stationary_covariance(self) -> np.ndarray:
        noise = solve_fixed_point(self._linear(), pack_symmetric(self._constant))
        return self._response * unpack_symmetric(noise, len(self._response))


def threshold_below(radius_at: Callable[[float], float], mean_threshold: float) -> float:
    """Step size at which the spectral radius reaches one, to about 1e-12; `mean_threshold` if it never does.

    Without momentum the step sizes at which the second moment settles are an interval from 0, so that one root is all:
    if E A^T P A < P for one step's A = 1 - eta M and P > 0, then A' = 1 - s eta M = (1 - s) + s A with 0 < s < 1
    has E A'^T P A' <= (1 - s) P + s E A^T P A < P, by convexity. Derived; with momentum it is observed, not proved.

    Parameters
    ----------
    radius_at : callable
        The spectral radius at a step size.
    mean_threshold : float
        The mean is stable below it.
    """
    if mean_threshold == 0:
        return 0.0
    from scipy.optimize import brentq

    def margin(fraction: float) -> float:  # nearly linear in the step size, so few evaluations are needed
        radius = radius_at(fraction * mean_threshold)
        return fraction / radius - fraction if radius > 0 else 1.0

    lowest, highest = SMALLEST_FRACTION, LARGEST_FRACTION
    if margin(highest) >= 0:
        return mean_threshold
    while margin(lowest) <= 0:
        lowest *= 1e-3
    return float(mean_threshold * brentq(margin, lowest, highest, xtol=1e-300, rtol=1e-14))


ROUNDING = 1e-14  # of a noise that feeds itself at a step size of the order of 1 / curvature: none


def threshold_from(radius_at: Callable[[float], float], scale: float, proportional: bool) -> float:
    """The same where the mean is stable at every step size; inf if the radius never reaches one.

    Parameters
    ----------
    scale : float
        A step size to begin with.
    proportional : bool
        Whether the radius is proportional to the step size.
    """
    radius = radius_at(scale)
    if proportional:
        return scale / radius if radius > ROUNDING else np.inf
    from scipy.optimize import brentq

    high = scale
    while radius < 1:
        high *= 4
        if high > 1e12 * scale:
            return np.inf
        radius = radius_at(high)
    return float(brentq(lambda step_size: radius_at(step_size) - 1, 0.0, high, xtol=1e-300, rtol=1e-14))

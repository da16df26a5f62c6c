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

import numpy as np

from .linear_maps import on_symmetric, pack_symmetric, solve_fixed_point, spectral_radius, unpack_symmetric

NoiseMap = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, eq=False)
class NoiseCircuit:
    """Noise covariance -> stationary covariance -> noise covariance, about mean zero.

    Attributes
    ----------
    noise : callable
        N.
    response : array (d, d)
        Stationary covariance per unit of constant N, entry by entry.
    seen : array
        Factor from the stationary covariance to the second moment at which N is evaluated.
    """

    noise: NoiseMap
    response: np.ndarray
    seen: np.ndarray | float = 1.0

    @cached_property
    def constant(self) -> np.ndarray:
        """N at the minimiser (d, d)."""
        d = len(self.response)
        return self.noise(np.zeros((d, d)), np.zeros(d))

    def _linear(self) -> Callable[[np.ndarray], np.ndarray]:
        """The linear part of the circuit, on packed triangles."""
        factor, rest = self.seen * self.response, np.zeros(len(self.response))
        level = 2.0**40 * max(float(np.abs(self.constant).max()), 1e-100)

        def linear(noise: np.ndarray) -> np.ndarray:
            size = float(np.abs(noise).max())
            if size == 0:
                return np.zeros_like(noise)
            # Scaled up, the argument drowns the constant, whose subtraction then costs no digits.
            return (self.noise(level / size * factor * noise, rest) - self.constant) * (size / level)

        return on_symmetric(linear, len(self.response))

    def gain(self) -> float:
        """Spectral radius of the linear part: the second moment settles iff it is below one.

        Both maps preserve positive semidefinite matrices, so it passes one exactly where the second-moment
        equation loses its stability (Krein and Rutman).
        """
        d = len(self.response)
        return spectral_radius(self._linear(), d * (d + 1) // 2)

    def settles(self, tries: int = 6) -> bool:
        """Whether the gain is below one; cheap away from the threshold.

        Bounds of Collatz and Wielandt, from iterates of full rank, decide; `gain` only if they do not.
        """
        linear, d = self._linear(), len(self.response)
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
        return self.gain() < 1

    def stationary_covariance(self) -> np.ndarray:
        """Fixed point (d, d) of the covariance; needs a gain below one."""
        noise = solve_fixed_point(self._linear(), pack_symmetric(self.constant))
        return self.response * unpack_symmetric(noise, len(self.response))


@dataclass(frozen=True, eq=False)
class MomentMap:
    """One step of the exact moment equations.

    Attributes
    ----------
    transition : array (d, s, s)
        F.
    entry : array (s,)
        e: how the noise enters a mode's numbers.
    noise : callable
        (second (d, d), mean (d,)) -> (d, d), the matrix N, from moments of the positions.
    weights : array (d, d)
        w.
    before : array (d,)
        g, for splitting schemes whose noise acts after part of the drift; 1 otherwise.
    """

    transition: np.ndarray
    entry: np.ndarray
    noise: NoiseMap
    weights: np.ndarray
    before: np.ndarray = field(default_factory=lambda: np.ones(1))

    @property
    def dimension(self) -> int:
        """Number of modes d."""
        return self.transition.shape[0]

    @cached_property
    def _whole(self) -> np.ndarray:
        """F g (d, s, s): what the mean is multiplied by."""
        return self.transition * self.before[:, None, None]

    @cached_property
    def _carry(self) -> np.ndarray:
        """What covariances are multiplied by, mode pair by mode pair: (a, b, c, e, d, d)."""
        whole = np.moveaxis(self._whole, 0, 2)
        return np.einsum("aci,bej->abceij", whole, whole)

    @property
    def moving(self) -> np.ndarray:
        """Mask (d,) of the modes on which something acts."""
        return self._whole[:, 0, 0] != 1

    def apply(self, means: np.ndarray, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moments after one step: means (s, d), covariances (s, s, d, d) of all numbers."""
        mean = self.before * means[0]
        second = self.before[:, None] * self.before * covariances[0, 0] + mean[:, None] * mean
        noise = self.weights * self.noise(second, mean)
        if self.entry.size == 1:
            carried = self._carry[0, 0, 0, 0] * covariances[0, 0] + self.entry[0] ** 2 * noise
            return self._whole[:, 0, 0] * means, carried[None, None]
        carried = np.einsum("abceij,ceij->abij", self._carry, covariances)
        carried += (self.entry[:, None] * self.entry)[:, :, None, None] * noise
        return np.einsum("iac,ci->ai", self._whole, means), carried

    def propagate(
        self,
        mean: np.ndarray,
        covariance: np.ndarray,
        record: Sequence[int] | np.ndarray,
        map_of: Callable[[int], MomentMap] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Position moments (steps, d), (steps, d, d) at the recorded steps (sorted, from 0).

        `map_of` gives the map of each step k = 0, 1, ..., where it is not this one at all of them.

        The start has the given position moments; a momentum buffer starts at zero. From the step on at which
        a moment leaves the range of floating-point numbers, moments that are not numbers are inf.
        """
        s, d = self.entry.size, self.dimension
        means, covariances = np.zeros((s, d)), np.zeros((s, s, d, d))
        means[0], covariances[0, 0] = mean, covariance
        recorded_means, recorded = np.empty((len(record), d)), np.empty((len(record), d, d))
        now = 0
        with np.errstate(over="ignore", invalid="ignore"):
            for index, step in enumerate(record):
                for k in range(now, step):
                    map_ = self if map_of is None else map_of(k)
                    means, covariances = map_.apply(means, covariances)
                now = step
                recorded_means[index], recorded[index] = means[0], covariances[0, 0]
        recorded_means[np.isnan(recorded_means)] = np.inf
        recorded[np.isnan(recorded)] = np.inf
        return recorded_means, recorded

    @cached_property
    def response(self) -> np.ndarray:
        """Stationary position covariance (d, d) for an N of ones, entry by entry; 0 where nothing moves."""
        s, moving = self.entry.size, self.moving
        whole = self._whole[moving]
        pairs = np.einsum("iab,jcd->ijacbd", whole, whole).reshape(len(whole), len(whole), s * s, s * s)
        source = np.outer(self.entry, self.entry).reshape(s * s, 1)
        solved = np.linalg.solve(np.eye(s * s) - pairs, np.broadcast_to(source, pairs.shape[:3] + (1,)))
        response = np.zeros((self.dimension, self.dimension))
        response[np.ix_(moving, moving)] = solved[:, :, 0, 0]
        return self.weights * response

    @cached_property
    def circuit(self) -> NoiseCircuit:
        """Noise -> stationary covariance -> noise; needs a stable mean."""
        return NoiseCircuit(self.noise, self.response, self.before[:, None] * self.before)

    def noise_gain(self) -> float:
        """Spectral radius of the circuit: the second moment settles iff it is below one."""
        return self.circuit.gain()

    def settles(self) -> bool:
        """Whether the noise gain is below one; cheap away from the threshold."""
        return self.circuit.settles()

    def stationary_covariance(self) -> np.ndarray:
        """Fixed point (d, d) of the position covariance about mean zero; zero in modes that never move."""
        return self.circuit.stationary_covariance()


def gain_threshold(map_at: Callable[[float], MomentMap], mean_threshold: float) -> float:
    """Step size at which the noise gain reaches one, to about 1e-12; `mean_threshold` if it never does.

    Without momentum the step sizes at which the second moment settles are an interval from 0, so that one root is all:
    if E A^T P A < P for one step's A = 1 - eta M and P > 0, then A' = 1 - s eta M = (1 - s) + s A with 0 < s < 1
    has E A'^T P A' <= (1 - s) P + s E A^T P A < P, by convexity. Derived; with momentum it is observed, not proved.

    Parameters
    ----------
    map_at : callable
        The moment map at a step size.
    mean_threshold : float
        The mean is stable below it.
    """
    if mean_threshold == 0 or np.isinf(mean_threshold):
        return mean_threshold
    from scipy.optimize import brentq

    def margin(fraction: float) -> float:  # nearly linear in the step size, so few evaluations are needed
        gain = map_at(fraction * mean_threshold).noise_gain()
        return fraction / gain - fraction if gain > 0 else 1.0

    lowest, highest = 1e-9, 1 - 1e-12
    if margin(highest) >= 0:
        return mean_threshold
    while margin(lowest) <= 0:
        lowest *= 1e-3
    return mean_threshold * brentq(margin, lowest, highest, xtol=1e-300, rtol=1e-14)

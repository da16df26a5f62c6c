"""First and second moments under linear recurrences with state-dependent noise, mode by mode, exactly.

A mode i carries s numbers (s = 1: its position; s = 2: position and momentum buffer, position first) and moves by

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

    @property
    def moving(self) -> np.ndarray:
        """Mask (d,) of the modes on which something acts."""
        return self._whole[:, 0, 0] != 1

    def apply(self, means: np.ndarray, covariances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Moments after one step: means (s, d), covariances (s, s, d, d) of all numbers."""
        mean = self.before * means[0]
        second = self.before[:, None] * self.before * covariances[0, 0] + np.outer(mean, mean)
        noise = self.weights * self.noise(second, mean)
        numbers = range(self.entry.size)
        whole = np.moveaxis(self._whole, 0, 2)
        after = np.empty_like(covariances)
        for a in numbers:
            for b in numbers:
                after[a, b] = self.entry[a] * self.entry[b] * noise
                for c in numbers:
                    for e in numbers:
                        after[a, b] += whole[a, c][:, None] * whole[b, e] * covariances[c, e]
        return np.einsum("acd,cd->ad", whole, means), after

    def propagate(
        self, mean: np.ndarray, covariance: np.ndarray, record: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Position moments (steps, d), (steps, d, d) at the recorded steps (sorted, from 0).

        The start has the given position moments; a momentum buffer starts at zero.
        """
        s, d = self.entry.size, self.dimension
        means, covariances = np.zeros((s, d)), np.zeros((s, s, d, d))
        means[0], covariances[0, 0] = mean, covariance
        recorded_means, recorded = np.empty((len(record), d)), np.empty((len(record), d, d))
        now = 0
        for index, step in enumerate(record):
            for _ in range(now, step):
                means, covariances = self.apply(means, covariances)
            now = step
            recorded_means[index], recorded[index] = means[0], covariances[0, 0]
        return recorded_means, recorded

    @cached_property
    def response(self) -> np.ndarray:
        """Stationary position covariance (d, d) for a constant N of ones, entry by entry; 0 where nothing moves."""
        s, moving = self.entry.size, self.moving
        whole = self._whole[moving]
        pairs = np.einsum("iab,jcd->ijacbd", whole, whole).reshape(len(whole), len(whole), s * s, s * s)
        source = np.outer(self.entry, self.entry).reshape(s * s, 1)
        solved = np.linalg.solve(np.eye(s * s) - pairs, np.broadcast_to(source, pairs.shape[:3] + (1,)))
        response = np.zeros((self.dimension, self.dimension))
        response[np.ix_(moving, moving)] = solved[:, :, 0, 0]
        return self.weights * response

    def _return_map(self) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray]:
        """Linear part and constant of noise N -> stationary covariance -> noise N, on packed triangles."""
        d = self.dimension
        rest = np.zeros(d)
        constant = self.noise(np.zeros((d, d)), rest)
        factor = self.before[:, None] * self.before * self.response
        return on_symmetric(lambda noise: self.noise(factor * noise, rest) - constant, d), pack_symmetric(constant)

    def noise_gain(self) -> float:
        """Spectral radius of noise -> stationary covariance -> noise: the second moment settles iff below one.

        Needs a stable mean. Both maps preserve positive semidefinite matrices, so it passes one exactly where
        the spectral radius of the second-moment map does (Krein and Rutman).
        """
        linear, constant = self._return_map()
        return spectral_radius(linear, constant.size)

    def stationary_covariance(self) -> np.ndarray:
        """Fixed point (d, d) of the position covariance about mean zero; zero in modes that never move."""
        linear, constant = self._return_map()
        return self.response * unpack_symmetric(solve_fixed_point(linear, constant), self.dimension)

    def mean_radius(self) -> float:
        """Largest modulus of an eigenvalue of the mean's transition, over the modes that move."""
        return float(np.abs(np.linalg.eigvals(self._whole[self.moving])).max(initial=0.0))

"""Moments of x' = x - step_size P (G x - c), (G, c) and P drawn afresh and independently, each from a list. Derived.

About the fixed point of the mean, z = x - centre and c' = c - G centre, the second moment S and the mean m move by

    S' = S - step_size (E[P G] S + S E[P G]^T) + step_size^2 E[P (G S G^T - G m c'^T - c' m^T G^T + c' c'^T) P^T].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .cost import check_memory, check_time
from .errors import OutOfReach
from .linear_maps import DENSE_SIZE, dense, on_symmetric, pack_symmetric, spectral_radius, unpack_symmetric
from .map_powers import Power, leaps
from .noise_feedback import threshold_below

LARGEST = 40  # directions, of which a map of covariances is formed
ROUNDING = 1e-13  # of the norm: what an exact zero of a rate may be


@dataclass(frozen=True, eq=False)
class ListedSteps:
    """Such a recurrence.

    Attributes
    ----------
    pulls : (m, d, d) array
        G.
    pushes : (m, d) array
        c.
    weights : (m,) array
        Their probabilities.
    added : (d, d) array
        Covariance of what is added to c by itself, independent of all else.
    outer : (l, d, d) array
        P.
    outer_weights : (l,) array
    """

    pulls: np.ndarray
    pushes: np.ndarray
    weights: np.ndarray
    added: np.ndarray
    outer: np.ndarray
    outer_weights: np.ndarray

    def __post_init__(self) -> None:
        d = self.dimension
        if d > LARGEST:
            raise OutOfReach(
                f"exact moments over a list of batches are known up to {LARGEST} directions, and here are {d}: simulate"
            )
        check_memory("the list of batches", 8.0 * 3 * (self.pulls.size + self.outer.size), "use a smaller batch")

    @property
    def dimension(self) -> int:
        """Number of directions d."""
        return self.pushes.shape[1]

    @cached_property
    def pull(self) -> np.ndarray:
        """E P E G (d, d)."""
        return np.einsum("l,lij->ij", self.outer_weights, self.outer) @ np.einsum("m,mij->ij", self.weights, self.pulls)

    @cached_property
    def centre(self) -> np.ndarray:
        """Fixed point (d,) of the mean; of least norm where it is not unique."""
        push = np.einsum("l,lij->ij", self.outer_weights, self.outer) @ (self.weights @ self.pushes)
        return np.linalg.lstsq(self.pull, push, rcond=None)[0]

    @cached_property
    def _centred(self) -> np.ndarray:
        """c' (m, d)."""
        return self.pushes - self.pulls @ self.centre

    @cached_property
    def _between(self) -> np.ndarray:
        """E P x P (d^2, d^2)."""
        return _products(self.outer, self.outer, self.outer_weights)

    @cached_property
    def _squares(self) -> np.ndarray:
        """E (P G) x (P G) (d^2, d^2)."""
        return self._between @ _products(self.pulls, self.pulls, self.weights)

    @cached_property
    def _crosses(self) -> np.ndarray:
        """What a mean adds, (d^2, d)."""
        d, c = self.dimension, self._centred
        one = np.einsum("m,mac,mb->abc", self.weights, self.pulls, c)
        return -self._between @ (one + one.swapaxes(0, 1)).reshape(d * d, d)

    @cached_property
    def floor(self) -> np.ndarray:
        """E P (c' c'^T + added) P^T (d, d): what a step adds at the centre."""
        c = self._centred
        inner = np.einsum("m,ma,mb->ab", self.weights, c, c) + self.added
        return (self._between @ inner.ravel()).reshape(inner.shape)

    def _change(self, step_size: float, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """What a step adds to second moments about the centre, but for the floor; of a small step with all digits."""
        shape, turned = second.shape, self.pull @ second
        fed = self._squares @ second.ravel() + self._crosses @ mean
        return step_size**2 * fed.reshape(shape) - step_size * (turned + turned.T)

    def spread(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """Covariance (d, d) of P (G x - c), given second moments and mean about the centre."""
        found = self.floor + (self._squares @ second.ravel() + self._crosses @ mean.ravel()).reshape(second.shape)
        return found - self.pull @ second @ self.pull.T

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rates (d,), and vectors V (d, d) with `pull` = V diag(rates) V^-1, and V^-1: E P and E G are symmetric."""
        outer = np.einsum("l,lij->ij", self.outer_weights, self.outer)
        values, basis = np.linalg.eigh(outer)
        root, back = (basis * np.sqrt(values) ** power @ basis.T for power in (1, -1))
        inner = root @ np.einsum("m,mij->ij", self.weights, self.pulls) @ root
        rates, vectors = np.linalg.eigh((inner + inner.T) / 2)
        rates = np.where(np.abs(rates) <= ROUNDING * np.abs(rates).max(initial=0.0), 0.0, rates)
        return rates, root @ vectors, vectors.T @ back

    @cached_property
    def mean_threshold(self) -> float:
        """Step size below which the mean settles; 0 where it does at none."""
        rates = np.linalg.eigvals(self.pull)
        rates = np.where(np.abs(rates) <= ROUNDING * np.abs(self.pull).max(), 0.0, rates)
        return float((2 * rates.real / np.maximum(np.abs(rates) ** 2, 1e-300)).min()) if rates.real.min() > 0 else 0.0

    @cached_property
    def mean_square_threshold(self) -> float:
        """Step size below which the covariance settles: where the noise feeds itself by the whole."""
        return threshold_below(self.feedback, self.mean_threshold)

    def feedback(self, step_size: float) -> float:
        """Spectral radius of noise -> stationary covariance -> noise, below the mean's threshold.

        With T = 1 - step_size pull / 2 the stationary covariance of a noise N solves the continuous equation
        A S + S A^T = step_size T^-1 N T^-T, A = pull T^-1, in which a small step size has all its digits.
        """
        from scipy.linalg import solve_continuous_lyapunov

        d = self.dimension
        inverse = np.linalg.inv(np.eye(d) - step_size * self.pull / 2)
        drift = self.pull @ inverse

        def fed(second: np.ndarray) -> np.ndarray:
            noise = (self._squares @ second.ravel()).reshape(second.shape) - self.pull @ second @ self.pull.T
            settled = solve_continuous_lyapunov(drift, step_size * inverse @ (noise + noise.T) @ inverse.T / 2)
            return (settled + settled.T) / 2

        return spectral_radius(on_symmetric(fed, d), d * (d + 1) // 2)

    def stationary_covariance(self, step_size: float) -> np.ndarray:
        """The fixed point (d, d), where the covariance settles: pull S + S pull^T - step_size squares S is the floor's.
        """
        one = np.eye(self.dimension)
        decay = np.kron(self.pull, one) + np.kron(one, self.pull) - step_size * self._squares
        found = np.linalg.solve(decay, step_size * self.floor.ravel()).reshape(one.shape)
        return (found + found.T) / 2

    def moments(
        self, step_size: float, mean: np.ndarray, covariance: np.ndarray, record: Sequence[int] | np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Means (steps, d) and covariances (steps, d, d) after each number of steps, sorted, from those at step 0."""
        d = self.dimension
        triangle, first = d * (d + 1) // 2, mean - self.centre
        state = np.concatenate([pack_symmetric(covariance + np.outer(first, first)), first, [1.0]])

        def change(numbers: np.ndarray) -> np.ndarray:
            second, z, one = unpack_symmetric(numbers[:triangle], d), numbers[triangle:-1], numbers[-1]
            moved = self._change(step_size, second, z) + one * step_size**2 * self.floor
            return np.concatenate([pack_symmetric(moved), -step_size * self.pull @ z, [0.0]])

        with np.errstate(over="ignore", invalid="ignore"):
            if state.size <= DENSE_SIZE:
                states = leaps(Power.of(dense(change, state.size)[None]), state[None], (), record)[0].T
            else:
                check_time(
                    f"exact moments up to step {record[-1]} over a list of batches", 2.0 * record[-1] * d**4,
                    "ask for fewer steps",
                )  # fmt: skip
                states, now = np.empty((len(record), state.size)), 0
                for place, last in enumerate(record):
                    for _ in range(now, last):
                        state = state + change(state)
                    states[place], now = state, last
            z = states[:, triangle:-1]
            spread = unpack_symmetric(states[:, :triangle], d) - z[:, :, None] * z[:, None, :]
        return z + self.centre, spread


def _products(left: np.ndarray, right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """E A x B (d^2, d^2) over lists (m, d, d), as a map of matrices S -> E A S B^T read row by row."""
    m, d = left.shape[:2]
    found = (left.reshape(m, -1) * weights[:, None]).T @ right.reshape(m, -1)
    return found.reshape(d, d, d, d).transpose(0, 2, 1, 3).reshape(d * d, d * d)

"""The variance of a quadratic risk in time, exactly: covariances of modes and of their products. Derived.

With phi = (1, z, z_left z_right) and a conditional mean E[phi' | z] = A phi that closes, by the law of total covariance

    Cov phi' = A (Cov phi) A^T + E Cov(phi' | z),  in continuous time  (Cov phi)' = A Cov phi + Cov phi A^T + E Gamma,

Gamma = (grad phi) (noise covariance) (grad phi)^T. The last terms are linear in the second moments of phi, and are
covariances: what is added is never taken off again, so that a start at a point and small noise lose no digits. All
these numbers are finite at every finite time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .linear_maps import (
    DENSE_SIZE,
    LinearMap,
    dense,
    exponential_states,
    pack_symmetric,
    taylor_states,
    unpack_symmetric,
)
from .map_powers import Power, leaps


@dataclass(frozen=True, eq=False)
class Transition:
    """A matrix (D, D) on phi: local, sparse or dense, plus an entry (D,) times a level (D,)."""

    local: Any
    entry: np.ndarray
    level: np.ndarray

    def __call__(self, columns: np.ndarray) -> np.ndarray:
        """On columns (D, ...)."""
        return np.asarray(self.local @ columns + np.multiply.outer(self.entry, self.level @ columns))


@dataclass(frozen=True, eq=False)
class ProductMoments:
    """How the first two moments of phi move.

    Attributes
    ----------
    left, right : arrays (p,)
        Modes of each product; phi has D = 1 + d + p entries.
    transition : Transition
        A: of one step, or per unit of time.
    drawn : callable
        From second moments (D, D) of phi to what the noise adds to its covariance (D, D).
    discrete : bool
    cost : float
        Multiplications of one step, or of the right-hand side.
    rate : float
        In continuous time, a bound of the rates at which covariances of phi move.
    """

    left: np.ndarray
    right: np.ndarray
    transition: Transition
    drawn: Callable[[np.ndarray], np.ndarray]
    discrete: bool
    cost: float
    rate: float = 0.0

    @property
    def size(self) -> int:
        """Entries D of phi."""
        return self.transition.entry.size

    def start(self, mean: np.ndarray, covariance: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Mean (D,) and covariance (D, D) of phi for modes of a normal law, or at a point."""
        left, right, d = self.left, self.right, mean.size
        products = mean[left] * mean[right]
        spread = np.zeros((1 + d + left.size,) * 2)
        if covariance is not None:
            c, tail = covariance, np.s_[1 + d :]
            products = products + c[left, right]
            spread[1 : 1 + d, 1 : 1 + d] = c
            cross = c[:, left] * mean[right] + c[:, right] * mean[left]
            spread[1 : 1 + d, tail], spread[tail, 1 : 1 + d] = cross, cross.T
            for i, j in ((left, right), (right, left)):
                inner = c[left][:, i] * c[right][:, j]
                inner += mean[left][:, None] * mean[i] * c[right][:, j] + mean[right][:, None] * mean[j] * c[left][:, i]
                spread[tail, tail] += inner
        return np.concatenate([[1.0], mean, products]), spread

    def start_of_points(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The same for the empirical law of modes (paths, d)."""
        values = np.column_stack([np.ones(len(points)), points, points[:, self.left] * points[:, self.right]])
        mean = values.mean(axis=0)
        return mean, (values - mean).T @ (values - mean) / len(values)

    def step(self, mean: np.ndarray, spread: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of phi after one step."""
        added = self.drawn(spread + mean[:, None] * mean)
        return self.transition(mean), self.transition(self.transition(spread).T) + added

    def walk(
        self, mean: np.ndarray, spread: np.ndarray, record: Sequence[int] | np.ndarray,
        at: Callable[[int], ProductMoments] | None = None,
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:  # fmt: skip
        """Moments at the recorded steps; `at` gives the equations of each step where they change."""
        if at is None and self.by_powers(int(record[-1])):
            yield from self._leaps(mean, spread, record)
            return
        now = 0
        for step in record:
            for k in range(now, int(step)):
                mean, spread = (self if at is None else at(k)).step(mean, spread)
            now = int(step)
            yield mean, spread

    def flow(
        self, mean: np.ndarray, spread: np.ndarray, times: Sequence[float] | np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Moments at increasing times, in continuous time: products of the means move along, and the whole is linear.

        Covariances are counted in a unit of their own: beside the means those of a small noise would be rounding.
        """
        unit = self._unit(mean, spread)
        linear, start = self._linear(unit), self._packed(mean, spread, unit)
        if start.size <= DENSE_SIZE:
            states = exponential_states(linear, start, times)
        else:
            states = taylor_states(linear, start, times, self.rate)
        for state in states:
            yield self._unpacked(state, unit)

    def by_powers(self, last: int) -> bool:
        """Whether powers of one matrix cost less than steps up to the last one."""
        numbers = self.size * (self.size + 1)
        squares = float(numbers) ** 3 * last.bit_length()
        return numbers <= DENSE_SIZE and numbers * self.cost + squares < last * self.cost

    def _leaps(
        self, mean: np.ndarray, spread: np.ndarray, record: Sequence[int] | np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        unit = self._unit(mean, spread)
        state = self._packed(mean, spread, unit)
        power = Power.of(dense(self._linear(unit), state.size)[None] - np.eye(state.size))
        for state in leaps(power, state[None], (), record)[0].T:
            yield self._unpacked(state, unit)

    def _linear(self, unit: float) -> LinearMap:
        """Covariances in this unit, and products of the means: after a step, or their derivatives."""

        def apply(vector: np.ndarray) -> np.ndarray:
            covariance, products = unpack_symmetric(vector.reshape(2, -1), self.size)
            moved = np.stack([self.transition(covariance), self.transition(products)])
            if self.discrete:
                moved = np.stack([self.transition(each.T) for each in moved])
            else:
                moved = moved + moved.transpose(0, 2, 1)
            moved[0] += self.drawn(unit * covariance + products) / unit
            return np.asarray(pack_symmetric(moved)).ravel()

        return apply

    def _packed(self, mean: np.ndarray, spread: np.ndarray, unit: float) -> np.ndarray:
        return np.asarray(pack_symmetric(np.stack([spread / unit, mean[:, None] * mean]))).ravel()

    def _unpacked(self, state: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
        covariance, products = unpack_symmetric(state.reshape(2, -1), self.size)
        return products[0], unit * covariance

    def _unit(self, mean: np.ndarray, spread: np.ndarray) -> float:
        """Size of the covariances, of the start or of what noise adds within the fastest time; a power of two."""
        second = spread + mean[:, None] * mean
        fastest = float(np.abs(self.transition(np.eye(mean.size))).max()) or 1.0
        size = max(float(np.abs(spread).max()), float(np.abs(self.drawn(second)).max()) / fastest)
        return float(2.0 ** np.rint(np.log2(size))) if 0 < size < np.inf else 1.0

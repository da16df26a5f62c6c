"""Moments E |z|^p of even order of a random linear recurrence or diffusion, exactly and at every step. Derived.

Monomials of z up to a degree move linearly, those of each degree driven by lower ones, where the noise enters that
multiplies nothing. The block of degree s is the map of symmetric tensors E[A^(x)s] of the linear part A: its spectral
radius is k(s), per step the growth of E |A_n ... A_1|^s. Moments of order s so stay bounded where k(s) < 1, that is
below the tail index, and grow like k(s)^n above.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .cost import CALLS, check_time
from .linear_maps import DENSE_SIZE, exponential_states, spectral_radius
from .map_powers import Power, leaps

EIGENVALUES = 25.0  # times as dear as a product of matrices


@dataclass(frozen=True, eq=False)
class EvenMoments:
    """Numbers v, of which the first is 1 and the others are moments, with v' = matrix v, or dv/dt = matrix v.

    Attributes
    ----------
    matrix : (N, N) array or sparse array
    degrees : (N,) array
        Order of each moment; only lower or equal ones drive it.
    values : callable
        v (N,) of points (n, d), averaged over them.
    norms : (N, p / 2) array
        norms.T @ v = E |z|^2, E |z|^4, ..., E |z|^p.
    discrete : bool
    exponents : (N, d) array, optional
        Powers of the modes in each moment; None where they are E |z|^2m.
    """

    matrix: Any
    degrees: np.ndarray
    values: Callable[[np.ndarray], np.ndarray]
    norms: np.ndarray
    discrete: bool
    exponents: np.ndarray | None = None

    @property
    def orders(self) -> np.ndarray:
        """2, 4, ..., p."""
        return 2 * np.arange(1, self.norms.shape[1] + 1)

    @cached_property
    def rates(self) -> np.ndarray:
        """k(s) for s = 2, 4, ..., p: growth of a moment per step, without the noise that multiplies nothing."""
        return np.array([self._rate(int(order)) for order in self.orders])

    def _rate(self, order: int) -> float:
        block = self.block(order)
        if not self.discrete:  # the Perron root of a generator: exp(block) keeps a cone, as a step does
            if block.shape[0] <= DENSE_SIZE:
                return math.exp(float(np.linalg.eigvals(_dense(block)).real.max()))
            from scipy.sparse.linalg import eigs

            start = np.ones(block.shape[0])
            found = eigs(block, k=1, which="LR", v0=start, return_eigenvectors=False, tol=1e-12)
            return math.exp(float(found.real.max()))
        return spectral_radius(lambda vector: np.asarray(block @ vector), block.shape[0])

    def block(self, order: int) -> Any:
        """What moves the moments of one order among themselves."""
        here = np.flatnonzero(self.degrees == order)
        return self.matrix[here][:, here]

    def at(self, points: np.ndarray, steps: Sequence[int] | np.ndarray) -> np.ndarray:
        """E |z|^s (steps, p / 2) at increasing steps, from points (n, d); inf past the range of numbers."""
        with np.errstate(over="ignore", invalid="ignore"):
            states = np.array(list(self._states(self.values(points), steps)))
            used = [np.flatnonzero(norm) for norm in self.norms.T]  # nothing times infinity is not a number
            found = np.column_stack([states[:, here] @ norm[here] for here, norm in zip(used, self.norms.T)])
        return np.where(np.isnan(found), np.inf, found)

    def _states(self, state: np.ndarray, steps: Sequence[int] | np.ndarray) -> Any:
        size, last = state.size, int(steps[-1])
        if not self.discrete:
            yield from exponential_states(lambda v: np.asarray(self.matrix @ v), state, steps)
            return
        step, powers = CALLS / 10 + float(size) ** 2, 2.0 * float(size) ** 3 * last.bit_length()
        if size <= DENSE_SIZE and powers < last * step:
            yield from leaps(Power.of(_dense(self.matrix)[None] - np.eye(size)), state[None], (), steps)[0].T
            return
        check_time(
            f"exact moments of order {self.orders[-1]} up to step {last:.3g}, {size} numbers that move together,",
            last * step, "ask for fewer steps, a lower order or fewer directions",
        )  # fmt: skip
        now, past = 0, np.zeros(size, dtype=bool)
        for kept in steps:
            for _ in range(now, int(kept)):
                state = self.matrix @ np.where(past, 0.0, state)
                if not np.isfinite(state).all():  # with one order those above it, which drive no lower one
                    past = self.degrees >= self.degrees[~np.isfinite(state)].min()
            now = int(kept)
            yield np.where(past, np.inf, state)

    @cached_property
    def stationary(self) -> np.ndarray:
        """E |z|^s (p / 2,) under the stationary law; inf where k(s) is not below 1."""
        state = np.zeros(self.degrees.size)
        state[self.degrees == 0] = 1.0
        settled = {0}
        for degree in range(1, int(self.degrees.max()) + 1):
            here, lower = np.flatnonzero(self.degrees == degree), np.flatnonzero(self.degrees < degree)
            even = degree + degree % 2  # k(s) < 1 for one s holds for all below it
            if not here.size:
                continue
            if self.rates[even // 2 - 1] >= 1:
                break
            rows = self.matrix[here]
            own = _dense(rows[:, here])
            own = np.eye(here.size) - own if self.discrete else -own
            state[here] = np.linalg.solve(own, np.asarray(rows[:, lower] @ state[lower]))
            settled.add(degree)
        found = state @ self.norms
        return np.where(np.isin(self.orders, list(settled)), found, np.inf)


def check_cost(size: int, order: int, pieces: float) -> None:
    """Raise if a matrix of `size` moments made of so many pieces, and its eigenvalues, take hours.

    Raises
    ------
    OutOfReach
    """
    check_time(
        f"moments of order {order}, {size} numbers that move together,",
        6 * pieces * CALLS + EIGENVALUES * min(size, DENSE_SIZE // 4) ** 3 + 300.0 * size**2,
        "lower the order, take fewer directions, or simulate", warn=True,
    )  # fmt: skip


def _dense(matrix: Any) -> np.ndarray:
    return np.asarray(matrix.toarray() if hasattr(matrix, "toarray") else matrix)

"""Linear operators given as functions: dense matrices when small, Krylov methods when large."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np

from .map_powers import Power, leaps

LinearMap = Callable[[np.ndarray], np.ndarray]

DENSE_SIZE = 600  # up to here a dense matrix is formed: cheaper and simpler than iterating
STRETCH, MOST_TERMS = 2.0, 60  # of Taylor's series: exponent of a stretch, terms
FEW = 8  # exponentials that are each made anew; for more times, powers of one


def dense(apply: LinearMap, size: int) -> np.ndarray:
    """Matrix (size, size) of a linear map on vectors (size,)."""
    return np.column_stack([apply(column) for column in np.eye(size)])


def spectral_radius(apply: LinearMap, size: int) -> float:
    """Largest modulus among the eigenvalues."""
    if size <= DENSE_SIZE // 4:  # eigenvalues cost more than a solve
        return float(np.abs(np.linalg.eigvals(dense(apply, size))).max(initial=0.0))
    from scipy.sparse.linalg import LinearOperator, eigs

    operator = LinearOperator((size, size), matvec=apply, dtype=float)
    start = np.ones(size) / np.sqrt(size)  # a fixed start keeps the result reproducible
    if not apply(start).any():
        return 0.0
    return float(
        np.abs(eigs(operator, k=1, which="LM", v0=start, return_eigenvectors=False, tol=1e-13)).max()
    )


def solve_fixed_point(apply: LinearMap, constant: np.ndarray) -> np.ndarray:
    """Solve x = apply(x) + constant for a map of spectral radius below one."""
    size = constant.size
    if size <= DENSE_SIZE:
        return np.linalg.solve(np.eye(size) - dense(apply, size), constant)
    from scipy.sparse.linalg import LinearOperator, gmres

    operator = LinearOperator((size, size), matvec=lambda x: x - apply(x), dtype=float)
    solution = constant
    for _ in range(3):  # restarts on the residual bring the error to rounding
        correction, _ = gmres(
            operator, constant - operator.matvec(solution), rtol=1e-12, restart=200, maxiter=20
        )
        solution = solution + correction
    return solution


def exponential_states(apply: LinearMap, vector: np.ndarray, times: Iterable[float]) -> Iterator[np.ndarray]:
    """exp(t A) v at increasing times t >= 0, one array (size,) after the other, to rounding.

    Small A: dense exponentials, one for each distinct gap between times. Large A: Arnoldi's method with the error
    estimate of its last row; one Krylov space serves all the times that it reaches.
    """
    times = [float(time) for time in times]
    now, state, index = 0.0, np.array(vector, dtype=float), 0
    if vector.size <= DENSE_SIZE:
        from scipy.linalg import expm

        matrix, gaps = dense(apply, vector.size), [round(gap, 12) for gap in np.diff(times, prepend=0.0)]
        if len(set(gaps)) > FEW and all(gap == int(gap) for gap in gaps):
            power = Power.of(expm(matrix)[None] - np.eye(state.size))
            yield from leaps(power, state[None], (), [int(time) for time in times])[0].T
            return
        found: dict[float, np.ndarray] = {}
        for gap in gaps:
            if gap not in found:
                found[gap] = expm(gap * matrix)
            state = found[gap] @ state
            yield state
        return
    while index < len(times):
        space = KrylovSpace(apply, state)
        reach = space.reach(times[-1] - now)
        while index < len(times) and times[index] - now <= reach * (1 + 1e-12):
            yield space.at(times[index] - now)
            index += 1
        if index < len(times):
            state, now = space.at(reach), now + reach


def taylor_states(
    apply: LinearMap, vector: np.ndarray, times: Iterable[float], rate: float
) -> Iterator[np.ndarray]:
    """exp(t A) v at increasing times by Taylor's series over short stretches, `rate` a bound of |A|'s eigenvalues.

    Dearer than a Krylov space, but nothing mixes sizes that are apart: what is small beside other entries, and depends
    on itself alone, keeps its digits. Not finite from the time on at which a number leaves its range.
    """
    state, now = np.array(vector, dtype=float), 0.0
    for time in times:
        count = max(1, math.ceil((time - now) * rate / STRETCH)) if time > now else 0
        stretch = (time - now) / max(count, 1)
        for _ in range(count):
            term, state = state, state.copy()
            for order in range(1, MOST_TERMS):
                term = apply(term) * (stretch / order)
                state += term
                if (np.abs(term) <= 1e-17 * np.abs(state)).all() or not np.isfinite(term).all():
                    break
            if not np.isfinite(state).all():
                break
        now = float(time)
        yield state


def exponential_action(apply: LinearMap, vector: np.ndarray, times: Iterable[float]) -> np.ndarray:
    """The same as an array (times, size)."""
    return np.array(list(exponential_states(apply, vector, times))).reshape(-1, vector.size)


class KrylovSpace:
    """Krylov space of a linear map and a start, large enough for exp(t A) start over a stretch of time."""

    SIZE = 120

    def __init__(self, apply: LinearMap, start: np.ndarray) -> None:
        self.norm = float(np.linalg.norm(start))
        self.exact = self.norm == 0
        basis = np.zeros((self.SIZE + 1, start.size))
        projected = np.zeros((self.SIZE + 1, self.SIZE + 1))
        basis[0] = start / (self.norm or 1.0)
        used = 1
        while used <= self.SIZE and not self.exact:
            image = apply(basis[used - 1])
            scale = np.linalg.norm(image)
            for _ in range(2):  # twice is enough: orthogonal to rounding
                overlap = basis[:used] @ image
                projected[:used, used - 1] += overlap
                image = image - overlap @ basis[:used]
            remainder = np.linalg.norm(image)
            self.exact = bool(remainder <= 1e-15 * scale)  # an invariant space: the projection is exact
            if not self.exact:
                projected[used, used - 1] = remainder
                basis[used] = image / remainder
                used += 1
        self.basis, self.projected = basis[:used], projected[:used, :used]

    def weights(self, time: float) -> np.ndarray:
        """Coordinates of exp(t A) start / |start| in the basis."""
        from scipy.linalg import expm

        return expm(time * self.projected)[:, 0]

    def at(self, time: float) -> np.ndarray:
        """exp(t A) start."""
        return self.norm * self.weights(time) @ self.basis

    def reach(self, span: float) -> float:
        """Longest time, span halved as often as needed, at which what the space leaves out is rounding."""
        while not self.exact:
            if not np.isfinite(self.norm):
                break  # past the range of numbers there is nothing to reach
            weights = self.weights(span)  # the last row estimates the part that is neglected
            if abs(weights[-1]) <= 1e-14 * np.linalg.norm(weights[:-1]):
                break
            span /= 2
        return span


@lru_cache(maxsize=32)
def _triangle(dimension: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row and column numbers of the upper triangle, and the place of every entry (d, d) in it."""
    rows, columns = np.triu_indices(dimension)
    place = np.empty((dimension, dimension), dtype=np.intp)
    place[rows, columns] = place[columns, rows] = np.arange(rows.size)
    return rows, columns, place


def pack_symmetric(matrix: np.ndarray) -> np.ndarray:
    """Upper triangle of a symmetric (d, d) matrix as a vector (d (d + 1) / 2,)."""
    rows, columns, _ = _triangle(matrix.shape[-1])
    return matrix[..., rows, columns]


def unpack_symmetric(vector: np.ndarray, dimension: int) -> np.ndarray:
    """Symmetric (d, d) matrix of a packed upper triangle."""
    return vector[..., _triangle(dimension)[2]]


def on_symmetric(apply: LinearMap, dimension: int) -> LinearMap:
    """A map of symmetric matrices as a map of their packed triangles."""
    return lambda packed: pack_symmetric(apply(unpack_symmetric(packed, dimension)))

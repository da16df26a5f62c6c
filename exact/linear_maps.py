"""Linear operators given as functions: dense matrices when small, Krylov methods when large."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

LinearMap = Callable[[np.ndarray], np.ndarray]

DENSE_SIZE = 600  # up to here a dense matrix is formed: cheaper and simpler than iterating


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


def exponential_action(apply: LinearMap, vector: np.ndarray, times: Sequence[float]) -> np.ndarray:
    """exp(t A) v at increasing times t >= 0 as an array (times, size), to rounding.

    Arnoldi's method with the error estimate of its last row; the subspace restarts at every accepted substep.
    """
    results = np.empty((len(times), vector.size))
    now, state = 0.0, np.array(vector, dtype=float)
    span = (times[-1] if len(times) else 0.0) or 1.0
    for index, time in enumerate(times):
        while time - now > 1e-15 * span:
            state, taken = _arnoldi_step(apply, state, time - now)
            now = time if taken >= time - now else now + taken
        results[index] = state
    return results


def _arnoldi_step(apply: LinearMap, state: np.ndarray, span: float) -> tuple[np.ndarray, float]:
    """Advance as far into `span` as one Krylov space carries; returns the state and the time taken."""
    from scipy.linalg import expm

    norm = float(np.linalg.norm(state))
    if norm == 0:
        return state, span
    limit = min(state.size, 120)
    basis = np.empty((limit + 1, state.size))
    projected = np.zeros((limit + 1, limit + 1))
    basis[0] = state / norm
    reached = limit
    for column in range(limit):
        image = apply(basis[column])
        scale = np.linalg.norm(image)
        for _ in range(2):  # twice is enough: orthogonal to rounding
            overlap = basis[: column + 1] @ image
            projected[: column + 1, column] += overlap
            image = image - overlap @ basis[: column + 1]
        remainder = np.linalg.norm(image)
        if remainder <= 1e-15 * scale or column + 1 == state.size:
            reached = column + 1
            break  # the space is invariant: the projection is exact
        projected[column + 1, column] = remainder
        basis[column + 1] = image / remainder
    exact = reached < limit or limit == state.size
    taken = span
    while True:
        if exact:
            weights = expm(taken * projected[:reached, :reached])[:, 0]
            return norm * weights @ basis[:reached], taken
        weights = expm(taken * projected)[:, 0]  # last row: phi-function estimate of the neglected part
        if abs(weights[limit]) <= 1e-14 * np.linalg.norm(weights[:limit]) + 1e-300:
            return norm * weights[: limit + 1] @ basis, taken
        taken /= 2


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

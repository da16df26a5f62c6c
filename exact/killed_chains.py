"""Chains that are killed: the quasi-stationary law and the rate at which its mass is lost, without cancellation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import OutOfReach

DENSE = 1500  # states up to which a dense solution is cheaper than Krylov's
BLOCK = 24  # multiplications between two looks at the rate
MOST = 4000  # blocks
SETTLED = 1e-13  # relative change of the rate a multiplication at which it stays


@dataclass(frozen=True, eq=False)
class Factors:
    """A sparse matrix (n, n) as a product of two, each with fewer entries.

    Attributes
    ----------
    first, last : sparse matrices (n, m) and (m, n)
    """

    first: Any
    last: Any


def quasi_stationary(matrix: Any, killed: np.ndarray) -> tuple[np.ndarray, float]:
    """Left eigenvector of the top eigenvalue, and 1 less that eigenvalue.

    The rate is the mean of `killed` under the law, a sum of numbers of one sign: it keeps its digits however small it
    is. The law comes from a linear solver and is then multiplied by the matrix, which has no minus signs either, until
    the places that see few paths have their digits too.

    Parameters
    ----------
    matrix : (n, n) array, sparse matrix, or Factors
        Entry (i, j): mass that goes from state i to state j. Rows sum to 1 - `killed`.
    killed : (n,) array

    Returns
    -------
    law : (n,) array
        Of sum 1.
    rate : float

    Raises
    ------
    OutOfReach
        If the law does not settle.
    """
    n, dense = len(killed), isinstance(matrix, np.ndarray)
    back = _transposed(matrix)
    law = np.abs(_dense_start(back) if n <= DENSE and dense else _krylov_start(back, n))
    law = law / law.sum()
    rate, before = float(law @ killed), np.inf
    for _ in range(MOST):
        before, rate = rate, float("nan")
        for _ in range(BLOCK):
            law = back @ law
            law = law / law.sum()
        rate = float(law @ killed)
        if abs(rate - before) <= SETTLED * BLOCK * abs(rate):
            return law, rate
    raise OutOfReach(
        f"the quasi-stationary law has not settled after {MOST * BLOCK} steps (rate {rate:.4g}, changing by "
        f"{abs(rate - before):.2g}): the paths mix too slowly inside the basin; raise the step size", about=rate,
    )  # fmt: skip


def _transposed(matrix: Any) -> Any:
    from scipy.sparse.linalg import aslinearoperator

    if isinstance(matrix, np.ndarray):
        return np.ascontiguousarray(matrix.T)
    if isinstance(matrix, Factors):
        return aslinearoperator(matrix.last.T.tocsr()) @ aslinearoperator(matrix.first.T.tocsr())
    return matrix.T.tocsr()


def _dense_start(back: np.ndarray) -> np.ndarray:
    """One step of inverse iteration just above the eigenvalue 1, twice."""
    from scipy.linalg import lu_factor, lu_solve

    factors = lu_factor(back - (1 + 1e-9) * np.eye(len(back)))
    law = np.full(len(back), 1 / len(back))
    for _ in range(3):
        law = lu_solve(factors, law)
        law = law / np.abs(law).sum()
    return law


def _krylov_start(back: Any, n: int) -> np.ndarray:
    from scipy.sparse.linalg import ArpackError, eigs

    try:
        _, vectors = eigs(back, 1, which="LM", v0=np.full(n, 1 / n), tol=1e-14, maxiter=300)
    except ArpackError:
        return np.full(n, 1 / n)
    return np.real(vectors[:, 0] / vectors[np.abs(vectors[:, 0]).argmax(), 0])

"""Chains with few slow states: their stationary law, mean times and what is expected of so many steps."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .compiling import compiled
from .errors import OutOfReach

Array = np.ndarray
SECONDS = 1.2e-9, 6e-11  # of a multiplication by an entry: of a sparse matrix and a vector, of two matrices
LONGEST = 25.0  # seconds of `evolved`
MOST_AGGREGATIONS = 200
RAREST = 1e-13  # changes a step: what is solved for has an error near 1e-16
AGREED, AGREED_EACH = 1e-12, 1e-7  # relative changes of weights at which they stay


def part(matrix: Any, kept: Array) -> Any:
    index = np.flatnonzero(kept)
    return matrix[np.ix_(index, index)] if isinstance(matrix, np.ndarray) else matrix[index][:, index]


def solved(matrix: Any, values: Array) -> Array:
    """(I - matrix)^-1 values."""
    if isinstance(matrix, np.ndarray):
        return np.linalg.solve(np.eye(len(values)) - matrix, values)
    from scipy.sparse import identity
    from scipy.sparse.linalg import splu

    return splu((identity(len(values)) - matrix).tocsc()).solve(values)


def stationary(matrix: Any, groups: Array) -> tuple[Array, float]:
    """Left eigenvector of the eigenvalue 1, of sum 1, of a chain that seldom changes its group, and an error.

    By aggregation and disaggregation (Koury, McAllister and Stewart): the law within each group, then the weights of
    the groups, a chain of few states that is solved without a subtraction, again and again until both stay. A group
    that is left less than once in 1e13 steps has a rate without digits; it is taken as that, and the error says what
    share, at most, the others have.

    Parameters
    ----------
    matrix : (n, n) array or sparse matrix
    groups : (n,) whole numbers

    Raises
    ------
    OutOfReach
        If it does not settle, or two groups are left as rarely.
    """
    from scipy.linalg import lu_factor, lu_solve
    from scipy.sparse import identity
    from scipy.sparse.linalg import splu

    n, count = len(groups), int(groups.max()) + 1
    back = np.ascontiguousarray(matrix.T) if isinstance(matrix, np.ndarray) else matrix.T.tocsr()
    member = np.zeros((count, n))
    member[groups, np.arange(n)] = 1.0
    solvers = []
    for g in range(count):
        own = part(back, groups == g)
        if isinstance(own, np.ndarray):
            factors = lu_factor(np.eye(len(own)) * (1 + 1e-15) - own)
            solvers.append(lambda v, f=factors: lu_solve(f, v))
        else:
            solvers.append(splu((identity(own.shape[0]) * (1 + 1e-15) - own).tocsc()).solve)
    law = np.ones(n) / (member @ np.ones(n))[groups] / count
    before = np.zeros(count)
    for _ in range(MOST_AGGREGATIONS):
        law = law / (member @ law)[groups]
        flux = np.array([member @ (back @ np.where(groups == g, law, 0.0)) for g in range(count)])
        out = flux.sum(axis=1) - np.diag(flux)
        rare = out < RAREST
        if rare.sum() > 1:
            raise OutOfReach("two wells are left so rarely that the shares of the wells in the long run have no digits",
                             about=float(out.min()))  # fmt: skip
        if rare.any():
            flux[rare] = RAREST / (count - 1)
        weights = without_subtraction(flux)
        law = law * weights[groups]
        if np.abs(weights - before).max() <= AGREED * weights.max() and (
            np.abs(weights - before) <= AGREED_EACH * weights + 1e-300
        ).all():
            return law, float(weights[~rare].sum()) if rare.any() else 0.0
        before = weights
        entering = [back @ np.where(groups == g, 0.0, law) for g in range(count)]
        for g, solve in enumerate(solvers):
            law[groups == g] = np.abs(solve(entering[g][groups == g]))
    raise OutOfReach(f"the stationary law of the wells has not settled in {MOST_AGGREGATIONS} rounds")


def without_subtraction(flux: Array) -> Array:
    """Stationary law (n,) of a chain with rates flux (n, n), i to j, whose diagonal means nothing (Grassmann, Taksar
    and Heyman)."""
    rates, n = np.array(flux), len(flux)
    np.fill_diagonal(rates, 0.0)
    for k in range(n - 1, 0, -1):
        out = rates[k, :k].sum()
        if not out > 0:
            raise OutOfReach("there is a well that is never left, as far as numbers reach")
        rates[:k, :k] += np.outer(rates[:k, k] / out, rates[k, :k])
        np.fill_diagonal(rates[:k, :k], 0.0)
    law = np.zeros(n)
    law[0] = 1.0
    for k in range(1, n):
        law[k] = law[:k] @ rates[:k, k] / rates[k, :k].sum()
    return law / law.sum()


def evolved(matrix: Any, law: Array, free: Array, free_at: Array, steps: int) -> tuple[Array, Array, float]:
    """Sum of law matrix^k over k = 0 .. steps, its last term, and what is left of `free` when it must stay free."""
    dense = 20 * SECONDS[1] * len(law) ** 3
    sparse = math.inf if isinstance(matrix, np.ndarray) else 2 * matrix.nnz * steps * SECONDS[0]
    if min(dense, sparse) > LONGEST:
        raise OutOfReach(f"{steps} steps of {len(law)} places would take some {min(dense, sparse):.0f} s to follow")
    if sparse > dense and not isinstance(matrix, np.ndarray):
        matrix = matrix.toarray()
    if not isinstance(matrix, np.ndarray):
        back = matrix.T.tocsr()
        last, free = np.array(law, dtype=float), np.array(free, dtype=float)
        total = last.copy()
        _follow(back.indptr, back.indices, back.data, last, free, free_at, total, steps)
        return total, last, float(free.sum())
    doublings = max(0, round(math.log2(max(steps / len(law), 1))) + 2)
    power, kept = matrix, np.where(free_at, matrix, 0.0)
    block, kept_block = power, kept
    for _ in range(doublings):
        block, kept_block = block @ block, kept_block @ kept_block
    size, firsts, last = 2**doublings, np.zeros(len(law)), law
    whole, rest = divmod(steps + 1, size)
    for _ in range(whole):
        firsts, last = firsts + last, last @ block
    total = np.zeros(len(law))
    for _ in range(size):
        total += firsts
        firsts = firsts @ power
    final = last
    for _ in range(rest):
        total += last
        final, last = last, last @ power
    for _ in range(steps // size):
        free = free @ kept_block
    for _ in range(steps % size):
        free = free @ kept
    if not rest:  # the last term lies inside the last block
        final = law
        for _ in range(steps // size):
            final = final @ block
        for _ in range(steps % size):
            final = final @ power
    return total, final, float(free.sum())


@compiled
def _follow(starts, places, values, last, free, free_at, total, steps):
    """Both laws through so many steps, in place: the matrix, by far the most to read, is read once for the two."""
    n = last.size
    ahead, freed = np.empty(n), np.empty(n)
    for _ in range(steps):
        for i in range(n):
            a0 = a1 = b0 = b1 = 0.0
            first, end = starts[i], starts[i + 1]
            even = first + (end - first) // 2 * 2
            for j in range(first, even, 2):
                a0 += values[j] * last[places[j]]
                b0 += values[j] * free[places[j]]
                a1 += values[j + 1] * last[places[j + 1]]
                b1 += values[j + 1] * free[places[j + 1]]
            if even < end:
                a0 += values[even] * last[places[even]]
                b0 += values[even] * free[places[even]]
            ahead[i] = a0 + a1
            freed[i] = b0 + b1 if free_at[i] else 0.0
        for i in range(n):
            last[i] = ahead[i]
            free[i] = freed[i]
            total[i] += ahead[i]

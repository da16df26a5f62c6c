"""Coordinates in which moments of a random linear step x' = A x grow evenly from all directions.

At the eigenfunction e of x -> E |A x|^s e(A x / |A x|) growth has no variance at all: E |A x|^s e = k(s) |x|^s e. At
order 2 it is a quadratic form x.P x with E A^T P A = k P. For other orders P is that of the step whose noise about its
mean M is scaled until the second moment stands still, P = M^T P M + theta E (A - M)^T P (A - M): at the tail index,
where the moment of that order does, |x|_P^s is then near to the eigenfunction. Any P > 0 is right, and a good one
calms the weights of a population. Derived.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .matrix_equations import solve_stein

Noise = Callable[[np.ndarray], np.ndarray]
ROUNDS, SETTLED = 40, 1e-8
SHARE = 0.2  # of noise alike in all directions, for parts of the state that others never feel
BEYOND = 1.02  # times the growth of an unstable mean, to which moments are discounted
THIN = 1e-10  # of the mean eigenvalue of P, what is added to all


@dataclass(frozen=True, eq=False)
class EvenCoordinates:
    """y = root x.

    Attributes
    ----------
    root : (D, D) array
        Upper triangular, root^T root = P.
    back : (D, D) array
        Its inverse.
    spread : (D, D) array
        Second moments of y where they have settled: paths that start with them have little to forget.
    """

    root: np.ndarray
    back: np.ndarray
    spread: np.ndarray

    def diagonal(self) -> EvenCoordinates:
        """With the diagonal of P alone."""
        sizes = np.linalg.norm(self.root, axis=0)
        turned = sizes[:, None] * self.back
        return EvenCoordinates(np.diag(sizes), np.diag(1 / sizes), turned @ self.spread @ turned.T)


def even_coordinates(mean: np.ndarray, caused: Noise, felt: Noise) -> EvenCoordinates:
    """Of a step A of this mean.

    Parameters
    ----------
    mean : (D, D) array
        M.
    caused, felt : functions of symmetric (D, D) arrays
        C -> E (A - M) C (A - M)^T, and its adjoint, P -> E (A - M)^T P (A - M).
    """
    root = np.linalg.cholesky(_standing(mean.T, felt)).T
    return EvenCoordinates(root, np.linalg.inv(root), root @ _standing(mean, caused) @ root.T)


def _standing(mean: np.ndarray, noise: Noise) -> np.ndarray:
    """X > 0 of mean eigenvalue 1, with X = mean X mean^T + theta noise(X): of the loop noise -> covariance -> noise."""
    d = len(mean)
    growth = float(np.abs(np.linalg.eigvals(mean)).max())
    kept = mean if growth < 1 else mean / (growth * np.sqrt(BEYOND))
    alike = noise(np.eye(d))
    alike = alike / np.trace(alike) if alike.any() else np.eye(d) / d
    form = np.eye(d)
    for _ in range(ROUNDS):
        pushed = noise(form)
        total = float(np.trace(pushed))
        source = pushed / total + SHARE * alike if total > 0 else alike
        before, form = form, solve_stein(kept, source)
        form *= d / np.trace(form)
        if np.abs(form - before).max() < SETTLED * d:
            break
    return form + THIN * np.eye(d)

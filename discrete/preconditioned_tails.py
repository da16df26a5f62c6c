"""Tail index of preconditioned descent on least squares with a ridge. Derived.

In coordinates y, x = root y, root^2 = P, a step on the rows a is y' = (1 - eta ridge P) y - eta mean(b (b . y)) with
b = root a: symmetric matrices, whose part that is always there is no multiple of the identity.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles.blas_threads import one_blas_thread
from sgdlimits.exact.tail_index import TailIndex, at_rest, refuse_growth
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.transformed import transformed

from .kesten import Populations, sampled_index
from .moment_equations import with_a_law_of_samples
from .tail_index import EXPANDS, decays, tail_index

if TYPE_CHECKING:
    from .sgd import SGD

ALIKE = 1e-13  # relative spread of eigenvalues of a matrix that is a multiple of the identity


def index_with_ridge(bare: SGD, plain: SGD, root: np.ndarray, sizes: Populations) -> TailIndex:
    """The index.

    Parameters
    ----------
    bare : SGD
        Of x, without the preconditioner.
    plain : SGD
        Of y.
    root : (d, d) array
        Symmetric root of the preconditioner.
    sizes : Populations
        Where neither a scalar, all samples at once nor steps that expand nothing decide.
    """
    problem = with_a_law_of_samples(bare, "the tail index")
    matrix, size = root @ root, float(bare.step_size)
    scalar = float(np.trace(matrix)) / len(matrix)
    if np.abs(matrix - scalar * np.eye(len(matrix))).max() <= ALIKE * scalar:
        return tail_index(replace(bare, step_size=size * scalar), **vars(sizes))
    exponent = float(np.log(decays(plain, plain.problem.curvatures).max()))
    if plain.sampling == "without_replacement" and plain.batch_size == getattr(problem, "samples", math.inf):
        refuse_growth(plain.label, exponent)
        return TailIndex(
            math.inf, 0.0, "every batch is all samples", exponent, note="nothing multiplies at random"
        )  # fmt: skip
    samples = transformed(problem.with_ridge(0.0), root)
    if _expands_nothing(plain, samples, size * problem.ridge * matrix):
        return TailIndex(
            math.inf, 0.0, "no sample's step expands",
            note="in coordinates in which the descent is plain the steps are nonexpansive and their mean contracts, so "
            "every moment is finite",
        )  # fmt: skip
    penalty = problem.ridge * samples.eigenvectors.T @ matrix @ samples.eigenvectors
    with one_blas_thread():
        found = sampled_index(plain, samples, samples.eigenvalues, sizes, penalty)
    return at_rest(found, "x") if problem.noise_dies(bare.label_noise) and math.isfinite(found.index) else found


def _expands_nothing(plain: SGD, samples: object, lost: np.ndarray) -> bool:
    """Whether 1 - lost - eta b b^T has norm 1 at most for every row b, and the mean less; without momentum.

    With K = 1 - lost the lowest eigenvalue is at least -1 where eta b . (1 + K)^-1 b is at most 1.
    """
    if plain.momentum or not isinstance(samples, LeastSquares):
        return False
    kept = np.eye(len(lost)) - lost
    values = np.linalg.eigvalsh(kept)
    if values.max() > 1 + EXPANDS or values.min() <= -1 + EXPANDS:
        return False
    rows, size = samples.features, float(plain.step_size)
    reach = size * np.einsum("ni,in->n", rows, np.linalg.solve(np.eye(len(lost)) + kept, rows.T))
    curvatures = size * plain.problem.curvatures
    return bool(reach.max() <= 1 + EXPANDS and 0 < curvatures.min() and curvatures.max() < 2)

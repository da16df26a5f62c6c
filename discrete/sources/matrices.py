"""What sources share where a rule asks for a matrix: batches drawn for it alone, Fisher matrices, why one is "
"singular."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.path_matrices import LowRank

from ..rules.curved import Curvature

APART = "batch of the matrix"  # label of the noise of independent batches
MOST_SETS = 4000  # of rows, that are looked at one by one
ROUNDING = 1e-12  # of the largest eigenvalue: below it a matrix is as good as singular


def noise_for(asked: Curvature, noise: Noise) -> Noise:
    """The random numbers of the matrix's batch: the gradient's own, or others."""
    return noise.child(APART) if asked.samples == "independent" else noise


def fisher(gradients: np.ndarray, matrix: str) -> LowRank:
    """Mean of g g^T, or covariance, of gradients (P, B, d) with their ridge."""
    if matrix == "centred":
        gradients = gradients - gradients.mean(axis=1, keepdims=True)
    return LowRank(gradients / math.sqrt(gradients.shape[1]))


def needs(shift: float, why: str) -> str:
    """A sentence why a positive semidefinite matrix plus `shift` may be singular, or worse."""
    if shift < 0:
        return f"ridge and damping add up to {shift:.4g}: state a damping that makes that positive"
    return f"{why}, and ridge and damping add up to 0: state a damping above 0"


def why_batches_of_rows_are_singular(features: np.ndarray, batch: int, sampling: str) -> str:
    """Why the mean of a a^T over some batch of rows a (n, d) is singular; empty if none is."""
    n, d = features.shape
    if batch < d:
        return f"a batch of {batch} has rank {batch} at most in {d} parameters"
    if sampling == "with_replacement" and (d > 1 or not features.all()):
        return "a batch drawn with replacement may be one row again and again"
    if d == 1:
        return "" if (features != 0).sum() > n - batch else "a batch may hold rows of zeros alone"
    if math.comb(n, batch) > MOST_SETS:
        return f"none of {math.comb(n, batch):.3g} batches is known to have full rank"
    chosen = features[np.array(list(combinations(range(n), batch)))]
    least = np.linalg.svd(chosen, compute_uv=False)[:, -1].min()
    return "" if least > ROUNDING * np.abs(features).max() else "some batch of rows has not full rank"

"""The largest error of all quadratic observables of unit size at once. Derived.

Of phi(x) = y^T Q y / 2 + v.y, y = x - origin, |Q| <= 1 in the operator norm and |v| <= 1, the supremum of
|E phi(X) - E phi(Y)| is |M_X - M_Y| / 2 + |m_X - m_Y|, with the nuclear norm of the difference of second moments about
the origin and the length of that of the means. In the metric of the risk y is H^(1/2) (x - origin): the risk's own
quadratic part then has unit size, and directions that the data do not see have none.
"""

from __future__ import annotations

import numpy as np

from sgdlimits.problems.quadratic import QuadraticProblem

METRICS = ("euclidean", "risk")
ORIGINS = ("minimiser", "start")


def quadratic_gap(
    problem: QuadraticProblem, origin: np.ndarray, metric: str, first: tuple[np.ndarray, np.ndarray],
    second: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:  # fmt: skip
    """The supremum (k,), from means (k, d) and covariances (k, d, d) of both sides in positions."""
    vectors = problem.eigenvectors
    if metric == "risk":
        vectors = vectors * np.sqrt(problem.eigenvalues)
    means = [(mean - origin) @ vectors for mean, _ in (first, second)]
    covariances = [vectors.T @ covariance @ vectors for _, covariance in (first, second)]
    gap, centre = means[0] - means[1], (means[0] + means[1]) / 2
    # m m^T - n n^T = c g^T + g c^T with g = m - n, c their middle: no digits are lost.
    cross = centre[:, :, None] * gap[:, None, :]
    difference = covariances[0] - covariances[1] + cross + cross.swapaxes(1, 2)
    return 0.5 * np.abs(np.linalg.eigvalsh(difference)).sum(axis=1) + np.linalg.norm(gap, axis=1)

"""Random features of data with power laws: the model of compute-optimal scaling, as a stream of Gaussian features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.cost import check_memory
from sgdlimits.exact.errors import InvalidInput, non_negative, positive, real_number, seed_number, whole_number

WIDE = 4  # times the dimension, of the data by default


@dataclass(frozen=True, eq=False)
class PowerLawFeatures:
    """Feature covariance (d, d), truth (d,) and noise of what linear regression on random features sees.

    Data x_j = j^-alpha z_j, z standard normal, j = 1..ambient, label sum_j j^-beta x_j + label_noise N(0, 1); features
    W^T x with W (ambient, d) of independent N(0, 1/d). Given the features the label is Gaussian, so that this is least
    squares on a stream, exactly: with D = diag(j^(-2 alpha)), b = (j^-beta), K = W^T D W the covariance is K, the truth
    K^-1 W^T D b, and the noise has variance label_noise^2 + b^T D b - b^T D W K^-1 W^T D b. Derived.
    """

    covariance: np.ndarray
    truth: np.ndarray
    noise: float


def power_law_features(
    alpha: float, beta: float, dimension: int, ambient: int | None, seed: int, label_noise: float
) -> PowerLawFeatures:
    """Draw W by the seed; see `StreamingLeastSquares.power_law`."""
    from scipy.linalg import solve_triangular

    alpha, beta = positive("alpha", alpha), real_number("beta", beta)
    d = whole_number("dimension", dimension, 1)
    v = WIDE * d if ambient is None else whole_number("ambient", ambient, 1)
    if v < d:
        raise InvalidInput(f"ambient is {v}, below the dimension {d}: features would depend on each other; take more")
    label_noise = non_negative("label_noise", label_noise)
    check_memory(f"random features {v} x {d}", 24.0 * v * d, "take a smaller dimension or ambient")
    generator = np.random.Generator(np.random.Philox(seed_number(seed)))
    weights = generator.standard_normal((v, d)) / np.sqrt(d)
    j = np.arange(1, v + 1, dtype=float)
    scaled = j[:, None] ** -alpha * weights  # D^(1/2) W
    target = j ** (-alpha - beta)  # D^(1/2) b
    # By a QR decomposition the residual keeps its digits, however small it is beside the target; the triangle of
    # [D^(1/2) W, D^(1/2) b] has all that is asked for, at half the cost.
    triangle = np.asarray(np.linalg.qr(np.column_stack([scaled, target]), mode="r"))
    r, along = triangle[:d, :d], triangle[:d, d]
    residual = float(triangle[d, d]) if v > d else 0.0
    return PowerLawFeatures(r.T @ r, solve_triangular(r, along), float(np.hypot(label_noise, residual)))

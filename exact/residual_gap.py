"""What constant noise leaves of the risk of streaming least squares above that of gradient descent, in closed form."""

from __future__ import annotations

import numpy as np


def residual_gap(eigenvalues: np.ndarray, step_size: float, batch_size: float, label_variance: float) -> float:
    """Stationary excess risk of plain SGD on Gaussian features, in O(d). Derived.

    The stationary variances p solve p_i (2 - step_size lambda_i (1 + 1/B)) = (step_size / B) (sum_j lambda_j p_j +
    label_variance), so that with kappa = sum_i step_size lambda_i / (2 - step_size lambda_i (1 + 1/B))

        sum_i lambda_i p_i / 2 = label_variance kappa / (2 (B - kappa)),    formula residual-risk.

    Returns
    -------
    float
        inf where the second moments do not settle: kappa is not below B, or a mode grows by itself.
    """
    moved = step_size * eigenvalues
    left = 2 - moved * (1 + 1 / batch_size)
    if (left <= 0).any():
        return float("inf")
    kappa = float((moved / left).sum())
    return 0.5 * label_variance * kappa / (batch_size - kappa) if kappa < batch_size else float("inf")

"""What minibatches do to the distance from the zero-loss set: noise that multiplies it, and vanishes on the set."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.exact.errors import InfiniteVariance
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.problems.covariances import Covariance
from sgdlimits.problems.geometry import Frame
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.samplings import sampling_factor
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.zero_loss.model import Model, Regression


def sample_rows(model: Regression, w: np.ndarray, frame: Frame) -> np.ndarray:
    """Rows (..., N, r) of the least squares that the loss is near points of the set, in the normal directions.

    Near the set L is weight |J x|^2 / 2: half the mean over the samples of the squares of these rows times x.
    """
    return np.sqrt(model.weight * model.samples) * model.predict_with_jacobian(w)[1] @ frame.normals


def batch_moments(
    model: Model, batch: Any, point: np.ndarray, frame: Frame, step_size: float, mean_threshold: float
) -> SecondMoments | None:
    """Moments of the normal part under minibatches, linearised at a point of the set: SGD on least squares (derived).

    None without a minibatch, where the noise does not act on the distance from the set to leading order in sigma.
    """
    if batch is None or not isinstance(model, Regression):  # which alone a minibatch fits
        return None
    rows = sample_rows(model, point, frame)
    problem = LeastSquares.from_arrays(rows, np.zeros(len(rows)))
    spread = problem.gradient_noise_map(problem.sampling_factor(batch.batch_size, batch.sampling), 0.0)

    def equations_at(size: float) -> MomentMap:
        kept = (1 - size * problem.curvatures)[:, None, None]
        return MomentMap(kept, np.array([-size]), spread, np.ones((1, 1)))

    return SecondMoments(problem, "the distance from the zero-loss set", step_size, equations_at, mean_threshold)


def stationary_core(
    model: Regression, batch: Any, w: np.ndarray, frame: Frame, covariance: Covariance, step_size: float
) -> np.ndarray:
    """Stationary covariance C (..., r, r), in the normals, of the normal part over step_size, under minibatches too.

    H C + C H - step_size (H C H + factor (mean of x x^T C x x^T - H C H)) = Q covariance Q over the rows x of the
    samples, factor that of the sampling. C enters the mean through x^T C x alone: one equation a sample (derived).

    Raises
    ------
    InfiniteVariance
        If the second moment of the distance does not settle at this step size.
    """
    rows = sample_rows(model, w, frame)
    count, values = rows.shape[-2], frame.eigenvalues
    factor = sampling_factor(batch.batch_size, batch.sampling, count)
    left, right = values[..., :, None], values[..., None, :]
    decay = left + right - step_size * (1 - factor) * left * right
    alone = covariance.inside(frame.normals) / decay
    squares = rows[..., :, None] * rows[..., None, :]  # (..., N, r, r)
    passed = step_size * factor / count * np.einsum("...jab,...iab->...ji", squares, squares / decay[..., None, :, :])
    if (np.abs(np.linalg.eigvals(passed)).max(-1) >= 1).any():
        raise InfiniteVariance(
            f"step_size is {step_size:g}, at which minibatches of {batch.batch_size} leave the distance from the "
            "zero-loss set without a second moment, which finite_step=True needs: lower the step size below "
            "stability(w0).mean_square_threshold"
        )
    seen = np.einsum("...jab,...ab->...j", squares, alone)[..., None]
    seen = np.linalg.solve(np.eye(count) - passed, seen)[..., 0]
    return alone + step_size * factor / count * np.einsum("...j,...jab->...ab", seen, squares) / decay

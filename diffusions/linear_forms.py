"""Coefficients of the diffusions of SGD, each written once for any array namespace.

On least squares the state z holds the modes, (..., d), and the constants `c` are arrays of the namespace `xp`. On other
losses the functions are NumPy's, of positions (P, d).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from sgdlimits.problems.quadratic import QuadraticProblem

from .array_form import ArrayForm


def linear_form(process: Any, noise_dimension: int, layout: str, diffusion: Any, **constants: Any) -> ArrayForm:
    """The form in modes: drift -rates z per unit of the clock, and this diffusion."""
    problem = process.problem
    constants["rates"] = float(process.clock) * process.rates
    return ArrayForm(
        process.dimension, noise_dimension, process.noise_type, layout, linear_drift, diffusion, constants,
        problem.minimiser, problem.eigenvectors,
    )  # fmt: skip


def loss_form(process: Any, noise_dimension: int, diffusion: Callable[..., np.ndarray]) -> ArrayForm:
    """The form on a loss that is not quadratic; `diffusion(process, xp, c, t, x)` of positions x (P, d)."""
    return ArrayForm(
        process.dimension, noise_dimension, process.noise_type, "matrix", partial(_descent, process),
        partial(diffusion, process), native=False,
    )  # fmt: skip


def _descent(process: Any, xp: Any, c: Any, t: Any, x: np.ndarray) -> np.ndarray:
    slope = process.problem.gradient(x)
    if process.drift_order == 2:
        slope = slope + 0.5 * process.step_size * process.problem.hessian_times_gradient(x, slope)
    return -float(process.clock) * process.step_size * slope


def no_noise(process: Any, xp: Any, c: Any, t: Any, x: np.ndarray) -> np.ndarray:
    """Zero (d, 1)."""
    return np.zeros((process.dimension, 1))


def sampled_gradients(process: Any, xp: Any, c: Any, t: Any, x: np.ndarray) -> np.ndarray:
    """sqrt(eta) times a root (P, d, n) of the batch gradient's covariance, one column a sample."""
    return np.sqrt(process.step_size) * process.gradient.root(x)


def is_quadratic(process: Any) -> bool:
    """Whether the process lives on least squares, so that it has modes."""
    return isinstance(process.problem, QuadraticProblem)


def risk_level(problem: QuadraticProblem, label_noise: float) -> dict[str, Any]:
    """Constants of 2 L + s^2 for `level`."""
    floor = 2 * problem.risk_at_minimiser + label_noise**2
    return {"floor": floor, "slope": 2 * problem.risk_slope, "coupling": problem.eigenvalues, "zero": 0.0}


def linear_drift(xp: Any, c: Any, t: Any, z: Any) -> Any:
    """-rates z."""
    return -c.rates * z


def frozen(xp: Any, c: Any, t: Any, z: Any) -> Any:
    """A constant matrix."""
    return c.root


def frozen_at(xp: Any, c: Any, t: Any, z: Any) -> Any:
    """The same, once for each place, as general noise has it."""
    return c.root + xp.zeros_like(z)[..., None]


def level(xp: Any, c: Any, z: Any) -> Any:
    """The level floor + slope . z + coupling . z^2 of the noise (...), and 0 where rounding puts it below."""
    # Products and a sum, not a matrix product: a library's may round by the number of paths.
    return xp.maximum(c.floor + (z * (c.slope + c.coupling * z)).sum(axis=-1), c.zero)


def level_times_spread(xp: Any, c: Any, t: Any, z: Any) -> Any:
    """sqrt(level) spread, the diagonal of homogenized SGD."""
    return xp.sqrt(level(xp, c, z))[..., None] * c.spread


def samples(xp: Any, c: Any, t: Any, z: Any) -> Any:
    """One column a sample, its gradient less the mean gradient, and the columns `own` of label noise."""
    residuals = z @ c.rows.T + c.offsets
    gradients = residuals[..., None] * c.rows
    columns = xp.swapaxes((gradients - gradients.mean(axis=-2, keepdims=True)) * c.scale, -1, -2)
    if not c.own.shape[-1]:
        return columns
    return xp.concatenate([columns, xp.broadcast_to(c.own, (*columns.shape[:-2], *c.own.shape))], axis=-1)


def stream(xp: Any, c: Any, t: Any, z: Any) -> Any:
    """Gaussian features: the gradient as one column, and sqrt(2 L + s^2) sqrt(H)."""
    pull = (c.pull * (z + c.offsets))[..., None]
    return xp.concatenate([pull, xp.sqrt(level(xp, c, z))[..., None, None] * c.spread], axis=-1)


def tabulated(xp: Any, c: Any, t: Any, z: Any) -> Any:
    """Root of the covariance that a table gives of the monomials of (modes, 1)."""
    d = z.shape[-1]
    rows, columns = np.triu_indices(d + 1)
    ones = xp.concatenate([z, xp.ones_like(z[..., :1])], axis=-1)
    packed = (ones[..., rows] * ones[..., columns]) @ c.table.T
    first, second = np.triu_indices(d)
    into = np.zeros((d, d), dtype=np.int64)
    into[first, second] = into[second, first] = np.arange(first.size)
    return c.scale * semidefinite_cholesky(xp, c, packed[..., into])


def semidefinite_cholesky(xp: Any, c: Any, covariances: Any) -> Any:
    """Lower triangular roots (..., d, d) of matrices that may be singular: a vanishing pivot gives zeros."""
    left, pivots, columns = covariances, (covariances * c.eye).sum(axis=-1), []
    for i in range(left.shape[-1]):
        pivot = pivots[..., :1]
        safe = xp.where(pivot > 0, pivot, xp.ones_like(pivot))
        column = xp.where(pivot > 0, left[..., :, 0] / xp.sqrt(safe), xp.zeros_like(pivot))
        columns.append(xp.concatenate([xp.zeros_like(covariances[..., 0, :i]), column], axis=-1))
        left = left[..., 1:, 1:] - column[..., 1:, None] * column[..., None, 1:]
        # Rounding must not leave a pivot, as in the kernel `covariance_noise`.
        squares = column[..., 1:] * column[..., 1:]
        rest = pivots[..., 1:] - squares
        pivots = xp.where(rest < 1e-14 * squares, xp.zeros_like(rest), rest)
    return xp.stack(columns, axis=-1)


def root_of(covariance: np.ndarray) -> np.ndarray:
    """A matrix R (d, d) with R R^T = covariance; works for singular ones."""
    values, vectors = np.linalg.eigh(covariance)
    return np.ascontiguousarray(vectors * np.sqrt(np.maximum(values, 0.0)))

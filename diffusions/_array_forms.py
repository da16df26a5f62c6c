"""The built-in diffusions of least squares written for any array namespace, in the eigenbasis of the Hessian."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .gradient_flow import GradientFlow
from .homogenized import HomogenizedSGD
from .homogenized_modes import HomogenizedModes
from .modified_equation import ModifiedEquation
from .ornstein_uhlenbeck import OrnsteinUhlenbeck, root_of
from .simulators import covariance_table
from .solvers.adapters.array_form import ArrayForm


@singledispatch
def form_of(process: Any) -> ArrayForm | None:
    """The array form of a built-in diffusion, whose state is the modes; None where the loss is not quadratic."""
    return None


def _linear_drift(xp: Any, c: Any, t: Any, z: Any) -> Any:
    return -c.rates * z


def _frozen(xp: Any, c: Any, t: Any, z: Any) -> Any:
    return c.root


def _level(xp: Any, c: Any, z: Any) -> Any:
    # sqrt(2 L + s^2), and 0 where rounding puts the square below
    return xp.sqrt(xp.maximum(c.floor + z @ c.slope + (z * z) @ c.coupling, c.zero))[..., None]


def _homogenized(xp: Any, c: Any, t: Any, z: Any) -> Any:
    return _level(xp, c, z) * c.spread


def _samples(xp: Any, c: Any, t: Any, z: Any) -> Any:
    residuals = z @ c.rows.T + c.offsets
    gradients = residuals[..., None] * c.rows
    columns = (gradients - gradients.mean(axis=-2, keepdims=True)) * c.scale
    return _beside(xp, xp.swapaxes(columns, -1, -2), c.own)


def _stream(xp: Any, c: Any, t: Any, z: Any) -> Any:
    pull = (c.pull * (z + c.offsets))[..., None]
    return xp.concatenate([pull, _level(xp, c, z)[..., None] * c.spread], axis=-1)


def _tabulated(xp: Any, c: Any, t: Any, z: Any) -> Any:
    ones = xp.concatenate([z, xp.ones_like(z[..., :1])], axis=-1)
    left = ((ones[..., :, None] * ones[..., None, :]).reshape(*z.shape[:-1], -1) @ c.table.T).reshape(
        *z.shape, -1
    )
    columns, diagonal = [], c.eye
    # Cholesky's columns; a pivot that is rounding of zero gives a column of zeros
    for i in range(z.shape[-1]):
        pivot = left[..., i, i][..., None]
        safe = xp.where(pivot > 0, pivot, xp.ones_like(pivot))
        column = xp.where(pivot > 0, left[..., :, i] / xp.sqrt(safe), xp.zeros_like(pivot)) * c.below[i]
        columns.append(column)
        left = left - column[..., :, None] * column[..., None, :]
        rest = (left * diagonal).sum(axis=-1)
        lost = xp.where(rest < 1e-14 * column * column, rest, xp.zeros_like(rest))
        left = left - lost[..., None] * diagonal
    return c.scale * xp.stack(columns, axis=-1)


def _beside(xp: Any, columns: Any, own: Any) -> Any:
    if not own.shape[-1]:
        return columns
    return xp.concatenate([columns, xp.broadcast_to(own, (*columns.shape[:-2], *own.shape))], axis=-1)


def _form(process: Any, noise_dimension: int, form: str, diffusion: Any, **constants: Any) -> ArrayForm:
    problem = process.problem
    constants["rates"] = float(process.clock) * process.rates
    return ArrayForm(
        process.dimension, noise_dimension, process.noise_type, form, _linear_drift, diffusion, constants,
        problem.minimiser, problem.eigenvectors,
    )  # fmt: skip


def _risk_level(process: Any) -> dict[str, Any]:
    problem = process.problem
    floor = 2 * problem.risk_at_minimiser + process.label_noise**2
    return {"floor": floor, "slope": 2 * problem.risk_slope, "coupling": problem.eigenvalues, "zero": 0.0}


@form_of.register
def _(process: HomogenizedSGD) -> ArrayForm:
    return _form(process, process.dimension, "diagonal", _homogenized, **_modes_constants(process.in_modes()))


@form_of.register
def _(process: HomogenizedModes) -> ArrayForm:
    return ArrayForm(
        process.dimension, process.dimension, process.noise_type, "diagonal", _linear_drift, _homogenized,
        _modes_constants(process),
    )  # fmt: skip


def _modes_constants(modes: HomogenizedModes) -> dict[str, Any]:
    return {
        "rates": modes.rates, "spread": modes.amplitude, "floor": modes.floor, "slope": modes.slope,
        "coupling": modes.square, "zero": 0.0,
    }  # fmt: skip


@form_of.register
def _(process: OrnsteinUhlenbeck) -> ArrayForm:
    root = np.sqrt(process.step_size) * root_of(process.noise_map(np.empty(0), np.empty(0)))
    return _form(process, process.dimension, "matrix", _frozen, root=root)


@form_of.register
def _(process: GradientFlow) -> ArrayForm | None:
    if not isinstance(process.problem, QuadraticProblem):
        return None
    return _form(process, 1, "matrix", _frozen, root=np.zeros((process.dimension, 1)))


@form_of.register
def _(process: ModifiedEquation) -> ArrayForm | None:
    problem, d = process.problem, process.dimension
    if not isinstance(problem, QuadraticProblem):
        return None
    scale, roots = np.sqrt(process.step_size / process.batch_size), np.sqrt(problem.eigenvalues)
    if isinstance(problem, StreamingLeastSquares):
        return _form(
            process, d + 1, "matrix", _stream, pull=scale * problem.eigenvalues, offsets=problem.offset_modes,
            spread=scale * np.diag(roots), **_risk_level(process),
        )  # fmt: skip
    if process.noise_dimension == d and getattr(problem, "fourth_moments", None) is not None:
        return _form(
            process, d, "matrix", _tabulated, table=_full_table(process), scale=scale, eye=np.eye(d),
            below=np.tri(d).T,
        )  # fmt: skip
    rows = problem.augmented_modes
    own = scale * process.label_noise * np.diag(roots) if process.label_noise else np.zeros((d, 0))
    return _form(
        process, process.noise_dimension, "matrix", _samples, rows=rows[:, :-1], offsets=rows[:, -1], own=own,
        scale=scale / np.sqrt(problem.samples),
    )  # fmt: skip


def _full_table(process: ModifiedEquation) -> np.ndarray:
    """Matrix (d^2, (d + 1)^2) from (modes, 1) (modes, 1)^T to one sample's gradient covariance, unpacked."""
    d, packed = process.dimension, covariance_table(process.problem, process.label_noise)
    first, second = np.triu_indices(d)
    into = np.zeros((d, d), dtype=np.int64)
    into[first, second] = into[second, first] = np.arange(first.size)
    rows, columns = np.triu_indices(d + 1)
    table = np.zeros((packed.shape[0], d + 1, d + 1))
    table[:, rows, columns] = packed
    return table.reshape(packed.shape[0], -1)[into.ravel()]

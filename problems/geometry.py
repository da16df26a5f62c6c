"""Geometry of a set of zero loss: the limit of the gradient flow, its derivatives, and functions of the Hessian.

On the set, H is the Hessian, P the projector on its kernel (the tangent space) and Phi the limit map of the flow.
All functions take w of shape (..., m). The formulas are derived; d2Phi agrees with Li, Wang and Arora (2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, Unstable, finite_array, non_negative
from sgdlimits.exact.matrix_equations import solve_modal_stein

from .covariances import Covariance
from .frames import LARGEST_WEIGHT, Frame, NoZeroSet, frame, length, spectrum, weights
from .leading_modes import FEW
from .reaching import distance, limit_map, retract
from .set_checks import NotSmooth, check_growth, warn_of_kinks
from .zero_loss.model import Model, Regression
from .zero_loss.products import hessian_products, third_products

__all__ = [
    "Frame",
    "NoZeroSet",
    "NotSmooth",
    "SecondDerivative",
    "check_set",
    "distance",
    "frame",
    "limit_map",
    "log_determinant",
    "log_determinant_gradient",
    "normal_covariance",
    "retract",
    "second_derivative",
    "set_dimension",
    "tangent_projector",
    "trace_gradient",
    "trace_hessian",
    "warn_of_kinks",
]

NEIGHBOUR = 1e-2  # distance, relative to |w|, at which the rank of the Hessian is compared
NEIGHBOURS = 2  # tangent directions, generic ones
ALONG = 1e-13  # part of a covariance's rows along the set, relative to the largest entry, that is rounding
UNITS = 32  # unit vectors that are multiplied at once


@dataclass(frozen=True, eq=False)
class SecondDerivative:
    """d2Phi[covariance] in three parts, each (..., m); see `second_derivative`."""

    curvature: np.ndarray
    mixed: np.ndarray
    normal: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """Their sum."""
        return self.curvature + self.mixed + self.normal


def check_set(model: Model, w: np.ndarray) -> Frame:
    """Hold that a point w (m,) lies on a zero-loss set as the limits need it, and return its frame.

    The loss grows across the set on both sides along every normal, and neighbours along the set have the same rank.

    Raises
    ------
    InvalidInput
        If w is not on the set, the minimum is isolated, the Hessian vanishes or its rank jumps at or near w, or the
        zeros have an interior.
    """
    w = finite_array("w", weights(model, w), shape=(model.dimension,))
    here = frame(model, w)
    check_growth(model, w, *spectrum(model, w))
    moves = np.random.Generator(np.random.Philox(33)).standard_normal((NEIGHBOURS, model.dimension))
    moves = here.tangent_part(moves)
    moves *= NEIGHBOUR * length(w) / np.linalg.norm(moves, axis=-1, keepdims=True)
    for move in np.concatenate([moves, -moves]):  # one by one: of many weights a point's rows are the most that is held
        try:
            near = retract(model, w + move)
        except InvalidInput as error:
            raise InvalidInput(
                "the zeros form no smooth set here, or the Hessian's rank jumps: from neighbours of w along the "
                f"tangents, {error}"
            ) from None
        frame(model, near, rank=here.rank)
    return here


def set_dimension(model: Model, w: np.ndarray) -> int:
    """Dimension of the set at a point w (m,) of it, held against that at its neighbours.

    Raises
    ------
    InvalidInput
        If w is not on the set, the minimum is isolated, or the rank of the Hessian jumps near w.
    """
    rank = check_set(model, w).rank
    return model.dimension - rank


def tangent_projector(model: Model, w: np.ndarray) -> np.ndarray:
    """P = dPhi(w), the projector (..., m, m) on the kernel of the Hessian, at points of the set."""
    return frame(model, w).projector


def normal_covariance(
    model: Model, w: np.ndarray, covariance: np.ndarray, step_size: float = 0.0, frame: Frame | None = None
) -> np.ndarray:
    """Solve H C + C H - step_size H C H = Q covariance Q for C (..., m, m), Q = 1 - P.

    The stationary covariance of the normal part over step_size sigma^2; step size 0 gives the continuous one.

    Raises
    ------
    Unstable
        If step_size times the largest eigenvalue of H is at least 2.
    """
    here = _frame(model, w, frame)
    core = normal_core(here, _covariance(model, covariance), step_size)
    return here.normals @ core @ here.normals.swapaxes(-1, -2)


def normal_core(frame: Frame, covariance: Covariance, step_size: float = 0.0) -> np.ndarray:
    """`normal_covariance` (..., r, r) in the frame's normals."""
    step_size, values = non_negative("step_size", step_size), frame.eigenvalues
    if step_size * float(values.max()) >= 2:
        threshold = 2 / float(values.max())
        raise Unstable(
            f"step_size is {step_size:.6g}, but the normal part is stable below {threshold:.6g} only (2 over the "
            "largest eigenvalue of the Hessian); lower the step size", threshold,
        )  # fmt: skip
    return solve_modal_stein(values, covariance.inside(frame.normals), step_size)


def second_derivative(
    model: Model, w: np.ndarray, covariance: np.ndarray | Covariance, frame: Frame | None = None
) -> SecondDerivative:
    """Second derivative of the limit map at points of the set, contracted with `covariance` (..., m, m).

    With D the third derivative of L and S the covariance: curvature -H+ D[P S P], a normal vector; mixed
    -2 P D[sym(H+ S P)]; normal -P D[X] with H X + X H = Q S Q. Twice the Ito drift, not the drift itself.

    Parameters
    ----------
    model : Model
    w : (..., m) array on the set
    covariance : (..., m, m) array, symmetric, or Covariance
    frame : Frame, optional
        The frame at w, where it is known.
    """
    w = weights(model, w)
    here, covariance = _frame(model, w, frame), _covariance(model, covariance)
    mixed, normal = tangent_parts(model, w, covariance, here)
    return SecondDerivative(curvature=curvature_part(model, w, covariance, here), mixed=mixed, normal=normal)


def tangent_parts(
    model: Model, w: np.ndarray, covariance: Covariance, frame: Frame
) -> tuple[np.ndarray, np.ndarray]:
    """The mixed and the normal part (..., m) of `second_derivative`, both tangent vectors."""
    normal = -frame.tangent_part(push(model, w, frame, normal_core(frame, covariance)))
    along = tangent_rows(covariance, frame)
    if along is None:
        return np.zeros(normal.shape), normal
    across = covariance.rows @ frame.normals / frame.eigenvalues[..., None, :]
    core = np.eye(along.shape[-2]) if covariance.core is None else covariance.core
    # H+ S P + P S H+ in the rows (P rows, V'): the core has the parts beside the diagonal alone.
    between = core @ across
    q, r = between.shape[-2:]
    lead = np.broadcast_shapes(between.shape[:-2], along.shape[:-2])
    form = np.zeros((*lead, q + r, q + r))
    form[..., :q, q:], form[..., q:, :q] = between, between.swapaxes(-1, -2)
    rows = np.concatenate(
        [np.broadcast_to(part, (*lead, *part.shape[-2:])) for part in (along, frame.normals.swapaxes(-1, -2))], axis=-2
    )
    return -frame.tangent_part(_push_of_rows(model, w, rows, form)), normal


def curvature_part(model: Model, w: np.ndarray, covariance: Covariance, frame: Frame) -> np.ndarray:
    """The curvature part (..., m) of `second_derivative`, a normal vector."""
    found, along = np.zeros(np.shape(w)), tangent_rows(covariance, frame)
    if along is not None:
        vectors, factors = _diagonal(along, covariance.core)
        found = found + third_products(model, w, vectors, factors)
    if covariance.isotropic:
        rows = frame.normals.swapaxes(-1, -2)
        inner = third_products(model, w, rows, np.ones(rows.shape[:-1]))
        found = found + covariance.isotropic * (_trace_slope(model, w) - inner)
    return -frame.relaxed(found)


def push(model: Model, w: np.ndarray, frame: Frame, core: np.ndarray) -> np.ndarray:
    """D[V core V'] (..., m), V the frame's normals and core (..., r, r), up to a vector normal to the set."""
    return _push_of_rows(model, w, frame.normals.swapaxes(-1, -2), core)


def diagonal_push(model: Model, w: np.ndarray, frame: Frame, diagonal: np.ndarray) -> np.ndarray:
    """D[diag] (..., m) up to a vector normal to the set, for `diagonal` (..., m)."""
    if isinstance(model, Regression):
        turned = model.predict_with_jacobian(w)[1] * diagonal[..., None, :]
        return 2 * model.weight * model.prediction_hvp(w, turned).sum(-2)
    # Between tangents a matrix moves nothing along the set: what is left is Q diag + diag Q - Q diag Q.
    size = np.abs(diagonal).max(axis=-1, keepdims=True)
    size = np.where(size > 0, size, 1.0)  # taken out, or normals would swamp what a small diagonal makes of them
    normals = frame.normals.swapaxes(-1, -2)
    turned = normals * (diagonal / size)[..., None, :]
    inner, r = turned @ frame.normals, frame.rank
    form = np.zeros((*inner.shape[:-2], 2 * r, 2 * r))
    form[..., :r, :r] = -inner
    form[..., :r, r:] = form[..., r:, :r] = np.eye(r)
    return size * _push_of_rows(model, w, np.concatenate([normals, turned], axis=-2), form)


def tangent_rows(covariance: Covariance, frame: Frame) -> np.ndarray | None:
    """P applied to the rows (..., q, m) of a covariance; None where that is rounding."""
    rows, normals = covariance.rows, frame.normals
    along = rows - rows @ normals @ normals.swapaxes(-1, -2)
    return along if np.abs(along).max(initial=0.0) > ALONG * np.abs(rows).max(initial=0.0) else None


def tangential_variance(covariance: Covariance, frame: Frame) -> np.ndarray:
    """Largest entry (...) of P covariance P."""
    along = covariance.rows - covariance.rows @ frame.normals @ frame.normals.swapaxes(-1, -2)
    kept = covariance.isotropic * (1 - (frame.normals**2).sum(-1)).max(-1)
    return (along * (along if covariance.core is None else covariance.core @ along)).sum(-2).max(-1) + kept


def _push_of_rows(model: Model, w: np.ndarray, rows: np.ndarray, core: np.ndarray) -> np.ndarray:
    """D[rows' core rows] up to a normal vector: of a regression 2 weight sum_i F_i rows' core rows J_i, on the set."""
    if isinstance(model, Regression):
        jacobian = model.predict_with_jacobian(w)[1]
        turned = jacobian @ rows.swapaxes(-1, -2) @ core @ rows
        return 2 * model.weight * model.prediction_hvp(w, turned).sum(-2)
    return third_products(model, w, *_diagonal(rows, core))


def _diagonal(rows: np.ndarray, core: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Vectors (..., q, m) and factors (..., q) with rows' core rows = sum_k factors_k vectors_k vectors_k'."""
    if core is None:
        return rows, np.ones(rows.shape[:-1])
    factors, turned = np.linalg.eigh(core)
    return turned.swapaxes(-1, -2) @ rows, factors


def _trace_slope(model: Model, w: np.ndarray) -> np.ndarray:
    """Gradient (..., m) of the trace of the Hessian, by products along all weights."""
    total = np.zeros(np.shape(w))
    for start in range(0, model.dimension, UNITS):
        units = _units(model, start)
        units = np.broadcast_to(units, (*np.shape(w)[:-1], *units.shape))
        total = total + third_products(model, w, units, np.ones(units.shape[:-1]))
    return total


def _units(model: Model, start: int) -> np.ndarray:
    """UNITS unit vectors or what is left of them, from `start` on."""
    count = min(UNITS, model.dimension - start)
    found = np.zeros((count, model.dimension))
    found[np.arange(count), start + np.arange(count)] = 1.0
    return found


def trace_hessian(model: Model, w: np.ndarray) -> np.ndarray:
    """Trace of the Hessian, (...)."""
    return hessian_diagonal(model, w).sum(-1)


def hessian_diagonal(model: Model, w: np.ndarray) -> np.ndarray:
    """Diagonal of the Hessian, (..., m); of many weights by products, one a weight."""
    w = weights(model, w)
    if model.dimension <= FEW:
        return np.diagonal(model.hessian(w), axis1=-2, axis2=-1)
    found = np.empty(w.shape)
    for start in range(0, model.dimension, UNITS):
        units = _units(model, start)
        units = np.broadcast_to(units, (*w.shape[:-1], *units.shape))
        found[..., start : start + UNITS] = (units * hessian_products(model, w, units)).sum(-1)
    return found


def trace_gradient(model: Model, w: np.ndarray, frame: Frame | None = None) -> np.ndarray:
    """Gradient along the set of the trace of the Hessian, (..., m): what the normal directions have of it (derived)."""
    w = weights(model, w)
    here = _frame(model, w, frame)
    return here.tangent_part(push(model, w, here, np.eye(here.rank)))


def log_determinant(model: Model, w: np.ndarray) -> np.ndarray:
    """Logarithm of the product of the Hessian's non-zero eigenvalues, (...), at points of the set."""
    return np.log(frame(model, w).eigenvalues).sum(-1)


def log_determinant_gradient(model: Model, w: np.ndarray, frame: Frame | None = None) -> np.ndarray:
    """Gradient along the set of the log-pseudo-determinant of the Hessian, (..., m)."""
    w = weights(model, w)
    here = _frame(model, w, frame)
    return here.tangent_part(push(model, w, here, np.eye(here.rank) / here.eigenvalues[..., None, :]))


def _covariance(model: Model, covariance: np.ndarray | Covariance) -> Covariance:
    """Of symmetric matrices (..., m, m), or raise."""
    if isinstance(covariance, Covariance):
        return covariance
    array = finite_array("covariance", covariance)
    if array.shape[-2:] != (model.dimension, model.dimension):
        raise InvalidInput(f"covariance must end in shape {model.dimension, model.dimension}, got {array.shape}")
    scale = float(np.abs(array).max(initial=0.0))
    if scale > LARGEST_WEIGHT:
        raise InvalidInput(f"covariance must hold numbers of at most {LARGEST_WEIGHT:g}, got {scale:.3g}")
    gap = float(np.abs(array - array.swapaxes(-1, -2)).max(initial=0.0))
    if gap > 1e-8 * scale:
        raise InvalidInput(f"covariance must be symmetric, got a largest asymmetry of {gap:.3g}")
    return Covariance.of_matrix(array)


def _frame(model: Model, w: np.ndarray, known: Frame | None) -> Frame:
    return frame(model, w) if known is None else known


"""Geometry of a set of zero loss: the limit of the gradient flow, its derivatives, and functions of the Hessian.

On the set, H is the Hessian, P the projector on its kernel (the tangent space) and Phi the limit map of the flow.
All functions take w of shape (..., m). The formulas are derived; d2Phi agrees with Li, Wang and Arora (2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, Unstable, finite_array, non_negative
from sgdlimits.exact.matrix_equations import solve_modal_stein

from .frames import LARGEST_WEIGHT, Frame, NoZeroSet, frame, length, spectrum, weights
from .reaching import distance, limit_map, retract
from .set_checks import NotSmooth, check_growth, warn_of_kinks
from .zero_loss.model import Model

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
    try:
        near = retract(model, w + np.concatenate([moves, -moves]))
    except InvalidInput as error:
        raise InvalidInput(
            "the zeros form no smooth set here, or the Hessian's rank jumps: from neighbours of w along the tangents, "
            f"{error}"
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
    here, covariance = _frame(model, w, frame), _covariance(model, covariance)
    step_size = non_negative("step_size", step_size)
    values, normals = here.eigenvalues, here.normals
    if step_size * float(values.max()) >= 2:
        threshold = 2 / float(values.max())
        raise Unstable(
            f"step_size is {step_size:.6g}, but the normal part is stable below {threshold:.6g} only (2 over the "
            "largest eigenvalue of the Hessian); lower the step size", threshold,
        )  # fmt: skip
    turned = normals.swapaxes(-1, -2)
    return normals @ solve_modal_stein(values, turned @ covariance @ normals, step_size) @ turned


def second_derivative(
    model: Model, w: np.ndarray, covariance: np.ndarray, frame: Frame | None = None
) -> SecondDerivative:
    """Second derivative of the limit map at points of the set, contracted with `covariance` (..., m, m).

    With D the third derivative of L and S the covariance: curvature -H+ D[P S P], a normal vector; mixed
    -2 P D[sym(H+ S P)]; normal -P D[X] with H X + X H = Q S Q. Twice the Ito drift, not the drift itself.

    Parameters
    ----------
    model : Model
    w : (..., m) array on the set
    covariance : (..., m, m) array, symmetric
    frame : Frame, optional
        The frame at w, where it is known.
    """
    w = weights(model, w)
    here, covariance = _frame(model, w, frame), _covariance(model, covariance)
    projector, inverse = here.projector, here.pseudo_inverse
    tangential = projector @ covariance @ projector
    between = inverse @ covariance @ projector
    between = between + between.swapaxes(-1, -2)
    relaxed = normal_covariance(model, w, covariance, frame=here)
    third = [model.third_contraction(w, part) for part in (tangential, between, relaxed)]
    return SecondDerivative(
        curvature=-_times(inverse, third[0]), mixed=-_times(projector, third[1]), normal=-_times(projector, third[2])
    )


def trace_hessian(model: Model, w: np.ndarray) -> np.ndarray:
    """Trace of the Hessian, (...)."""
    w = weights(model, w)
    return np.trace(model.hessian(w), axis1=-2, axis2=-1)


def trace_gradient(model: Model, w: np.ndarray, frame: Frame | None = None) -> np.ndarray:
    """Gradient along the set of the trace of the Hessian, (..., m)."""
    w = weights(model, w)
    identity = np.broadcast_to(np.eye(model.dimension), (*np.shape(w), model.dimension))
    return _times(_frame(model, w, frame).projector, model.third_contraction(w, identity))


def log_determinant(model: Model, w: np.ndarray) -> np.ndarray:
    """Logarithm of the product of the Hessian's non-zero eigenvalues, (...), at points of the set."""
    return np.log(frame(model, w).eigenvalues).sum(-1)


def log_determinant_gradient(model: Model, w: np.ndarray, frame: Frame | None = None) -> np.ndarray:
    """Gradient along the set of the log-pseudo-determinant of the Hessian, (..., m)."""
    w = weights(model, w)
    here = _frame(model, w, frame)
    return _times(here.projector, model.third_contraction(w, here.pseudo_inverse))


def _covariance(model: Model, covariance: np.ndarray) -> np.ndarray:
    """Symmetric matrices (..., m, m), or raise."""
    array = finite_array("covariance", covariance)
    if array.shape[-2:] != (model.dimension, model.dimension):
        raise InvalidInput(f"covariance must end in shape {model.dimension, model.dimension}, got {array.shape}")
    scale = float(np.abs(array).max(initial=0.0))
    if scale > LARGEST_WEIGHT:
        raise InvalidInput(f"covariance must hold numbers of at most {LARGEST_WEIGHT:g}, got {scale:.3g}")
    gap = float(np.abs(array - array.swapaxes(-1, -2)).max(initial=0.0))
    if gap > 1e-8 * scale:
        raise InvalidInput(f"covariance must be symmetric, got a largest asymmetry of {gap:.3g}")
    return array


def _frame(model: Model, w: np.ndarray, known: Frame | None) -> Frame:
    return frame(model, w) if known is None else known


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]

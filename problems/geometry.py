"""Geometry of a set of zero loss: the limit of the gradient flow, its derivatives, and functions of the Hessian.

On the set, H is the Hessian, P the projector on its kernel (the tangent space) and Phi the limit map of the flow.
All functions take w of shape (..., m). The formulas are derived; d2Phi agrees with Li, Wang and Arora (2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import (
    InvalidInput,
    finite_array,
    instance_of,
    non_negative,
    positive,
    whole_number,
)
from sgdlimits.exact.matrix_equations import solve_modal_stein

from .limit_flow import follow
from .zero_loss.model import Model, Regression

FLAT_REGRESSION = 1e-12  # eigenvalue over the largest one, from singular values of the Jacobian
FLAT_LOSS = 1e-7  # the same from a Hessian, which may come from differences
LARGEST_WEIGHT = 1e50  # its sixth power, which losses of networks reach, is still a number
NEIGHBOUR = 1e-2  # distance, relative to 1 + |w|, at which the rank of the Hessian is compared


@dataclass(frozen=True, eq=False)
class Frame:
    """Normal directions of the set at points of it.

    Attributes
    ----------
    normals : (..., m, r) array
        Orthonormal eigenvectors of H with non-zero eigenvalues.
    eigenvalues : (..., r) array
        These eigenvalues.
    """

    normals: np.ndarray
    eigenvalues: np.ndarray

    @property
    def rank(self) -> int:
        """Rank of the Hessian: the codimension of the set."""
        return self.eigenvalues.shape[-1]

    @property
    def projector(self) -> np.ndarray:
        """P, (..., m, m)."""
        return np.eye(self.normals.shape[-2]) - self.normals @ self.normals.swapaxes(-1, -2)

    @property
    def pseudo_inverse(self) -> np.ndarray:
        """H+, (..., m, m)."""
        return (self.normals / self.eigenvalues[..., None, :]) @ self.normals.swapaxes(-1, -2)


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


def limit_map(model: Model, w: np.ndarray, tolerance: float = 1e-10) -> np.ndarray:
    """Limit (..., m) of the gradient flow from w (..., m): the point of the zero-loss set that training ends in.

    In closed form where the model knows one, else a stiff flow and a Gauss-Newton polish.

    Parameters
    ----------
    model : Model
    w : (..., m) array
    tolerance : float
        Error of a step of the flow, relative to 1 + |w|; the limit's own is a few times that.

    Raises
    ------
    InvalidInput
        If the flow does not reach zero loss; the message says the loss that it reached.
    """
    w, tolerance = _weights(model, w), positive("tolerance", tolerance)
    if not w.size:
        return w.copy()
    closed = model.closed_limit(w)
    if closed is not None:
        return closed
    scale = _loss_scale(model)
    found = follow(model, w.reshape(-1, w.shape[-1]), tolerance, scale)
    lost = model.loss(found)
    worst = int(np.argmax(np.where(np.isfinite(lost), lost, np.inf)))
    if not lost[worst] <= 1e-8 * scale:
        raise InvalidInput(
            f"the gradient flow does not reach zero loss from this start: it stops at a loss of {lost[worst]:.3g}, "
            f"with a gradient of {np.linalg.norm(model.gradient(found[worst])):.3g}; start elsewhere, or give the "
            "model more weights"
        )
    return retract(model, found).reshape(w.shape)


def retract(
    model: Model, w: np.ndarray, base: np.ndarray | None = None, tolerance: float = 1e-13, most: int = 50
) -> np.ndarray:
    """Carry points near the set onto it by Gauss-Newton steps; to first order in the distance this is `limit_map`.

    Parameters
    ----------
    model : Model
    w : (..., m) array
    base : (..., m) array, optional
        Points of the set whose normal spaces the steps keep to; without it, each step is normal where it starts.
    tolerance : float
        Length of the last step, relative to 1 + |w|.
    most : int
        Steps.

    Raises
    ------
    InvalidInput
        If the steps do not settle on a point of zero loss.
    """
    w, most = np.array(_weights(model, w)), whole_number("most", most, 1)
    tolerance = positive("tolerance", tolerance)
    if not w.size:
        return w
    fixed = None if base is None else frame(model, base).normals
    last = np.inf
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(most):
            move = _newton(model, w, fixed)
            size = float((np.linalg.norm(move, axis=-1) / (1 + np.linalg.norm(w, axis=-1))).max())
            if not np.isfinite(size):
                break
            w = w - move
            # Rounding may keep the last digits moving: there the steps stop shrinking.
            if size <= tolerance or (size < 1e-10 and size > 0.5 * last):
                break
            last = size
        lost = float(np.max(model.loss(w)))
    if not lost <= 1e-20 * _loss_scale(model) + 1e-300:
        raise InvalidInput(
            f"Newton's iteration found no point of zero loss near: the loss is {lost:.3g} after at most {most} steps; "
            "start nearer to the set, or take shorter steps"
        )
    return w


def _loss_scale(model: Model) -> float:
    """What a loss is compared with: that of zero predictions, or 1."""
    if isinstance(model, Regression):
        return max(0.5 * model.weight * float((model.labels**2).sum()), 1.0)
    return 1.0


def _newton(model: Model, w: np.ndarray, fixed: np.ndarray | None) -> np.ndarray:
    """Gauss-Newton step (..., m), to be subtracted."""
    if isinstance(model, Regression):
        predictions, jacobian = model.predict_with_jacobian(w)
        miss = (predictions - model.labels)[..., None]
        if fixed is None:
            return (np.linalg.pinv(jacobian, rcond=FLAT_REGRESSION**0.5) @ miss)[..., 0]
        return (fixed @ (np.linalg.pinv(jacobian @ fixed, rcond=FLAT_REGRESSION**0.5) @ miss))[..., 0]
    hessian, gradient = model.hessian(w), model.gradient(w)[..., None]
    if fixed is None:
        return (np.linalg.pinv(hessian, rcond=FLAT_LOSS, hermitian=True) @ gradient)[..., 0]
    turned = fixed.swapaxes(-1, -2)
    return (fixed @ np.linalg.solve(turned @ hessian @ fixed, turned @ gradient))[..., 0]


def frame(model: Model, w: np.ndarray, rank: int | None = None) -> Frame:
    """Normal directions and curvatures at points w (..., m) of the set.

    Parameters
    ----------
    model : Model
    w : (..., m) array
    rank : int, optional
        Rank that the Hessian must have.

    Raises
    ------
    InvalidInput
        If the rank differs between points or from `rank`, or no tangent direction is left (an isolated minimum).
    """
    w = _weights(model, w)
    if not w.size:
        raise InvalidInput(f"w holds no point: its shape is {w.shape}")
    if isinstance(model, Regression):
        jacobian = model.predict_with_jacobian(w)[1]
        _, singular, turned = np.linalg.svd(jacobian, full_matrices=False)
        values, vectors = model.weight * singular**2, turned.swapaxes(-1, -2)
        flat = FLAT_REGRESSION
    else:
        values, vectors = np.linalg.eigh(model.hessian(w))
        values, vectors = values[..., ::-1], vectors[..., ::-1]
        flat = FLAT_LOSS
    ranks = (values > flat * np.maximum(values[..., :1], 1e-100)).sum(-1)
    found = int(ranks.max())
    if found != ranks.min():
        raise InvalidInput(
            f"the rank of the Hessian jumps on the set: it is {found} at some of these points and {ranks.min()} at "
            "others, so the limit is not defined; stay away from the points of lower rank"
        )
    if rank is not None and found != rank:
        raise InvalidInput(
            f"the rank of the Hessian jumps on the set: it is {found} here and was {rank}, so the limit is not defined "
            "beyond this point"
        )
    if found == 0:
        raise InvalidInput("the Hessian vanishes at this point of the set, so there is no direction of relaxation")
    if found == model.dimension:
        raise InvalidInput(
            f"this is an isolated minimum: the Hessian has full rank {found}, so the zero-loss set has dimension 0 and "
            "nothing can drift along it; give the model more weights than constraints"
        )
    return Frame(vectors[..., :found], values[..., :found])


def set_dimension(model: Model, w: np.ndarray) -> int:
    """Dimension of the set at a point w (m,) of it, held against that at its neighbours.

    Raises
    ------
    InvalidInput
        If w is not on the set, the minimum is isolated, or the rank of the Hessian jumps near w.
    """
    w = finite_array("w", _weights(model, w), shape=(model.dimension,))
    lost = float(model.loss(w))
    if lost > 1e-14 * _loss_scale(model):
        raise InvalidInput(f"w is not on the zero-loss set: its loss is {lost:.3g}; take limit_map(model, w)")
    here = frame(model, w)
    basis = np.linalg.svd(here.normals)[0][:, here.rank :]
    away = NEIGHBOUR * (1 + np.linalg.norm(w)) * np.concatenate([basis.T, -basis.T])
    for move in away:
        frame(model, retract(model, w + move), rank=here.rank)
    return model.dimension - here.rank


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
    InvalidInput
        If step_size times the largest eigenvalue of H is at least 2.
    """
    here, covariance = _frame(model, w, frame), _covariance(model, covariance)
    step_size = non_negative("step_size", step_size)
    values, normals = here.eigenvalues, here.normals
    if step_size * float(values.max()) >= 2:
        raise InvalidInput(
            f"step_size is {step_size:.6g}, but the normal part is stable below {2 / float(values.max()):.6g} only "
            "(2 over the largest eigenvalue of the Hessian); lower the step size"
        )
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
    w = _weights(model, w)
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
    w = _weights(model, w)
    return np.trace(model.hessian(w), axis1=-2, axis2=-1)


def trace_gradient(model: Model, w: np.ndarray, frame: Frame | None = None) -> np.ndarray:
    """Gradient along the set of the trace of the Hessian, (..., m)."""
    w = _weights(model, w)
    identity = np.broadcast_to(np.eye(model.dimension), (*np.shape(w), model.dimension))
    return _times(_frame(model, w, frame).projector, model.third_contraction(w, identity))


def log_determinant(model: Model, w: np.ndarray) -> np.ndarray:
    """Logarithm of the product of the Hessian's non-zero eigenvalues, (...), at points of the set."""
    return np.log(frame(model, w).eigenvalues).sum(-1)


def log_determinant_gradient(model: Model, w: np.ndarray, frame: Frame | None = None) -> np.ndarray:
    """Gradient along the set of the log-pseudo-determinant of the Hessian, (..., m)."""
    w = _weights(model, w)
    here = _frame(model, w, frame)
    return _times(here.projector, model.third_contraction(w, here.pseudo_inverse))


def distance(model: Model, w: np.ndarray) -> np.ndarray:
    """Distance (...) from w to where the gradient flow takes it."""
    return np.linalg.norm(_weights(model, w) - limit_map(model, w), axis=-1)


def _weights(model: Model, w: np.ndarray) -> np.ndarray:
    """Points (..., m) of the model's space, at most 1e50 from its origin, or raise."""
    instance_of("model", model, Model, "take one of sgdlimits.problems.zero_loss, UserLoss for a loss of your own")
    array = finite_array("w", w)
    if array.shape[-1:] != (model.dimension,):
        raise InvalidInput(f"w must have the model's {model.dimension} weights in its last axis, got {array.shape}")
    largest = float(np.abs(array).max(initial=0.0))
    if largest > LARGEST_WEIGHT:
        raise InvalidInput(f"w must hold weights of at most {LARGEST_WEIGHT:g}, got {largest:.3g}")
    return array


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

"""Normal directions and curvatures at points of a set of zero loss, and whether a point is on it.

Nothing here depends on the unit of the loss or of the weights: losses are compared with curvature times length^2, and
curvatures with those nearby.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, instance_of

from .leading_modes import hessian_size, leading_modes
from .row_space import row_space
from .zero_loss.model import Model, Regression

FLAT_REGRESSION = 1e-12  # eigenvalue over the largest one, from singular values of the Jacobian
FLAT_LOSS = 1e-7  # the same from a Hessian, which may come from differences
LARGEST_WEIGHT = 1e50  # its sixth power, which losses of networks reach, is still a number
NO_LENGTH = 1e-9  # weights below it have no length of their own: 1 stands for it
NEAR = 1e-6  # distance from the set, relative to the length of w, up to which a point counts as on it
VANISHES = 1e-7  # curvature over that at a distance of APART: below it the Hessian vanishes on the set
APART = 0.1
JITTER = 1e-14  # relative: what the loss varies by over such moves is its rounding
JITTERS = 16
AROUND = 1e-2  # distance, relative to |w|, at which a zero with a vanishing Hessian is told from an inner point
INSIDE = 0.25  # part of the directions in which the loss stays zero that far, from which on a point is inside
ROUNDING = 100  # times that variation a loss may differ from 0


class NoZeroSet(InvalidInput):
    """The loss itself, wherever one starts, has no zero-loss set as the limits need it."""


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

    def tangent_part(self, vectors: np.ndarray) -> np.ndarray:
        """P v for `vectors` (..., m)."""
        return vectors - self.from_normals(self.in_normals(vectors))

    def in_normals(self, vectors: np.ndarray) -> np.ndarray:
        """Coordinates (..., r) of `vectors` (..., m) in the normals."""
        return (vectors[..., None, :] @ self.normals)[..., 0, :]

    def from_normals(self, coordinates: np.ndarray) -> np.ndarray:
        """The vectors (..., m) of coordinates (..., r) in the normals."""
        return (self.normals @ coordinates[..., None])[..., 0]

    def relaxed(self, vectors: np.ndarray) -> np.ndarray:
        """H+ v for `vectors` (..., m)."""
        return self.from_normals(self.in_normals(vectors) / self.eigenvalues)

    @property
    def hessian_diagonal(self) -> np.ndarray:
        """Diagonal (..., m) of H."""
        return (self.normals**2 @ self.eigenvalues[..., None])[..., 0]

    @property
    def projector(self) -> np.ndarray:
        """P, (..., m, m)."""
        return np.eye(self.normals.shape[-2]) - self.normals @ self.normals.swapaxes(-1, -2)

    @property
    def pseudo_inverse(self) -> np.ndarray:
        """H+, (..., m, m)."""
        return (self.normals / self.eigenvalues[..., None, :]) @ self.normals.swapaxes(-1, -2)


def frame(model: Model, w: np.ndarray, rank: int | None = None) -> Frame:
    """Normal directions and curvatures at points w (..., m) of the set.

    Parameters
    ----------
    model : Model
    w : (..., m) array
        Without `rank`, held to be on the set: within 1e-6 of it, relative to |w|, and at zero loss.
    rank : int, optional
        Rank that the Hessian must have, at points that are known to be on the set.

    Raises
    ------
    InvalidInput
        If w is not on the set, the Hessian vanishes there, its rank differs between points or from `rank`, or no
        tangent direction is left (an isolated minimum).
    """
    w = weights(model, w)
    if not w.size:
        raise InvalidInput(f"w holds no point: its shape is {w.shape}")
    values, vectors, flat = spectrum(model, w)
    kept = values > flat * values[..., :1]
    if rank is None:
        _check_on_set(model, w, values, vectors, kept)
    ranks = kept.sum(-1)
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
        raise _vanishing(model, w.reshape(-1, model.dimension)[0])
    if found == model.dimension:
        raise InvalidInput(
            f"this is an isolated minimum: the Hessian has full rank {found}, so the zero-loss set has dimension 0 and "
            "nothing can drift along it; give the model more weights than constraints"
        )
    return Frame(vectors[..., :found], values[..., :found])


def spectrum(model: Model, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Eigenvalues (..., k) of the Hessian, largest first, their vectors (..., m, k), and which fraction is zero.

    Of a regression, those of J'J times its weight, which on the set are the Hessian's.
    """
    if isinstance(model, Regression):
        singular, rows = row_space(model.predict_with_jacobian(w)[1])
        return model.weight * singular**2, rows.swapaxes(-1, -2), FLAT_REGRESSION
    return *leading_modes(model, w, FLAT_LOSS), FLAT_LOSS


def length(w: np.ndarray) -> np.ndarray:
    """Length (...) that distances at w (..., m) are compared with: |w|, or 1 at the origin."""
    size = np.linalg.norm(w, axis=-1)
    return np.where(size > NO_LENGTH, size, 1.0)


def curvature(model: Model, w: np.ndarray) -> np.ndarray:
    """Size (...) of the Hessian: trace of a regression's J'J times its weight, else the Frobenius norm."""
    if isinstance(model, Regression):
        return model.weight * (model.predict_with_jacobian(w)[1] ** 2).sum((-1, -2))
    return hessian_size(model, w)


def rounding(model: Model, w: np.ndarray) -> np.ndarray:
    """Loss (...) that rounding may leave at points w (..., m) of zero loss: 100 times what moves of 1e-14 |w| do."""
    moves = np.random.Generator(np.random.Philox(31)).standard_normal((JITTERS, model.dimension))
    moves /= np.linalg.norm(moves, axis=-1, keepdims=True)
    lost = model.loss(w[..., None, :] + JITTER * length(w)[..., None, None] * moves)
    return ROUNDING * (lost.max(-1) - lost.min(-1))


def nonzero_loss(model: Model, w: np.ndarray, lost: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Whether the losses (...) at w (..., m) differ from 0 by more than allowed (...) and their rounding."""
    wrong = ~(np.abs(lost) <= allowed)
    if wrong.any():
        wrong = np.array(wrong)
        wrong[wrong] = ~(np.abs(lost[wrong]) <= allowed[wrong] + rounding(model, w[wrong]))
    return wrong


def place(point: np.ndarray) -> str:
    """A point in a sentence: its first coordinates."""
    shown = ", ".join(f"{value:.6g}" for value in np.ravel(point)[:6])
    return f"w = ({shown}{', ...' if np.size(point) > 6 else ''})"


def negative_loss(lost: float, w: np.ndarray) -> NoZeroSet:
    """The error of a loss below zero."""
    return NoZeroSet(
        f"the loss is negative, {lost:.3g} at {place(w)}: a set of zero loss needs L >= 0 everywhere; subtract the "
        "minimum from the loss"
    )


def _vanishing(model: Model, w: np.ndarray) -> NoZeroSet:
    """The error of a point w (m,) of zero loss and zero Hessian: whether the loss is zero around it or grows."""
    moves = np.random.Generator(np.random.Philox(34)).standard_normal((JITTERS, model.dimension))
    moves *= AROUND * length(w) / np.linalg.norm(moves, axis=-1, keepdims=True)
    lost = model.loss(w + np.concatenate([moves, -moves]))
    zero = float((np.abs(lost) <= rounding(model, w)).mean())
    if zero >= INSIDE:
        where = "inside: the loss is zero around it" if zero == 1 else "at its edge: the loss is zero on one side"
        return NoZeroSet(
            f"the zero-loss set has an interior, as that of a squared hinge has, and {place(w)} lies {where}, so that "
            "nothing pulls w back and there is no limit along a set; take a loss that vanishes on a smooth set without "
            "interior"
        )
    return NoZeroSet(
        f"the Hessian vanishes at {place(w)} of the zero-loss set, although the loss is not zero around it: it grows "
        "slower than a square, so that there is no direction of relaxation; take a loss whose Hessian has constant "
        "rank on its zeros"
    )


def _check_on_set(
    model: Model, w: np.ndarray, values: np.ndarray, vectors: np.ndarray, kept: np.ndarray
) -> None:
    """Hold that points w (..., m) with these eigenvalues are on the set, and that the largest one is no rounding."""
    size, largest = length(w), values[..., 0]
    with np.errstate(all="ignore"):
        beside = curvature(model, w + APART * size[..., None] * _direction(model.dimension))
        lost, gradient = np.asarray(model.loss(w)), model.gradient(w)
        along = np.where(kept, (gradient[..., None, :] @ vectors)[..., 0, :] / values, 0.0)
    distance = np.linalg.norm(along, axis=-1)
    scale = np.maximum(largest, VANISHES * np.where(np.isfinite(beside), beside, 0.0)) * size**2
    wrong = nonzero_loss(model, w, lost, NEAR**2 * scale)
    if (wrong & (lost < 0)).any():
        raise negative_loss(float(lost.min()), w[np.unravel_index(lost.argmin(), lost.shape)])
    wrong |= distance > NEAR * size
    if wrong.any():
        raise InvalidInput(
            f"w is not on the zero-loss set: its loss is {float(np.max(lost[wrong])):.3g}, and the set about "
            f"{float(np.max(distance[wrong])):.3g} away; take limit_map(model, w)"
        )
    flat = largest < VANISHES * beside
    if flat.any():
        raise _vanishing(model, w[flat][0])


def _direction(dimension: int) -> np.ndarray:
    """A generic direction (m,) of unit length, always the same."""
    found = np.random.Generator(np.random.Philox(30)).standard_normal(dimension)
    return found / np.linalg.norm(found)


def weights(model: Model, w: np.ndarray) -> np.ndarray:
    """Points (..., m) of the model's space, at most 1e50 from its origin, or raise."""
    instance_of("model", model, Model, "take one of sgdlimits.problems.zero_loss, UserLoss for a loss of your own")
    array = finite_array("w", w)
    if array.shape[-1:] != (model.dimension,):
        raise InvalidInput(f"w must have the model's {model.dimension} weights in its last axis, got {array.shape}")
    largest = float(np.abs(array).max(initial=0.0))
    if largest > LARGEST_WEIGHT:
        raise InvalidInput(f"w must hold weights of at most {LARGEST_WEIGHT:g}, got {largest:.3g}")
    return array

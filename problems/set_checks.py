"""Whether zeros of a loss form a set as the limits need it: no interior on either side, and smooth near by."""

from __future__ import annotations

import warnings

import numpy as np

from .frames import NoZeroSet, curvature, length, spectrum
from .zero_loss.model import Model, Regression

SIDES = (1e-3, 1e-4)  # distances across the set, relative to |w|, at which the loss must have grown
GROWTH = 1e-3  # of half the eigenvalue times the distance squared: a smooth loss has nearly all of it at one of them
REACH = 0.5  # half the length, relative to |w|, of the lines along the set that are searched for kinks
LINES, PARTS, ZOOMS, ZOOM = 3, 64, 5, 8
NOISE = 1e-11  # second difference, relative to the largest value, that may be rounding


class NotSmooth(UserWarning):
    """The gradient has a kink or a jump near a point of the set; the limit holds within a smooth piece."""


def check_growth(model: Model, w: np.ndarray, values: np.ndarray, vectors: np.ndarray, flat: float) -> None:
    """Hold that from points w (..., m) of the set the loss grows on both sides along every normal.

    Parameters
    ----------
    values, vectors, flat
        See `frames.spectrum`.

    Raises
    ------
    NoZeroSet
        If it stays zero on one side: the zeros have an interior, and w is on its boundary.
    """
    size, kept = length(w), values > flat * values[..., :1]
    for j in range(int(kept.sum(-1).max(initial=0))):
        for sign in (1.0, -1.0):
            still = kept[..., j]
            for part in SIDES:
                if not still.any():
                    break
                move = part * size
                lost = model.loss(w + sign * move[..., None] * vectors[..., :, j])
                still = still & (lost <= GROWTH * 0.5 * values[..., j] * move**2)
            if still.any():
                raise NoZeroSet(
                    "the zero-loss set has an interior, as that of a squared hinge has: across its boundary, where the "
                    "gradient flow ends, the loss grows on one side only and the rank of the Hessian jumps, so there "
                    "is no limit along a set; take a loss that vanishes on a smooth set without interior"
                )


def kink(model: Model, w: np.ndarray) -> float | None:
    """Distance from a point w (m,) to a kink of the gradient on a few tangent lines; None where none is met.

    On each line the place of the largest second difference is followed down: on a smooth function it falls by the
    square of the spacing, at a kink of the gradient in proportion to it, at a jump not at all.
    """
    draw = np.random.Generator(np.random.Philox(32))
    moves = draw.standard_normal((LINES, model.dimension))
    tangent = moves - _normal_part(model, w, moves)
    size = float(length(w))
    # A gradient may vanish all along the set; what it has there is then rounding of curvature times |w|.
    floor = 0.0 if isinstance(model, Regression) else size * float(curvature(model, w))
    found = [_kink_on_line(model, w, size * move / np.linalg.norm(move), floor) for move in tangent]
    met = [part for part in found if part is not None]
    return min(met) * size if met else None


def warn_of_kinks(model: Model, w: np.ndarray, stacklevel: int = 1) -> None:
    """Warn if the gradient has a kink near a point w (m,) of the set.

    Warns
    -----
    NotSmooth
        With the distance to it.
    """
    far = kink(model, w)
    if far is not None:
        warnings.warn(
            f"{model.label} is not smooth: its gradient has a kink or jump about {far:.3g} along the set from a point "
            "of it, as of a ReLU network where a unit switches; the limit is right within the smooth piece around its "
            "start and says nothing beyond",
            NotSmooth,
            stacklevel=stacklevel + 1,
        )


def _normal_part(model: Model, w: np.ndarray, moves: np.ndarray) -> np.ndarray:
    values, vectors, flat = spectrum(model, w)
    normals = vectors[:, values > flat * values[:1]]
    return moves @ normals @ normals.T


def _slopes(model: Model, w: np.ndarray) -> np.ndarray:
    """What must be smooth, (K, m): the gradient, of a regression that of a generic sum of its predictions."""
    if not isinstance(model, Regression):
        return model.gradient(w)
    slopes = np.random.Generator(np.random.Philox(35)).standard_normal(model.samples)
    return model.pullback(w, lambda predictions: np.broadcast_to(slopes, predictions.shape))


def _kink_on_line(model: Model, w: np.ndarray, direction: np.ndarray, floor: float) -> float | None:
    """Place of a kink on w + s direction, |s| <= REACH, as |s|; `floor` is a size of the slopes that they may lack."""
    left, right = -REACH, REACH
    bends: list[float] = []
    for _ in range(ZOOMS):
        parts = np.linspace(left, right, PARTS + 1)
        with np.errstate(all="ignore"):
            values = _slopes(model, w + parts[:, None] * direction).reshape(PARTS + 1, -1)
        if not np.isfinite(values).all():
            return None
        bend = np.abs(values[2:] - 2 * values[1:-1] + values[:-2])
        if bend.max() <= NOISE * max(float(np.abs(values).max()), floor):
            return None
        if not bends:
            worst = np.unravel_index(bend.argmax(), bend.shape)[1]  # one entry is followed
        bend = bend[:, worst]
        bends.append(float(bend.max()))
        middle, half = parts[1 + int(bend.argmax())], (right - left) / (2 * ZOOM)
        left, right = middle - half, middle + half
    # Two zooms divide the second difference of a smooth function by ZOOM^4, of a kink by ZOOM^2, of a jump by 1.
    return abs(middle) if bends[-1] * ZOOM**3 > bends[-3] else None

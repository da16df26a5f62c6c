"""How a path is found to leave the zero-loss set, and how that is said: with the time and the place."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.ensembles import limits
from sgdlimits.exact.errors import InvalidInput, Unstable
from sgdlimits.problems import geometry
from sgdlimits.problems.frames import place
from sgdlimits.problems.zero_loss.products import third_products

VANISHING = 1e-6  # an eigenvalue this much smaller than nearby is one that vanishes there
SAMPLES, HALVINGS = 8, 30  # of the search for a zero within a step


class LeftTheSet(UserWarning):
    """Some simulated paths left the zero-loss set, met a rank change of the Hessian, or exploded."""


def frame_of_rank(model: Any, w: np.ndarray, rank: int) -> Any:
    """`geometry.frame` at points w (..., m) of the set, which must have this Hessian rank.

    Raises
    ------
    InvalidInput
        If a point is not finite, or the rank is another.
    """
    if limits.beyond(w.reshape(-1, w.shape[-1])).any():
        raise InvalidInput("it explodes")
    return geometry.frame(model, w, rank=rank)


def back_to_set(model: Any, w: np.ndarray, base: np.ndarray | None = None) -> np.ndarray:
    """`geometry.retract` of finite points w (..., m).

    Raises
    ------
    InvalidInput
        If a point is not finite, or Newton's iteration finds no zero of the loss near it.
    """
    if limits.beyond(w.reshape(-1, w.shape[-1])).any():
        raise InvalidInput("it explodes")
    return geometry.retract(model, w, base=base)


def stopped(time: float, point: np.ndarray, reason: object) -> InvalidInput | Unstable:
    """The error of a path that cannot go on past `time`, where it was at `point`; an Unstable keeps its threshold."""
    sentence = f"the limit cannot be followed past time {time:.6g}, {place(point)}: {reason}"
    return Unstable(sentence, reason.threshold) if isinstance(reason, Unstable) else InvalidInput(sentence)


def check_rank_between(model: Any, w: np.ndarray, moved: np.ndarray, frame: Any) -> None:
    """Hold that no step from w (..., m), of `frame`, to `moved` jumps over a loss of rank.

    The root of the smallest positive eigenvalue, extended linearly along the step, must not reach zero; where
    it does, the curve over the step is searched for a zero (derived).

    Raises
    ------
    InvalidInput
        If one is found.
    """
    if frame.rank == 0:
        return
    smallest = frame.eigenvalues.argmin(-1)
    normal = np.take_along_axis(frame.normals, smallest[..., None, None], axis=-1)
    turned = third_products(model, w, normal.swapaxes(-1, -2), np.ones((*np.shape(w)[:-1], 1)))
    slope = (turned * (moved - w)).sum(-1)
    eigenvalue = np.take_along_axis(frame.eigenvalues, smallest[..., None], axis=-1)[..., 0]
    for where in np.argwhere(2 * eigenvalue + slope <= 0):
        _search_zero(model, w[tuple(where)], moved[tuple(where)], frame.rank, eigenvalue[tuple(where)])


def _search_zero(model: Any, before: np.ndarray, after: np.ndarray, rank: int, scale: float) -> None:
    """Raise InvalidInput if the smallest eigenvalue vanishes, against `scale`, between two points."""

    def smallest(part: float) -> float:
        point = back_to_set(model, before + part * (after - before))
        return float(frame_of_rank(model, point, rank).eigenvalues.min())

    coarse = np.linspace(0, 1, SAMPLES + 1)
    lowest = coarse[np.argmin([smallest(part) for part in coarse])]
    left, right = max(lowest - 1 / SAMPLES, 0), min(lowest + 1 / SAMPLES, 1)
    for _ in range(HALVINGS):
        third = (right - left) / 3
        if smallest(left + third) < smallest(right - third):
            right -= third
        else:
            left += third
    if smallest((left + right) / 2) <= VANISHING * scale:
        point = before + (left + right) / 2 * (after - before)
        raise InvalidInput(f"the Hessian loses rank at {place(point)}")

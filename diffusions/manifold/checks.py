"""Whether what a limit leaves out is small, and whether a regime that numbers decided holds along a path."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry
from sgdlimits.problems.frames import length, place
from sgdlimits.problems.noise import DropConnect, Dropout

from .fields import Fields
from .leaving import check_rank_between, frame_of_rank
from .next_order import next_order_drift
from .terms import DEGENERATE, NON_DEGENERATE, ROUNDING, TRIVIAL, Term, slow_mechanisms

NEGLIGIBLE = 0.01  # a neglected drift below this fraction of the drift is not warned of
MOST_WEIGHTS = 100  # of models in which a neglected drift is computed, by differences in every weight
LARGE = 0.25  # a multiplier's sigma^2 from which on the leading order in it is warned of
VARIES = 1e-5  # relative part of a regulariser's gradient along the set that is not rounding


class NeglectedDrift(UserWarning):
    """The limit needs sigma^2 = o(step_size), and here sigma^2 is not that small."""


def check_finite_step(terms: tuple[Term, ...]) -> None:
    """Hold that a finite step is known for these terms.

    Raises
    ------
    InvalidInput
        If one has noise along the set.
    """
    for term in terms:
        if term.tangential:
            raise InvalidInput(
                f"finite_step holds for noise without a part along the zero-loss set, but {term.label} has one: pass "
                "finite_step=False"
            )


class LargeNoise(UserWarning):
    """The limit is the leading order in sigma^2, and here sigma^2 is not small."""


def warn_of_large_noise(fields: Fields, stacklevel: int) -> None:
    """Warn if non-degenerate masks are so strong that their limit, of leading order in sigma^2, is far off.

    A multiplier's sigma^2 is itself the relative size of the next order (derived). Noise in a unit of its own, of
    weights, inputs or a user's loss, is not judged: the shift of the minimum, sigma^2 H+ grad Reg, saturates.
    """
    for mechanism, _ in fields.moving(NON_DEGENERATE):
        square = float(mechanism.sigma) ** 2
        if isinstance(mechanism, DropConnect | Dropout) and square > LARGE:
            warnings.warn(
                f"the limit of {type(mechanism).__name__} is the leading order in sigma^2, but sigma^2 is "
                f"{square:.3g}: what is left out is of about that relative size; lower sigma",
                LargeNoise,
                stacklevel=stacklevel + 1,
            )


def warn_of_neglected_drift(fields: Fields, point: np.ndarray, stacklevel: int) -> None:
    """Warn if a drift of relative size sigma^2 / step_size at `point` (m,) is left out; it is looked at where
    sigma^2 makes that possible, and in models of few weights."""
    model = fields.model
    slow = slow_mechanisms(tuple(term for term in fields.terms if term.regime == DEGENERATE))
    ratio = sum(float(part.sigma) ** 2 for part in slow) / fields.step_size
    size = f"sigma^2 is {ratio:.3g} times step_size"
    if ratio > NEGLIGIBLE and model.dimension <= MOST_WEIGHTS:
        frame = geometry.frame(model, point)
        time = fields.step_size / fields.rate
        extra = time * float(np.linalg.norm(next_order_drift(model, slow, point, frame)))
        drift = float(np.linalg.norm(fields.tangent_drift(point, frame)))
        tiny = ROUNDING * ratio * float(length(point))
        ratio = extra / max(drift, tiny) if extra > tiny else 0.0
        size += f" and the neglected drift at the start {ratio:.3g} times the drift"
    if ratio > NEGLIGIBLE:
        names = " and ".join(type(part).__name__ for part in slow)
        warnings.warn(
            f"the limit of {names} needs sigma^2 = o(step_size), but {size}: lower sigma, or pass correction=True",
            NeglectedDrift,
            stacklevel=stacklevel + 1,
        )


def check_move(fields: Fields, w: np.ndarray, moved: np.ndarray, frame: Any) -> Any:
    """Hold that the limit still holds after a step from w (P, m), of `frame`, to `moved` (P, m) on the set.

    Returns the frame at `moved`.

    Raises
    ------
    InvalidInput
        If the Hessian loses rank on the way, or a regulariser that numbers found constant on the set varies
        at `moved`.
    """
    model = fields.model
    check_rank_between(model, w, moved, frame)
    there = frame_of_rank(model, moved, frame.rank)
    for term in fields.terms:
        if term.decided_by != "numbers" or term.regime not in (DEGENERATE, TRIVIAL):
            continue
        gradient = term.mechanism.regulariser_slope(model, moved, there)
        along = np.linalg.norm(there.tangent_part(gradient), axis=-1)
        moves = along > VARIES * (1e-3 + np.linalg.norm(gradient, axis=-1))
        if moves.any():
            raise InvalidInput(
                f"{term.label} was found {term.regime}, but its regulariser varies along the set at "
                f"{place(moved[moves][0])}: pass start=, a point near it, to decide the regime there"
            )
    return there

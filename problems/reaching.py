"""Where the gradient flow reaches the set of zero loss, and why it does not where it does not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sgdlimits.exact.errors import InvalidInput, positive, whole_number

from .frames import (
    FLAT_LOSS,
    FLAT_REGRESSION,
    NoZeroSet,
    curvature,
    length,
    negative_loss,
    nonzero_loss,
    place,
    rounding,
    spectrum,
    weights,
)
from .leading_modes import leading_modes
from .limit_flow import follow
from .row_space import row_space
from .set_checks import check_growth, kink
from .zero_loss.model import Model, Regression
from .zero_loss.products import hessian_products

ARRIVED = 1e-8  # loss over curvature |w|^2 up to which the flow's end is polished
ZERO = 1e-26  # the same for a point of the set, beyond the loss's own rounding
SETTLED = 1e-10  # length of a Newton step, relative to |w|, below which only rounding is left
SLOW = 12  # Newton steps beyond which a typical shrinking by less than 0.3 is a rate and no beginning
ROUGH = 1e-7  # the same where the Hessian is ill-conditioned: the steps no longer shrink at all
POLISH = 50  # Newton steps: a set of constant rank needs a few


class Polished(NamedTuple):
    """Points (..., m) after Newton's iteration, the Hessian's size there, and whether and how fast it settled."""

    w: np.ndarray
    curvature: np.ndarray
    settled: bool
    shrink: float


def limit_map(model: Model, w: np.ndarray, tolerance: float = 1e-10) -> np.ndarray:
    """Limit (..., m) of the gradient flow from w (..., m): the point of the zero-loss set that training ends in.

    In closed form where the model knows one, else a stiff flow and a Gauss-Newton polish. Nothing depends on the unit
    of the loss.

    Parameters
    ----------
    model : Model
    w : (..., m) array
    tolerance : float
        Error of a step of the flow, relative to |w|; the limit's own is a few times that.

    Raises
    ------
    InvalidInput
        If the flow does not reach zero loss, with the loss reached and the reason: no zero is attained (w runs away),
        the Hessian vanishes on the zeros, the minimum is positive, the loss is negative, the zeros have an interior.
    """
    w, tolerance = weights(model, w), positive("tolerance", tolerance)
    if not w.size:
        return w.copy()
    closed = model.closed_limit(w)
    if closed is not None:
        return closed
    start = w.reshape(-1, w.shape[-1])
    _refuse_negative(model, start)
    with np.errstate(over="ignore", invalid="ignore"):
        found, rests = follow(model, start, tolerance)
        lost = model.loss(found)
        reached = lost <= ARRIVED * curvature(model, found) * length(found) ** 2
    _refuse_negative(model, found)
    polished = _polish(model, found, None, 1e-13, POLISH)
    with np.errstate(over="ignore", invalid="ignore"):
        wrong = ~reached | _not_zero(model, found, polished)
    if not polished.settled or wrong.any():
        lost = np.where(np.isfinite(lost), lost, np.inf)
        worst = int(np.argmax(np.where(reached & wrong.any(), -np.inf, lost)))
        raise _reason(model, start[worst], found[worst], float(lost[worst]))
    rested = np.flatnonzero(np.isfinite(rests).all(-1))
    if rested.size:
        raise _at_saddle(model, rests[rested[0]])
    check_growth(model, polished.w, *spectrum(model, polished.w))
    return polished.w.reshape(w.shape)


def _refuse_negative(model: Model, w: np.ndarray) -> None:
    lost = np.asarray(model.loss(w))
    below = lost < 0
    if below.any() and (lost[below] < -rounding(model, w[below])).any():
        worst = int(np.nanargmin(lost))
        raise negative_loss(float(lost[worst]), w[worst])


def _at_saddle(model: Model, point: np.ndarray) -> InvalidInput:
    return InvalidInput(
        f"the gradient flow from this start comes to rest at {place(point)}, up to rounding, where the loss is "
        f"{float(model.loss(point)):.3g}: a saddle, which only rounding would leave; start elsewhere"
    )


def _reason(model: Model, start: np.ndarray, end: np.ndarray, lost: float) -> InvalidInput:
    """Why the flow from `start` (m,) that stopped at `end` with this loss has not reached a point of the set."""
    first = float(model.loss(start))
    polished = _polish(model, end, None, 1e-13, POLISH)
    before, after = np.linalg.norm(end), np.linalg.norm(polished.w)
    if not polished.settled and lost < 0.5 * first:
        if not after <= 1.01 * before:
            return NoZeroSet(
                f"no zero of the loss is attained from this start: along the gradient flow it falls from {first:.3g} "
                f"to {lost:.3g} while w runs away, |w| from {np.linalg.norm(start):.3g} to {before:.3g}, and Newton's "
                "steps do not contract; take a loss that attains its minimum, as a square loss does, or cross-entropy "
                "with label smoothing less its minimum"
            )
        return NoZeroSet(
            f"the Hessian vanishes at the zeros that the gradient flow approaches (loss {lost:.3g}; Newton's steps "
            f"shrink by {polished.shrink:.2g} each only), so there is no rate of relaxation; take a loss whose Hessian "
            "has constant rank on its zeros"
        )
    gradient = float(np.linalg.norm(model.gradient(end)))
    if gradient * length(end) <= ROUGH * lost:
        values, _ = leading_modes(model, end, FLAT_LOSS)
        if values[-1] < -ROUGH * np.abs(values).max():
            return _at_saddle(model, end)  # rounding has not even left it
    if lost < 1e-3 * first and model.loss(polished.w) > 0.5 * lost and gradient * length(end) > 1e-3 * lost:
        return NoZeroSet(
            f"no zero-loss set is reached from this start: the loss, {lost:.3g}, still falls, but in a direction "
            "in which the Hessian is nothing beside its largest eigenvalue, towards a zero of higher order or at "
            "infinity; take a loss that grows like a square away from its zeros"
        )
    far = kink(model, end)
    held = "" if far is None else f"; its gradient has a kink about {far:.3g} from there, which may hold the flow"
    return InvalidInput(
        f"the gradient flow does not reach zero loss from this start: it stops at a loss of {lost:.3g}, with a "
        f"gradient of {gradient:.3g}{held}; if that is the minimum of the loss, subtract it, else "
        "start elsewhere, or give the model more weights"
    )


def retract(
    model: Model, w: np.ndarray, base: np.ndarray | None = None, tolerance: float = 1e-13, most: int = POLISH
) -> np.ndarray:
    """Carry points near the set onto it by Gauss-Newton steps; to first order in the distance this is `limit_map`.

    Parameters
    ----------
    model : Model
    w : (..., m) array
    base : (..., m) array, optional
        Points of the set whose normal spaces the steps keep to; without it, each step is normal where it starts.
    tolerance : float
        Length of the last step, relative to |w|.
    most : int
        Steps.

    Raises
    ------
    InvalidInput
        If the steps do not settle on a point of zero loss.
    """
    w, most = weights(model, w), whole_number("most", most, 1)
    tolerance = positive("tolerance", tolerance)
    if not w.size:
        return w.copy()
    fixed = None
    if base is not None:
        values, vectors, flat = spectrum(model, weights(model, base))
        fixed = vectors[..., : int((values > flat * values[..., :1]).sum(-1).max())]
    polished = _polish(model, w, fixed, tolerance, most)
    if not polished.settled or _not_zero(model, w, polished).any():
        with np.errstate(over="ignore", invalid="ignore"):
            lost = float(np.max(model.loss(polished.w)))
        raise InvalidInput(
            f"Newton's iteration found no point of zero loss near: the loss is {lost:.3g} after at most {most} steps; "
            "start nearer to the set, or take shorter steps"
        )
    return polished.w


def _polish(model: Model, w: np.ndarray, fixed: np.ndarray | None, tolerance: float, most: int) -> Polished:
    """Newton's iteration from w (..., m) until no point moves by more than `tolerance`, relative to |w|."""
    w, last, shrink, settled, ratios = np.array(w), np.inf, np.inf, False, []
    least = 1e-6 * np.linalg.norm(w, axis=-1)
    curved = np.zeros(w.shape[:-1])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(most):
            try:
                move, curved = _newton(model, w, fixed)
            except np.linalg.LinAlgError:  # not finite
                break
            moved, here = np.linalg.norm(move, axis=-1), np.maximum(np.linalg.norm(w, axis=-1), least)
            size = float(np.where(moved > 0, moved / here, 0.0).max())
            if not np.isfinite(size):
                break
            w = w - move
            shrink = size / last if last > 0 else 0.0
            ratios.append(shrink)
            # Rounding may keep the last digits moving: there the steps stop shrinking.
            settled = size <= tolerance or (size < SETTLED and shrink > 0.5) or (size < ROUGH and shrink > 0.9)
            if settled:
                break
            last = size
    settled = (settled or size < SETTLED) and not _steady(ratios)
    return Polished(w, curved, settled, shrink)


def _steady(ratios: list[float]) -> bool:
    """Whether steps kept shrinking at one rate, as near a zero of higher order, and not ever faster."""
    return len(ratios) >= SLOW and float(np.median(ratios)) > 0.3


def _not_zero(model: Model, start: np.ndarray, polished: Polished) -> np.ndarray:
    """Whether the loss at polished points (...) is more than rounding."""
    w = polished.w
    size = np.maximum(np.linalg.norm(w, axis=-1), 1e-6 * np.linalg.norm(start, axis=-1))
    return nonzero_loss(model, w, np.asarray(model.loss(w)), ZERO * polished.curvature * size**2)


def _newton(model: Model, w: np.ndarray, fixed: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Newton step (..., m), to be subtracted, and the size (...) of the Hessian."""
    if isinstance(model, Regression):
        predictions, jacobian = model.predict_with_jacobian(w)
        miss = predictions - model.labels
        size = model.weight * (jacobian**2).sum((-1, -2))
        if fixed is not None:
            jacobian = jacobian @ fixed
        singular, rows = row_space(jacobian)
        kept = singular > FLAT_REGRESSION**0.5 * singular[..., :1]
        seen = (rows @ (miss[..., None, :] @ jacobian).swapaxes(-1, -2))[..., 0]
        move = np.where(kept, seen / singular**2, 0.0)[..., None, :] @ np.where(kept[..., None], rows, 0.0)
        return (move if fixed is None else move @ fixed.swapaxes(-1, -2))[..., 0, :], size
    gradient = model.gradient(w)[..., None]
    if fixed is None:
        values, vectors = leading_modes(model, w, FLAT_LOSS)
        kept = np.abs(values) > FLAT_LOSS * np.abs(values).max(-1, keepdims=True)
        along = np.where(kept, (vectors.swapaxes(-1, -2) @ gradient)[..., 0] / values, 0.0)
        return (vectors @ along[..., None])[..., 0], np.linalg.norm(values, axis=-1)
    turned = fixed.swapaxes(-1, -2)
    products = hessian_products(model, w, turned)
    move = (fixed @ np.linalg.solve(products @ fixed, turned @ gradient))[..., 0]
    return move, np.linalg.norm(products, axis=(-1, -2))


def distance(model: Model, w: np.ndarray) -> np.ndarray:
    """Distance (...) from w to where the gradient flow takes it."""
    return np.linalg.norm(weights(model, w) - limit_map(model, w), axis=-1)

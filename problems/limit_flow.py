"""Gradient flow of many points at once, down to zero loss, by steps of their own sizes.

A regression's flow is stiff through J J' alone, N by N: the modes of J'J are solved exactly, so that the steps grow
without bound as the loss goes to zero. Of another loss these are the leading modes of its Hessian.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.ensembles.progress import Patience

from . import exponential_collocation as collocation
from .frames import curvature, length
from .leading_modes import leading_modes
from .row_space import gram_modes
from .zero_loss.model import Regression

ON_THE_SET = 1e-19  # loss, relative to curvature |w|^2, at which a point is handed over to the polish
FLOW_TIME = 1e8  # in units of 1 / (curvature at the start)
MOST_STEPS = 20_000
PATIENCE = 500  # steps in which the loss must fall by a thousandth; flows that arrive need 30 to 500 in all
AT_REST = 1e-10  # gradient^2 over curvature times loss: near a zero it is no less than the Hessian's conditioning
TINY = 1e-300
SHRINK, GROW, SAFETY = 0.2, 5.0, 0.8
MODES = 64  # about as many a Hessian of many weights is asked for
STIFF = 1e-3  # rate over the largest, down to which modes of a Hessian are solved exactly
SETTLED = 0.05  # part of the tolerance that sweeps may leave
ROUNDING = 1e-15  # of the weights, relative
BLOCK = 2**24  # numbers that a step may hold at once


def follow(model: Any, start: np.ndarray, tolerance: float) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, m) that the gradient flow from `start` (P, m) reaches, at a loss near 1e-19 curvature |w|^2 if it can.

    Beside them where it came to rest on the way, up to rounding: points (P, m), nan where it did not.

    Parameters
    ----------
    model : Model
    start : (P, m) array
    tolerance : float
        Error of a step, relative to |w|.
    """
    w = np.array(start)
    bends = curvature(model, w)
    left = FLOW_TIME / np.maximum(bends + np.linalg.norm(model.gradient(w), axis=-1) / length(w), TINY)
    size = 1e-9 * left
    before = np.full(len(w), np.inf)
    rests = np.full(w.shape, np.nan)
    patience = Patience("gradient flow to zero loss")
    for count in range(MOST_STEPS):
        loss = model.loss(w)
        if count % PATIENCE == 0:
            left = np.where(loss > 0.999 * before, 0.0, left)
            before = loss
        going = np.flatnonzero((loss > ON_THE_SET * bends * (w**2).sum(-1)) & (left > 0))
        if not going.size:
            break
        patience.look(
            lambda: f"step {count} of at most {MOST_STEPS}, {going.size} of {len(w)} points on the way, largest loss "
            f"{loss[going].max():.3g}"
        )
        held = model.dimension * (4 * collocation.NODES + (model.samples or MODES))
        for some in np.array_split(going, -(-going.size * held // BLOCK)):
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                place, taken = w[some], size[some]
                moved, ratio, bends[some], force = _step(model, place, taken, tolerance)
                still = np.square(force) < min((10 * tolerance) ** 2, AT_REST) * bends[some] * loss[some]
            rests[some[still]] = place[still]
            done = ratio <= 1
            w[some[done]] = moved[done]
            left[some[done]] -= taken[done]
            factor = SAFETY * np.maximum(ratio, 1e-30) ** (-1 / (collocation.NODES + 1))
            size[some] = taken * np.clip(factor, SHRINK, GROW)
    return w, rests


def _step(
    model: Any, w: np.ndarray, size: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ends (P, m) of steps, their errors over those allowed, the size of the curvature and of the gradient (P,)."""
    if isinstance(model, Regression):
        predictions, jacobian = model.predict_with_jacobian(w)
        force = -model.weight * np.einsum("pi,pij->pj", predictions - model.labels, jacobian)
        values, modes = gram_modes(jacobian)
        rates = model.weight * values
    else:
        rates, columns = leading_modes(model, w, STIFF)
        modes, force = columns.swapaxes(-1, -2), -model.gradient(w)
    here = np.linalg.norm(w, axis=-1)
    settled = max(SETTLED * tolerance, ROUNDING) * here
    done = collocation.step(lambda place: -model.gradient(place), w, force, rates, modes, size, settled)
    ratio = done.error / (tolerance * np.maximum(here, np.linalg.norm(done.moved, axis=-1)))
    slope = np.where(np.isfinite(done.slope), done.slope, 0.0)
    bends = np.abs(rates).max(-1) + slope
    return done.moved, np.where(np.isfinite(ratio), ratio, np.inf), bends, np.linalg.norm(force, axis=-1)

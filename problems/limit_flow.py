"""Gradient flow of many points at once, down to zero loss: an exponential Rosenbrock method with its own step sizes.

The flow's stiff linear part is solved exactly in the Hessian's eigenbasis, so that the steps grow without bound as the
loss goes to zero. Method: exprb43 of Hochbruck, Ostermann and Schweitzer (2009), order 4 with an error estimate.
"""

from __future__ import annotations

from math import factorial
from typing import Any

import numpy as np

from sgdlimits.ensembles.progress import Patience

from .frames import length

ON_THE_SET = 1e-19  # loss, relative to curvature |w|^2, at which a point is handed over to the polish
FLOW_TIME = 1e8  # in units of 1 / (curvature at the start)
MOST_STEPS = 20_000
PATIENCE = 1000  # steps in which the loss must fall by a thousandth; flows that arrive need 300 to 2500 in all
AT_REST = 1e-10  # gradient^2 over curvature times loss: near a zero it is no less than the Hessian's conditioning
TINY = 1e-300
SHRINK, GROW, SAFETY = 0.2, 5.0, 0.85
SERIES = 14  # highest power of phi_4 for |z| < 1, where the upward recursion cancels


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
    curvature = np.linalg.norm(model.hessian(w), axis=(-1, -2))
    left = FLOW_TIME / np.maximum(curvature + np.linalg.norm(model.gradient(w), axis=-1) / length(w), TINY)
    step = 1e-9 * left
    before = np.full(len(w), np.inf)
    rests = np.full(w.shape, np.nan)
    patience = Patience("gradient flow to zero loss")
    for count in range(MOST_STEPS):
        loss = model.loss(w)
        if count % PATIENCE == 0:
            left = np.where(loss > 0.999 * before, 0.0, left)
            before = loss
        going = np.flatnonzero((loss > ON_THE_SET * curvature * (w**2).sum(-1)) & (left > 0))
        if not going.size:
            break
        patience.look(
            lambda: f"step {count} of at most {MOST_STEPS}, {going.size} of {len(w)} points on the way, largest loss "
            f"{loss[going].max():.3g}"
        )
        place, size = w[going], step[going]
        with np.errstate(over="ignore", invalid="ignore"):
            moved, error, curvature[going], force = _step(model, place, size)
            still = np.square(force) < min((10 * tolerance) ** 2, AT_REST) * curvature[going] * loss[going]
            ratio = error / (tolerance * np.maximum(np.linalg.norm(place, axis=-1), np.linalg.norm(moved, axis=-1)))
            ratio = np.where(np.isfinite(ratio), ratio, np.inf)
            done = ratio <= 1
            factor = np.clip(SAFETY * np.maximum(ratio, 1e-30) ** -0.25, SHRINK, GROW)
        rests[going[still]] = place[still]
        w[going[done]] = moved[done]
        left[going[done]] -= size[done]
        step[going] = size * factor
    return w, rests


def _step(model: Any, w: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One step (P, m) of sizes (P,), the norms (P,) of its error estimate, of the curvature and of the gradient."""
    hessian, force = model.hessian(w), -model.gradient(w)
    values, vectors = np.linalg.eigh(hessian)
    turned = vectors.swapaxes(-1, -2)
    h = size[:, None]
    half, (one, _, three, four) = _phi(-0.5 * h * values)[0], _phi(-h * values)

    def times(matrix, vector):
        return (matrix @ vector[..., None])[..., 0]

    def bend(place):
        """Force at `place` beyond its linearisation, in the eigenbasis."""
        return times(turned, -model.gradient(place) - force + times(hessian, place - w))

    pull = times(turned, force)
    middle = bend(w + times(vectors, 0.5 * h * half * pull))
    end = bend(w + times(vectors, h * one * (pull + middle)))
    fine = h * four * (12 * end - 48 * middle)
    move = h * (one * pull + three * (16 * middle - 2 * end)) + fine
    sizes = np.linalg.norm(fine, axis=-1), np.abs(values).max(-1), np.linalg.norm(force, axis=-1)
    return w + times(vectors, move), *sizes


def _phi(z: np.ndarray) -> tuple[np.ndarray, ...]:
    """phi_1 to phi_4, phi_k(z) = (phi_{k-1}(z) - 1/(k-1)!) / z with phi_0 = exp."""
    small = np.abs(z) < 1
    near, far = np.where(small, z, 0.0), np.where(small, 1.0, z)
    series = np.zeros_like(z)
    for j in range(SERIES, -1, -1):
        series = series * near + 1 / factorial(j + 4)
    down = [series]
    for k in (3, 2, 1):
        down.append(down[-1] * near + 1 / factorial(k))
    out, last = [], np.exp(far)
    for k in range(1, 5):
        last = (last - 1 / factorial(k - 1)) / far
        out.append(np.where(small, down[4 - k], last))
    return tuple(out)

"""Orders in the step size that the errors of paths should have, and how the noise level goes with the step size.

All derived. A step moves Phi(w) by -step dPhi(w) g + step^2 d2Phi[g g'] / 2, g the gradient's noise, because
dPhi grad L = 0. On the set dPhi(w) g = P g = 0 where the limit is deterministic; at the distance sqrt(step) sigma at
which paths live it is of that order in general, and over 1 / (step sigma)^2 steps its sum is of order sqrt(step) sigma:
paths converge with order 1/2. Where dPhi(w) g = 0 off the set too (one sample, whose noise is along the gradient; a
diagonal network, each of whose gradients of a prediction keeps u_j v_j and log(u_j / v_j) modulo the rows, hence Phi),
what fluctuates is of order step: order 1. Means err by the step size. In the non-degenerate regime noise of fixed level
leaves an error of sigma^2, so that sigma^2 goes down with the step size; paths then err by step, under Bernoulli masks
by sqrt(step). Before the set is reached, a path leaves the flow by sqrt(step) sigma, its mean by step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.problems import geometry
from sgdlimits.problems.noise import Dropout, LabelNoise, Langevin, Minibatch

KNOWN_MEAN = (Dropout, LabelNoise, Langevin, Minibatch)  # E L_hat = L + sigma^2 Reg holds off the set too
OFF, DRAWS, DIFFERENCE = 0.05, 8, 1e-3  # distance of the probes from the set, noise at each, length of the difference
VANISHES = 1e-4  # of the noise's size: less of it along the set is the error of the difference


@dataclass(frozen=True)
class Orders:
    """Predicted orders of paths and of means (nan: not known), the power of the step size that the noise level
    follows, and why."""

    paths: float
    means: float
    power: float
    reason: str


def slow_orders(recurrence: Any, limit: Any, w0: np.ndarray) -> Orders:
    """Orders along the set, for a deterministic limit."""
    parts = recurrence.noise.components
    if limit.regime == "degenerate":
        if not all(part.reg_is_constant for part in parts):
            reason = "the limit needs sigma^2 = o(step size), so that no order at a fixed noise level is known"
            return Orders(np.nan, np.nan, 0.0, reason)
        if _noise_along_set(recurrence, w0) <= VANISHES:
            reason = "the noise has no part along the set off it either (numbers): paths err like means, by step size"
            return Orders(1.0, 1.0, 0.0, reason)
        reason = (
            "off the set, at a distance of sqrt(step size), the noise has a part along it: paths err by the root of "
            "the step size at a fixed noise level, means by the step size"
        )
        return Orders(0.5, 1.0, 0.0, reason)
    if any(getattr(part, "law", "") == "bernoulli" for part in parts):
        reason = "noise level ~ sqrt(step size); a zeroed weight moves a path by the step size: paths err by its root"
        return Orders(0.5, 1.0, 0.5, reason)
    reason = "an error of noise level^2 would stay, so that the level goes as sqrt(step size): all err by the step size"
    return Orders(1.0, 1.0, 0.5, reason)


def fast_orders(recurrence: Any, w0: np.ndarray) -> Orders:
    """Orders before the set is reached."""
    parts, m = recurrence.noise.components, recurrence.model.dimension
    power = 0.0 if all(isinstance(part, KNOWN_MEAN) for part in parts) else 0.5
    at = (
        "at a fixed noise level"
        if power == 0
        else "at a noise level ~ sqrt(step size), since E L_hat is not known off the set"
    )
    if recurrence.noise.anti_correlated:
        return Orders(
            np.nan, 1.0, power, f"{at} means err by the step size; the carried noise moves the position itself"
        )
    noise = _noise(recurrence, np.tile(w0, (DRAWS, 1)))
    if np.abs(noise - noise[0]).max(initial=0.0) <= 1e-12 * (1 + np.abs(noise).max(initial=0.0)):
        return Orders(1.0, 1.0, 0.0, "there is no noise off the set: the recursion is Euler's scheme")
    bent = np.abs(recurrence.model.hessian(w0)).max() > 0 and m > 0
    return Orders(
        0.5 + power,
        1.0 if bent else np.nan,
        power,
        f"{at} paths err by the root of step size times level, means by the step size",
    )


def _noise(recurrence: Any, w: np.ndarray) -> np.ndarray:
    """Gradient noise (P, m) of one step from w (P, m)."""
    state = recurrence.initial_state(w)
    moved = recurrence.step(0, state, Noise(0, np.arange(len(w))))
    gradient = (w - moved.point) / float(recurrence.step_sizes(0, 1)[0])
    return gradient - recurrence.model.gradient(w)


def _noise_along_set(recurrence: Any, w0: np.ndarray) -> float:
    """Largest |dPhi(w) g| / |g| at points off the set, by central differences."""
    model, point = recurrence.model, geometry.limit_map(recurrence.model, w0)
    generator = np.random.Generator(np.random.Philox(0))
    away = generator.standard_normal((DRAWS, model.dimension))
    away *= OFF * (1 + np.linalg.norm(point)) / np.linalg.norm(away, axis=1, keepdims=True)
    w = point + away
    noise = _noise(recurrence, w)
    size = np.linalg.norm(noise, axis=1, keepdims=True)
    unit = noise / np.where(size > 0, size, 1.0)
    h = DIFFERENCE * (1 + np.linalg.norm(point))
    moved = geometry.limit_map(model, w + h * unit) - geometry.limit_map(model, w - h * unit)
    return float(np.linalg.norm(moved, axis=1).max() / (2 * h))

"""Parts of the error along a set of zero loss: what remains, in the step size, in the noise level; and the spread."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import slow_motion
from .slow_motion import Fit

KINDS = ("normal", "tangential")
VARIABLES = ("step size", "noise level")


def columns_of(sizes: np.ndarray, levels: np.ndarray) -> dict[str, np.ndarray]:
    """Terms (step sizes, noise levels) of the error that these ladders can tell apart."""
    size, level = np.meshgrid(sizes, np.nan_to_num(levels), indexing="ij")
    columns = {"what remains": np.ones(size.shape), "step size": size}
    if len(levels) > 1:
        columns["noise level^2"] = level**2
        columns["step size * noise level^2"] = size * level**2
    if len(levels) > 2:
        columns["noise level^4"] = level**4
    if len(sizes) > 3 or (len(sizes) > 2 and len(levels) > 1):
        columns["step size^2"] = size**2
    while len(columns) > max(1, size.size - 1):
        columns.popitem()
    return columns


def fitted_parts(
    sizes: np.ndarray, levels: np.ndarray, values: dict[str, np.ndarray], change: np.ndarray, tolerance: float,
    z: float, off_set: bool,
) -> dict[str, Any]:  # fmt: skip
    """Parts of the error at the last time, the verdict on what remains, and the order in the step size.

    No order where a part in the noise level, `off_set`, does not vanish with the step size.
    """
    columns = np.stack([column.ravel() for column in columns_of(sizes, levels).values()], axis=1)
    fits: list[Fit] = []
    orders, order_errors, verdicts = [], [], []
    for i, moved in enumerate(change):
        error, spread = values["error"][:, :, -1, i], values["error_error"][:, :, -1, i]
        fits.append(slow_motion.fit(columns, error.ravel(), spread.ravel()))
        scale = tolerance * (abs(moved) or 1.0)
        verdicts.append(slow_motion.judged(fits[-1].coefficients[0], fits[-1].errors[0], 0.0, scale, z))
        clear = np.abs(error[:, 0]) > 3 * spread[:, 0]
        if not off_set and clear.all() and len(sizes) > 1 and len(set(np.sign(error[:, 0]))) == 1:
            line = np.stack([np.log(sizes), np.ones(len(sizes))], axis=1)
            slope = slow_motion.fit(line, np.log(np.abs(error[:, 0])), spread[:, 0] / np.abs(error[:, 0]))
            orders.append(slope.coefficients[0]), order_errors.append(slope.errors[0])
        else:
            orders.append(np.nan), order_errors.append(np.nan)
    return {
        "coefficient": (("part", "observable"), np.stack([f.coefficients for f in fits], axis=1)),
        "coefficient_error": (("part", "observable"), np.stack([f.errors for f in fits], axis=1)),
        "misfit": ("observable", np.array([f.misfit for f in fits])),
        "change": ("observable", change),
        "order": ("observable", np.array(orders)),
        "order_error": ("observable", np.array(order_errors)),
        "verdict": ("observable", np.array(verdicts, dtype=object)),
    }


def spread_exponents(
    sizes: np.ndarray, levels: np.ndarray, values: dict[str, np.ndarray], noise: Any, limit: Any
) -> dict[str, Any]:
    """Exponents (kind, variable) of the spread at the last time, beside what the error model predicts (derived).

    Across the set sqrt(step size) * noise level. Along it at most that, but without the noise level for Bernoulli
    masks, whose fourth moment is of the order of their variance, and of order one where the limit itself is random.
    """
    found, errors = np.full((2, 2), np.nan), np.full((2, 2), np.nan)
    predicted = np.array([[0.5, 1.0], [0.5, 1.0]])
    if any(getattr(part, "law", None) == "bernoulli" for part in noise.components):
        predicted[1, 1] = 0.0
    if not slow_motion.is_deterministic(limit):
        predicted[1] = 0.0
    for kind in range(2):
        for variable, (x, here) in enumerate(((sizes, np.s_[:, 0, -1, kind]), (levels, np.s_[0, :, -1, kind]))):
            spread, error = values["spread"][here], values["spread_error"][here]
            if len(x) > 1 and (spread > 0).all():
                line = np.stack([np.log(x), np.ones(len(x))], axis=1)
                slope = slow_motion.fit(line, np.log(spread), error / spread)
                found[kind, variable], errors[kind, variable] = slope.coefficients[0], slope.errors[0]
    axes = ("kind", "variable")
    return {
        "spread_exponent": (axes, found),
        "spread_exponent_error": (axes, errors),
        "spread_exponent_predicted": (axes, predicted),
    }

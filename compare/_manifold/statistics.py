"""The numbers of compare.manifold, as arrays: both sides, the error and its parts, the spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..fits import exponent
from ..rescaling import is_deterministic
from .error_expansion import expanded
from .rungs import Rung

KINDS = ("normal", "tangential")


@dataclass(frozen=True, eq=False)
class ManifoldStatistics:
    """The arrays of a `Rung`, those over (step size, noise level) first, and what follows from them.

    error = estimate - limit. Over (part, observable): coefficient of the error at the last time. Over observables:
    reduced_chi2 of that fit, change of the limit, order in the step size, verdict on what remains. Over (kind,
    variable): exponents of the spread at the last time.
    """

    steps: np.ndarray
    estimate: np.ndarray
    estimate_error: np.ndarray
    limit: np.ndarray
    limit_error: np.ndarray
    mean_point: np.ndarray
    limit_point: np.ndarray
    spread: np.ndarray
    spread_error: np.ndarray
    error: np.ndarray
    error_error: np.ndarray
    change: np.ndarray
    coefficient: np.ndarray
    coefficient_error: np.ndarray
    reduced_chi2: np.ndarray
    order: np.ndarray
    order_error: np.ndarray
    verdict: np.ndarray
    spread_exponent: np.ndarray
    spread_exponent_error: np.ndarray
    spread_exponent_predicted: np.ndarray


def manifold_statistics(
    rungs: Sequence[Sequence[Rung]], sizes: np.ndarray, levels: np.ndarray, start: np.ndarray, noise: Any, limit: Any,
    tolerance: float, z: float,
) -> ManifoldStatistics:  # fmt: skip
    """Everything that follows from the rungs (step sizes, noise levels); start (observables,) of the limit."""
    found = {f.name: np.array([[getattr(rung, f.name) for rung in row] for row in rungs]) for f in fields(Rung)}
    error, error_error = found["estimate"] - found["limit"], np.hypot(found["estimate_error"], found["limit_error"])
    change = found["limit"][0, 0, -1] - start
    off_set = limit.regime == "non-degenerate"
    return ManifoldStatistics(
        **found, error=error, error_error=error_error, change=change,
        **expanded(sizes, levels, error[:, :, -1], error_error[:, :, -1], change, tolerance, z, off_set),
        **spread_exponents(sizes, levels, found["spread"][:, :, -1], found["spread_error"][:, :, -1], noise, limit),
    )  # fmt: skip


def spread_exponents(
    sizes: np.ndarray, levels: np.ndarray, spread: np.ndarray, error: np.ndarray, noise: Any, limit: Any
) -> dict[str, np.ndarray]:
    """Exponents (kind, variable) of a spread (step sizes, noise levels, kind), beside the error model's (derived).

    Across the set sqrt(step size) * noise level. Along it at most that, but without the noise level for Bernoulli
    masks, whose fourth moment is of the order of their variance, and of order one where the limit itself is random.
    """
    found = np.full((2, 2, 2), np.nan)
    predicted = np.array([[0.5, 1.0], [0.5, 1.0]])
    if any(getattr(part, "law", None) == "bernoulli" for part in noise.components):
        predicted[1, 1] = 0.0
    if not is_deterministic(limit):
        predicted[1] = 0.0
    for kind in range(2):
        ladders = (sizes, spread[:, 0, kind], error[:, 0, kind]), (levels, spread[0, :, kind], error[0, :, kind])
        for variable, (x, values, errors) in enumerate(ladders):
            if len(x) > 1 and (values > 0).all():
                slope = exponent(x, values, errors)
                found[:, kind, variable] = slope.coefficients[0], slope.errors[0]
    return {
        "spread_exponent": found[0],
        "spread_exponent_error": found[1],
        "spread_exponent_predicted": predicted,
    }

"""Shared by comparisons along a set of zero loss: noise levels, matched steps, crossing times, fits with intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array
from sgdlimits.problems import geometry

Quantity = Callable[[np.ndarray], np.ndarray]
ROUNDING = 1e-12  # relative to positions: a smaller displacement stands still


def noise_level(noise: Any) -> float:
    """Largest standard deviation among the mechanisms; nan where none has one (minibatch noise)."""
    levels = [float(part.sigma) for part in noise.components if np.isfinite(part.sigma)]
    return max(levels, default=np.nan)


def at_noise_level(noise: Any, level: float) -> Any:
    """The mechanism with every standard deviation scaled so that the largest becomes `level`."""
    present = noise_level(noise)
    if np.isnan(level) or level == present:
        return noise
    if not present > 0:
        raise InvalidInput(f"the noise has no standard deviation to scale, but noise level {level:g} is asked")
    parts = [
        replace(part, sigma=float(part.sigma) * level / present) if np.isfinite(part.sigma) else part
        for part in noise.components
    ]
    return reduce(add, parts)


def rebuilt(process: Any, step_size: float, level: float) -> Any:
    """The process at another step size and noise level."""
    return replace(process, step_size=float(step_size), noise=at_noise_level(process.noise, level))


def ladder(name: str, values: Sequence[float] | None, default: Sequence[float]) -> np.ndarray:
    """Decreasing positive values of a ladder."""
    chosen = finite_array(name, default if values is None else values, ndim=1)
    if not chosen.size or (chosen <= 0).any() or (np.diff(chosen) >= 0).any():
        raise InvalidInput(f"{name} must be decreasing positive numbers, got {list(map(float, chosen))}")
    return chosen


def is_deterministic(limit: Any) -> bool:
    """Whether the limit is an ODE."""
    return limit.noise_dimension == 0


def limit_points(limit: Any, w0: np.ndarray, times: np.ndarray) -> np.ndarray:
    """W (T, m) of a deterministic limit at increasing times (T,) on its clock; Phi(w0) throughout if it is trivial."""
    if limit.regime == "trivial":
        return np.tile(geometry.limit_map(limit.model, w0), (len(times), 1))
    return limit.solve(w0, times)["w"].values


def displacement(origin: np.ndarray, end: np.ndarray) -> Quantity:
    """Distance along the straight line from `origin` (m,) towards `end` (m,), of points (P, m)."""
    length = float(np.linalg.norm(end - origin))
    if not length > 0:
        raise InvalidInput("the limit does not move, so that it names no direction; pass a quantity")
    direction = (end - origin) / length
    return lambda points: (points - origin) @ direction


def crossing(steps: np.ndarray, values: np.ndarray, errors: np.ndarray, level: float) -> tuple[float, float]:
    """Where values (T,) first pass `level`, and its standard error: (inf, nan) if they do not.

    Linear between two steps on a logarithmic scale; the error is that of the value over the slope nearby.
    """
    beyond = (values - level) * np.sign(level - values[0]) >= 0
    if not beyond.any():
        return np.inf, np.nan
    after = int(np.argmax(beyond))
    if after == 0:
        return float(steps[0]), 0.0
    before = after - 1
    share = (level - values[before]) / (values[after] - values[before])
    if steps[before] > 0:
        found = float(np.exp(np.log(steps[before]) * (1 - share) + np.log(steps[after]) * share))
    else:
        found = float(steps[before] * (1 - share) + steps[after] * share)
    low, high = max(0, before - 4), min(len(steps) - 1, after + 4)
    slope = (values[high] - values[low]) / (steps[high] - steps[low])
    error = (1 - share) * errors[before] + share * errors[after]
    return found, float(error / abs(slope)) if slope else np.nan


@dataclass(frozen=True)
class Fit:
    """Least squares with known errors.

    Attributes
    ----------
    coefficients, errors : (p,) arrays
        Standard errors, enlarged by the root of chi-square over degrees of freedom where that exceeds one.
    misfit : float
        Chi-square over degrees of freedom; nan without any.
    """

    coefficients: np.ndarray
    errors: np.ndarray
    misfit: float


def fit(columns: np.ndarray, values: np.ndarray, errors: np.ndarray) -> Fit:
    """Fit values (n,) by columns (n, p), weighted by standard errors (n,); zeros count as errors of rounding."""
    count, width = columns.shape
    if count < width:
        raise InvalidInput(f"{width} coefficients cannot be fitted to {count} measurements: lengthen the ladder")
    floor = max(1e-9 * float(np.abs(values).max()), np.finfo(float).tiny)
    weights = 1 / np.maximum(errors, floor)
    sizes = np.maximum(np.abs(columns).max(axis=0), np.finfo(float).tiny)
    left, singular, right = np.linalg.svd(columns / sizes * weights[:, None], full_matrices=False)
    if singular[-1] <= 1e-10 * singular[0]:
        raise InvalidInput("the ladder does not tell the terms of the error apart: add step sizes or noise levels")
    inverse = right.T / singular
    coefficients = inverse @ (left.T @ (values * weights)) / sizes
    residual = (values - columns @ coefficients) * weights
    misfit = float(residual @ residual) / (count - width) if count > width else np.nan
    scale = np.sqrt(max(1.0, misfit)) if count > width else 1.0
    return Fit(coefficients, scale * np.sqrt(np.square(inverse).sum(axis=1)) / sizes, misfit)


def exponent(x: np.ndarray, values: np.ndarray, errors: np.ndarray, bias_order: float) -> Fit:
    """Fit log values = c + q log x + b x^bias_order: q is the exponent as x goes to zero, [q, c, b].

    Without a fourth rung b is left out.
    """
    columns = [np.log(x), np.ones_like(x)]
    if len(x) > 3:
        columns.append(x**bias_order)
    return fit(np.stack(columns, axis=1), np.log(values), errors / values)


def judged(value: float, error: float, predicted: float, tolerance: float, z: float) -> str:
    """agrees: the interval lies within `tolerance` of the prediction; differs: outside; undecided: neither."""
    if not np.isfinite([value, error, predicted]).all():
        return "undecided"
    gap, half = abs(value - predicted), z * error
    if gap + half <= tolerance:
        return "agrees"
    return "differs" if gap - half > tolerance else "undecided"

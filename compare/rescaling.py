"""Processes along a set of zero loss at other step sizes and noise levels, and their limits at matched times."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, axes, calling, finite_array, positive, whole_number
from sgdlimits.problems import geometry

Quantity = Callable[[np.ndarray], np.ndarray]
VARIABLES = ("step size", "noise level")  # that ladders run over
MOST_STEPS = 1e13  # of one run: more would take months
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


def ladder(name: str, values: Sequence[float] | None, default: Sequence[float] | np.ndarray) -> np.ndarray:
    """Decreasing positive values of a ladder."""
    if values is not None and axes(values) == 0:
        raise InvalidInput(f"{name} must be a list of decreasing positive numbers, got a {type(values).__name__}")
    chosen = finite_array(name, default if values is None else values, ndim=1)
    if not chosen.size or (chosen <= 0).any() or (np.diff(chosen) >= 0).any():
        raise InvalidInput(f"{name} must be decreasing positive numbers, got {list(map(float, chosen))}")
    return chosen


def end_of_run(time: Any, steps: Any, limit: Any) -> float:
    """End on the limit's clock, from a time on it or from steps of the recurrence as given."""
    if (time is None) == (steps is None):
        given = "neither was" if time is None else "both were"
        raise InvalidInput(
            f"give either time, on the limit's clock, or steps of the recurrence as given; {given} given"
        )
    return positive("time", time) if steps is None else whole_number("steps", steps, 1) / float(limit.clock)


def held_countable(steps: float) -> None:
    """Refuse more steps than any run has."""
    if not steps <= MOST_STEPS:
        raise InvalidInput(f"the smallest step size needs {steps:.3g} steps: lower the time, or raise the step sizes")


def is_deterministic(limit: Any) -> bool:
    """Whether the limit is an ODE."""
    return limit.noise_dimension == 0


def limit_points(limit: Any, w0: np.ndarray, times: np.ndarray) -> np.ndarray:
    """W (T, m) of a deterministic limit at increasing times (T,) on its clock; Phi(w0) throughout if it is trivial."""
    if limit.regime == "trivial":
        return np.tile(geometry.limit_map(limit.model, w0), (len(times), 1))
    return limit.solve(w0, times)["w"].values


def values_of(what: str, function: Quantity, points: np.ndarray) -> np.ndarray:
    """Values (P,) of a user's function, called `what` in a complaint, at points (P, m)."""
    with calling(what):
        values = finite_array(what, function(points))
    if values.shape != points.shape[:1]:
        raise InvalidInput(f"{what} returned shape {values.shape} for {len(points)} points")
    return values


def displacement(origin: np.ndarray, end: np.ndarray) -> Quantity:
    """Distance along the straight line from `origin` (m,) towards `end` (m,), of points (P, m)."""
    length = float(np.linalg.norm(end - origin))
    if not length > 0:
        raise InvalidInput("the limit does not move, so that it names no direction; pass a quantity")
    direction = (end - origin) / length
    return lambda points: (points - origin) @ direction

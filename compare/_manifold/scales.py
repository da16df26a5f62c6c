"""What a verdict's tolerance is relative to: what the limit changes, or what a displacement of a known size would."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..rescaling import ROUNDING, Quantity, values_of

DIRECTIONS = 64  # in which a displacement is tried

MovedBy = Callable[[float], np.ndarray]


def moved_by(functions: Mapping[str, Quantity], origin: np.ndarray) -> MovedBy:
    """Radius -> largest change (observables,) of each function at that distance from `origin` (m,)."""
    directions = np.random.Generator(np.random.Philox(0)).standard_normal((DIRECTIONS, len(origin)))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)

    def changes(radius: float) -> np.ndarray:
        points = np.concatenate([origin[None], origin + radius * directions])
        values = [values_of(f"observable {name!r}", f, points) for name, f in functions.items()]
        return np.array([np.abs(v[1:] - v[0]).max() for v in values])

    return changes


def changes_of(
    limit: np.ndarray, error: np.ndarray, start: np.ndarray, paths: int, reach: float, moved: MovedBy
) -> np.ndarray:
    """Largest change (observables,) of the limit from its start, over its values (rungs, T, observables).

    Where a random limit's mean is not told from its start, the root mean square change of a path; where a deterministic
    one keeps the observable, what a displacement as long as the limit's, `reach`, would change.
    """
    count = len(limit)
    change = np.abs(limit.mean(axis=0) - start)
    noise = np.sqrt(np.square(error).sum(axis=0)) / count
    mean_square = np.sqrt(change**2 + paths * np.square(error).mean(axis=0))
    told = np.where(change > 3 * noise, change, mean_square).max(axis=0)
    rounding = ROUNDING * (1 + np.abs(start))
    return np.where(told > rounding, told, moved(reach) if (told <= rounding).any() else told)

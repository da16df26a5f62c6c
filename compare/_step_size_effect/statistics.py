"""Numbers of compare.step_size_effect: the path of gradient descent, and differences of risks with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

Curve = tuple[np.ndarray, np.ndarray]  # risks and their errors, (S,)


@dataclass(frozen=True, eq=False)
class Effects:
    """Over step, as in `StepSizeEffect`."""

    descent: np.ndarray
    flow: np.ndarray
    modified: np.ndarray
    difference: np.ndarray
    difference_error: np.ndarray
    leading: np.ndarray
    leading_error: np.ndarray
    edge: np.ndarray
    edge_error: np.ndarray
    sgd: np.ndarray
    noise: np.ndarray
    noise_error: np.ndarray

    @classmethod
    def of(
        cls, descent: np.ndarray, flow: Curve, modified: Curve, edge: Sequence[float], edge_error: Sequence[float],
        sgd: np.ndarray | None, sgd_error: np.ndarray | None,
    ) -> Self:  # fmt: skip
        """Differences of the curves; nan for noise where no SGD was given."""
        missing = np.full(descent.shape, np.nan)
        sgd, sgd_error = (missing if each is None else each for each in (sgd, sgd_error))
        with np.errstate(invalid="ignore"):
            return cls(
                descent, flow[0], modified[0], descent - flow[0], flow[1], modified[0] - flow[0], modified[1] + flow[1],
                np.array(edge), np.array(edge_error), sgd, sgd - descent, sgd_error,
            )  # fmt: skip


def descent_path(problem: Any, x0: np.ndarray, step_size: float, kept: np.ndarray) -> np.ndarray:
    """Positions (S, d) of gradient descent at the recorded steps."""
    x, places, at = x0.copy(), [], 0
    with np.errstate(over="ignore", invalid="ignore"):
        for step in kept.tolist():
            for _ in range(at, step):
                x = x - step_size * problem.gradient(x)
            at = step
            places.append(x)
    return np.array(places)


def looks_among(kept: np.ndarray, looks: int) -> np.ndarray:
    """Mask (S,) of so many recorded steps, evenly spread, the first and the last included."""
    mask = np.zeros(kept.size, dtype=bool)
    if looks:
        mask[np.unique(np.linspace(0, kept.size - 1, min(looks, kept.size)).round().astype(int))] = True
    return mask

"""The stochastic proximal point method, or implicit SGD: each step minimises the batch's objective near x."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import OutOfReach

from .curved import Curvature, CurvedRule
from .momentum import Plain
from .rule import Facts, Rule

if TYPE_CHECKING:
    from ..sources.source import Source

MOST, HALVINGS = 60, 30  # Newton steps, halvings of one
CLOSE = 1e-12  # gradient that is left, relative to what it was


@dataclass(frozen=True)
class Proximal(CurvedRule):
    """x <- argmin over y of f(y) + |y - x|^2 / (2 step_size), f the batch's objective with its ridge.

    On a quadratic a step is x - (H + I / step_size)^-1 g, with the batch's Hessian H and gradient g. Of other losses it
    is found by Newton's method; their batches should be convex, or the step size small.
    """

    source: ClassVar[str] = "Toulis, Airoldi: Asymptotic and finite-sample properties of implicit SGD (2017)"
    facts = Facts("light tail", "none", "", "", "none with a ridge of at least 0")
    label = "proximal"

    @property
    def asks(self) -> Curvature:
        return Curvature("hessian", "batch")

    @property
    def inner(self) -> Rule:
        return Plain()

    def damping_at(self, step_size: float) -> float:
        return 1 / step_size

    def cured(self, why: str, step_size: float) -> str:
        fact, _, least = why.rpartition(": state a damping above ")
        return f"{fact}, and the damping is 1 / step_size: lower step_size ({step_size:g}) until that is above {least}"

    def direction(self, source: Source, k: int, x: np.ndarray, noise: Noise, step_size: float) -> np.ndarray:
        """(x - next x) / step_size."""
        if source.quadratic:
            return self.divided(source, k, x, noise, step_size) / step_size
        return (x - proximal_point(source, k, x, noise, step_size)) / step_size


def proximal_point(source: Source, k: int, x: np.ndarray, noise: Noise, step_size: float) -> np.ndarray:
    """Where f's gradient is (x - y) / step_size, (P, d): Newton's method, steps halved until that gap falls.

    Raises
    ------
    OutOfReach
        If it is not found.
    """
    asked, y = Proximal().asks, x.copy()

    def gap(points: np.ndarray) -> np.ndarray:
        return source.gradient(k, points, noise) + (points - x) / step_size

    left = gap(y)
    size = np.sqrt(np.square(left).sum(axis=1))
    enough = CLOSE * np.where(np.isfinite(size), size, np.inf)  # what has overflowed is left alone
    for _ in range(MOST):
        open_ = size > enough
        if not open_.any():
            return y
        step = source.curvature(asked, k, y, noise).solve(left, 1 / step_size)
        length, better = np.ones(len(y)), ~open_
        for _ in range(HALVINGS):
            trial = np.where(better[:, None], y, y - length[:, None] * step)
            found = gap(trial)
            norm = np.sqrt(np.square(found).sum(axis=1))
            improved = ~better & (norm < (1 - 1e-4 * length) * size)
            y, left = np.where(improved[:, None], trial, y), np.where(improved[:, None], found, left)
            size, better = np.where(improved, norm, size), better | improved
            if better.all():
                break
            length = np.where(better, length, length / 2)
        stuck = ~better & (size > 1e-6 * enough / CLOSE)
        if stuck.any():
            break
        enough = np.where(better, enough, np.inf)  # rounding is reached
    if (size > enough).any():
        raise OutOfReach(
            f"the proximal step of {int((size > enough).sum())} path(s) at step {k} was not found by Newton's method: "
            f"lower step_size ({step_size:g}), below which the batch's objective is convex beside |y - x|^2 / "
            "(2 step_size)"
        )
    return y

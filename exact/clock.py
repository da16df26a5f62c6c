"""The map between SGD steps and a process's own time."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

Steps = TypeVar("Steps", float, np.ndarray)


class Clock(float):
    """Steps per unit of a process's time; a float, so ``time = step / clock``.

    Parameters
    ----------
    steps_per_unit : float
        1 for a recurrence or a diffusion in step time, 1/step_size for gradient-flow time, and so on.
    unit : str
        What one step is in the process's time, in words or formula: "1", "step_size", "step_size^2 sigma^2".
    """

    unit: str

    def __new__(cls, steps_per_unit: float, unit: str) -> Clock:
        clock = super().__new__(cls, steps_per_unit)
        clock.unit = unit
        return clock

    def __getnewargs__(self) -> tuple[float, str]:  # type: ignore[override]  # float's has no unit
        return float(self), self.unit

    def time(self, step: Steps) -> Steps:
        """Process time at a step."""
        return step / float(self)

    def step(self, time: Steps) -> Steps:
        """Step at a process time."""
        return time * float(self)

    def __repr__(self) -> str:
        return f"Clock(one step is {self.unit} = {1 / float(self):.6g})"

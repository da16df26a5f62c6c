"""The map between SGD steps and a process's own time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, TypeVar

import numpy as np

from .errors import InvalidInput
from .schedules import StepSizes

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


@dataclass(frozen=True, eq=False)
class SummedClock:
    """The clock of gradient-flow time under a schedule: step k is one step size of its own, and time is their sum."""

    step_sizes: StepSizes

    def time(self, step: np.ndarray) -> np.ndarray:
        """Process time at whole steps."""
        return self.step_sizes.elapsed(step)

    def __float__(self) -> NoReturn:
        raise InvalidInput(
            f"one step is step_size of that step, {self.step_sizes!r}, and one number is needed here: take "
            "dataclasses.replace(process, step_size=...) with the step size that is meant"
        )

    def __repr__(self) -> str:
        return f"Clock(one step is step_size = {self.step_sizes!r})"


def gradient_flow_clock(step_size: float | StepSizes) -> Clock | SummedClock:
    """One step is step_size in gradient-flow time, or the sum of a schedule."""
    return SummedClock(step_size) if isinstance(step_size, StepSizes) else Clock(1 / step_size, "step_size")

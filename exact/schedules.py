"""Step sizes that change from step to step: the schedules that are given, and a function of the user's."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from .errors import InvalidInput, axes, calling, non_negative, positive, real_number, whole_number

LARGEST_SIZE = 1e75  # its square is the square of a curvature's inverse
STANDSTILL = 1e-150  # in place of a step size of zero, by whose square a diffusion may divide: nothing moves


@dataclass(frozen=True)
class Constant:
    """The same step size at every step.

    Parameters
    ----------
    size : float
    """

    size: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive("size", self.size))

    def __call__(self, k: int) -> float:
        return self.size


@dataclass(frozen=True)
class Drop:
    """`size`, times `factor` from each of the steps `at` on (torch's MultiStepLR).

    Parameters
    ----------
    size : float
    at : int or increasing sequence of int
    factor : float
    """

    size: float
    at: int | Sequence[int]
    factor: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive("size", self.size))
        object.__setattr__(self, "factor", non_negative("factor", self.factor))
        steps: Any = (self.at,) if axes(self.at) == 0 else self.at
        object.__setattr__(self, "at", tuple(sorted(whole_number("at", step, 0) for step in steps)))

    def __call__(self, k: int) -> float:
        steps: Any = self.at  # a tuple from __post_init__ on
        return self.size * self.factor ** sum(k >= step for step in steps)


@dataclass(frozen=True)
class WarmUp:
    """From size / steps at step 0 linearly to `size` at step `steps` - 1, then `then`, counted from step `steps`.

    Parameters
    ----------
    size : float
    steps : int
    then : number or function of the step, optional
        Default: `size` for ever.
    """

    size: float
    steps: int
    then: float | Callable[[int], float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive("size", self.size))
        object.__setattr__(self, "steps", whole_number("steps", self.steps, 1))
        if self.then is not None and not callable(self.then):
            object.__setattr__(self, "then", positive("then", self.then))

    def __call__(self, k: int) -> float:
        if k < self.steps:
            return self.size * (k + 1) / self.steps
        if self.then is None:
            return self.size
        return self.then(k - self.steps) if callable(self.then) else self.then


@dataclass(frozen=True)
class Cosine:
    """smallest + (size - smallest) (1 + cos(pi k / steps)) / 2 up to step `steps`, then `smallest` (torch's annealing).

    Parameters
    ----------
    size : float
    steps : int
    smallest : float
    """

    size: float
    steps: int
    smallest: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", positive("size", self.size))
        object.__setattr__(self, "steps", whole_number("steps", self.steps, 1))
        object.__setattr__(self, "smallest", non_negative("smallest", self.smallest))

    def __call__(self, k: int) -> float:
        angle = math.pi * min(k, self.steps) / self.steps
        return self.smallest + (self.size - self.smallest) * (1 + math.cos(angle)) / 2


@dataclass(frozen=True, eq=False, repr=False)
class StepSizes:
    """A step size that is a function of the step k = 0, 1, ...; every value is looked at once and kept.

    Where one number is needed (thresholds, stationary laws, diffusions) it refuses with a sentence.
    """

    function: Callable[[int], float]
    _known: list[float] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.Lock)

    def __call__(self, k: int) -> float:
        return float(self.between(k, k + 1)[0])

    def between(self, first: int, last: int) -> np.ndarray:
        """Step sizes (last - first,) of steps first..last-1."""
        with self._lock:
            for k in range(len(self._known), last):
                self._known.append(_checked(self.function, k))
            return np.array(self._known[first:last])

    def runs(self, first: int, last: int) -> list[tuple[float, int, int]]:
        """Steps first..last-1 cut where the step size changes: (step size, first, last) of each piece."""
        sizes = self.between(first, last)
        cuts = [0, *(np.flatnonzero(np.diff(sizes)) + 1).tolist(), len(sizes)]
        return [(float(sizes[a]), first + a, first + b) for a, b in zip(cuts[:-1], cuts[1:]) if b > a]

    def elapsed(self, steps: np.ndarray) -> np.ndarray:
        """Sum of the step sizes before each of these steps: the time of the gradient flow."""
        steps = np.asarray(steps, dtype=np.int64)
        sums = np.concatenate([[0.0], np.cumsum(self.between(0, int(steps.max(initial=0))))])
        return sums[steps]

    def __repr__(self) -> str:
        return str(getattr(self.function, "__qualname__", None) or repr(self.function))[:200]

    def __getstate__(self) -> dict[str, Any]:
        return {"function": self.function}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["function"])  # type: ignore[misc]  # a lock cannot be copied

    def __format__(self, form: str) -> str:
        return repr(self)

    __array_ufunc__ = None  # arrays leave arithmetic to the methods below

    def _one_number(self, *_: Any) -> NoReturn:
        raise InvalidInput(
            f"step_size is the schedule {self!r}, but one number is needed here: take "
            "dataclasses.replace(process, step_size=...) with the step size that is meant"
        )

    __float__ = __neg__ = __abs__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = __pow__ = __rpow__ = _one_number
    __add__ = __radd__ = __sub__ = __rsub__ = __lt__ = __le__ = __gt__ = __ge__ = _one_number


def step_size_or_schedule(value: Any) -> float | StepSizes:
    """Return a step size above zero, or a function of the step as `StepSizes`; its first value is looked at.

    Raises
    ------
    InvalidInput
        If it is neither.
    """
    if isinstance(value, StepSizes):
        return value
    if isinstance(value, Constant):
        return value.size
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim):
        raise InvalidInput(f"step_size must be a number or a function of the step, got {type(value).__name__}")
    if not callable(value):
        size = positive("step_size", value)
        if size > LARGEST_SIZE:
            raise InvalidInput(f"step_size must be at most {LARGEST_SIZE:g}, got {size:g}: change the unit of the data")
        return size
    if isinstance(value, type):
        raise InvalidInput(f"step_size is the class {value.__name__}: pass an object of it")
    sizes = StepSizes(value)
    sizes.between(0, 1)
    return sizes


def elapsed(step_size: float | StepSizes, steps: np.ndarray) -> np.ndarray:
    """Sum of the step sizes before each of `steps`."""
    return step_size.elapsed(steps) if isinstance(step_size, StepSizes) else step_size * np.asarray(steps)


def sizes_between(step_size: float | StepSizes, first: int, last: int) -> np.ndarray:
    """What compiled loops take: the one step size, (1,), or those of steps first..last-1 and a number that is not used.

    They tell the two apart by the length, and bits must not depend on how a run is cut.
    """
    if isinstance(step_size, StepSizes):
        return np.append(step_size.between(first, last), 0.0)
    return np.array([step_size])


def _checked(function: Callable[[int], float], k: int) -> float:
    with calling(f"step_size, a function of the step, at step {k}"):
        value = function(k)
    size = real_number(f"step_size at step {k}", value)
    if size < 0:
        raise InvalidInput(f"step_size at step {k} must be at least zero, got {size!r}")
    return size

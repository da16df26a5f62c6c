"""Observables: a function of the position times a reducer over the steps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, one_of, shown, whole_number

BUILT_IN = ("risk", "norm", "state")
RESERVED = ("path", "step", "time", "coordinate", "overflow_step")
LONGEST_NAME = 100  # names become file names
NEVER = int(np.iinfo(np.int64).max)

Function = str | Callable[[np.ndarray], np.ndarray]


class Reducer(ABC):
    """Turns the values of a function along a path into a result; holds settings only, no path.

    Below, `tail` is the shape of one path's value: () or (m,).
    """

    function: Function

    @abstractmethod
    def next_step(self, after: int, record: np.ndarray) -> int:
        """First step past `after` that this reducer needs to see (NEVER: none)."""

    @abstractmethod
    def shape(self, recorded: int, tail: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of one path's result."""

    @abstractmethod
    def begin(self, out: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        """Fill `out` (P, *shape) with starting values and return the running quantity (P, *tail)."""

    @abstractmethod
    def see(
        self, step: int, values: np.ndarray, record: np.ndarray, out: np.ndarray, running: np.ndarray
    ) -> None:
        """Take in the values (P, *tail) at `step`; changes `out` and `running`."""


@dataclass(frozen=True)
class Recorded(Reducer):
    """The function's values at the recorded steps.

    Parameters
    ----------
    function : "risk", "norm", "state" or a function of a (paths, d) array
        A function returns (paths,) or (paths, m).
    """

    function: Function

    def __post_init__(self) -> None:
        check_function(self.function)

    def next_step(self, after: int, record: np.ndarray) -> int:
        return _next_recorded(after, record)

    def shape(self, recorded: int, tail: tuple[int, ...]) -> tuple[int, ...]:
        return (recorded, *tail)

    def begin(self, out: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        return np.empty(0)

    def see(
        self, step: int, values: np.ndarray, record: np.ndarray, out: np.ndarray, running: np.ndarray
    ) -> None:
        out[:, np.searchsorted(record, step)] = values


@dataclass(frozen=True)
class Mean(Reducer):
    """Running mean at each recorded step k: over all steps from `since` to k, both included.

    Parameters
    ----------
    function : as in `Recorded`
    since : int
        First step that counts; no earlier step may be recorded.
    """

    function: Function
    since: int = 0

    def __post_init__(self) -> None:
        check_function(self.function)
        object.__setattr__(self, "since", whole_number("since", self.since, 0))

    def next_step(self, after: int, record: np.ndarray) -> int:
        return max(after + 1, self.since) if after < record[-1] else NEVER

    def shape(self, recorded: int, tail: tuple[int, ...]) -> tuple[int, ...]:
        return (recorded, *tail)

    def begin(self, out: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        return np.zeros((len(out), *tail))

    def see(
        self, step: int, values: np.ndarray, record: np.ndarray, out: np.ndarray, running: np.ndarray
    ) -> None:
        running += values
        index = np.searchsorted(record, step)
        if record[index] == step:
            out[:, index] = running / (step - self.since + 1)


@dataclass(frozen=True)
class WindowMean(Reducer):
    """Mean at each recorded step k over the last `window` steps, k included (fewer near the start).

    Parameters
    ----------
    function : as in `Recorded`
    window : int
        Number of steps, at least 1.
    """

    function: Function
    window: int

    def __post_init__(self) -> None:
        check_function(self.function)
        object.__setattr__(self, "window", whole_number("window", self.window, 1))

    def next_step(self, after: int, record: np.ndarray) -> int:
        closing = _next_recorded(after, record)
        return NEVER if closing == NEVER else max(after + 1, closing - self.window + 1)

    def shape(self, recorded: int, tail: tuple[int, ...]) -> tuple[int, ...]:
        return (recorded, *tail)

    def begin(self, out: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        out[...] = 0.0
        return np.empty(0)

    def see(
        self, step: int, values: np.ndarray, record: np.ndarray, out: np.ndarray, running: np.ndarray
    ) -> None:
        # Sums build up in the result itself, so memory does not grow with the window.
        first, last = np.searchsorted(record, [step, step + self.window])
        out[:, first:last] += values[:, None]
        if first < last and record[first] == step:
            out[:, first] /= min(self.window, step + 1)


@dataclass(frozen=True)
class Maximum(Reducer):
    """Largest value (entry by entry) at each recorded step k: over all steps 0..k, or those since a saved state.

    Parameters
    ----------
    function : as in `Recorded`
    """

    function: Function

    def __post_init__(self) -> None:
        check_function(self.function)

    def next_step(self, after: int, record: np.ndarray) -> int:
        return after + 1 if after < record[-1] else NEVER

    def shape(self, recorded: int, tail: tuple[int, ...]) -> tuple[int, ...]:
        return (recorded, *tail)

    def begin(self, out: np.ndarray, tail: tuple[int, ...]) -> np.ndarray:
        return np.full((len(out), *tail), -np.inf)

    def see(
        self, step: int, values: np.ndarray, record: np.ndarray, out: np.ndarray, running: np.ndarray
    ) -> None:
        np.maximum(running, values, out=running)
        index = np.searchsorted(record, step)
        if record[index] == step:
            out[:, index] = running


def parse_observables(
    observables: str | Sequence[str] | Mapping[str, Function | Reducer], record: np.ndarray, begin: int = 0
) -> dict[str, Reducer]:
    """Bring the `observables` argument to one form: name -> reducer.

    Parameters
    ----------
    observables : name, sequence of names, or mapping
        Names are "risk", "norm" and "state"; a mapping gives each result a name of its own and holds
        names, functions of a (paths, d) array, or reducers.
    record : (recorded,) int64 array of steps
    begin : int
        First step that the run sees.

    Raises
    ------
    InvalidInput
        If a name is unknown or reserved, a value is of none of these kinds, or a mean reaches over steps that the run
        does not see.
    """
    if isinstance(observables, str):
        observables = (observables,)
    if not isinstance(observables, Mapping):
        if not isinstance(observables, Sequence) or isinstance(observables, (bytes, bytearray)):
            raise InvalidInput(
                "observables must be names or a mapping from names to functions, "
                f"got {type(observables).__name__}"
            )
        observables = {one_of("observable", name, BUILT_IN): name for name in observables}
    if not observables:
        raise InvalidInput(
            f"observables is empty: name at least one of {', '.join(BUILT_IN)}, or pass a function"
        )
    reducers: dict[str, Reducer] = {}
    for name, value in observables.items():
        printable = isinstance(name, str) and name.strip() and name.isprintable() and len(name) <= LONGEST_NAME
        if not printable or "/" in name or name in RESERVED:
            raise InvalidInput(
                f"observable name {shown(name)} cannot be used: take a text of at most {LONGEST_NAME} printable "
                f"characters without '/' that is not one of {', '.join(RESERVED)}"
            )
        reducer = value if isinstance(value, Reducer) else Recorded(value)
        if isinstance(reducer, Mean) and reducer.since > record[0]:
            raise InvalidInput(
                f"observable {shown(name)} is a mean since step {reducer.since}, but step {record[0]} is "
                f"recorded: pass `record` with steps from {reducer.since} on"
            )
        _check_span(name, reducer, record, begin)
        reducers[name] = reducer
    return reducers


def _check_span(name: str, reducer: Reducer, record: np.ndarray, begin: int) -> None:
    """Raise where a mean reaches back before the step at which a run goes on from a saved state."""
    if begin and isinstance(reducer, Mean) and reducer.since < begin:
        raise InvalidInput(
            f"observable {name!r} is a mean since step {reducer.since}, but the run goes on from step {begin}: pass "
            f"Mean(..., since={begin})"
        )
    if begin and isinstance(reducer, WindowMean) and record[0] - reducer.window + 1 < begin:
        raise InvalidInput(
            f"observable {name!r} is a mean over {reducer.window} steps, but step {record[0]} is recorded and the run "
            f"goes on from step {begin}: record steps from {begin + reducer.window - 1} on"
        )


def check_function(function: Any) -> None:
    """Raise unless this is a function, or the name of a built-in one."""
    if isinstance(function, type) or not callable(function):
        one_of("observable", function, BUILT_IN)


def _next_recorded(after: int, record: np.ndarray) -> int:
    index = np.searchsorted(record, after, side="right")
    return int(record[index]) if index < len(record) else NEVER

"""A user's own NumPy recurrence, run by the engine as it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sgdlimits.exact.errors import InvalidInput, kind

from .limits import mark
from .crowd import Arrays, PathState
from .random import Noise


class NumpyRecurrence(Protocol):
    """x_{k+1} = Psi(x_k, noise of step k), vectorised over paths; a state may hold more than the position."""

    def initial_state(self, x0: np.ndarray) -> Any:
        """State of P paths at `x0` (P, d)."""

    def step(self, k: int, state: Any, noise: Noise) -> Any:
        """State after step k = 0, 1, ...; it may be changed in place, but must be returned."""

    def position(self, state: Any) -> np.ndarray:
        """Positions (P, d)."""


@dataclass(eq=False)
class _Paths(PathState):
    state: Any
    overflow: np.ndarray

    @property
    def overflow_steps(self) -> np.ndarray:
        return self.overflow

    def dump(self) -> Arrays:
        leaves = _leaves(self.state, "state", len(self.overflow_steps))
        return {name: np.array(leaf) for name, leaf in leaves.items()} | {"overflow_steps": self.overflow_steps.copy()}

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        self.state = _rebuilt(self.state, "state", arrays)
        self.overflow = np.array(arrays["overflow_steps"])


def _leaves(tree: Any, name: str, paths: int) -> Arrays:
    """Arrays (P, ...) of a state: an array, None, or tuples, lists and dicts of them."""
    if tree is None:
        return {}
    if isinstance(tree, np.ndarray) and tree.ndim and len(tree) == paths:
        return {name: tree}
    if isinstance(tree, tuple | list | dict):
        pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return {key: leaf for part, branch in pairs for key, leaf in _leaves(branch, f"{name}.{part}", paths).items()}
    raise InvalidInput(
        f"the recurrence's {name} is {type(tree).__name__}, which cannot be saved or copied from path to path: let the "
        "state be arrays with paths along the first axis, or tuples, lists and dicts of such"
    )


def _rebuilt(tree: Any, name: str, arrays: Mapping[str, np.ndarray]) -> Any:
    if tree is None:
        return None
    if isinstance(tree, np.ndarray):
        return np.array(arrays[name])
    if isinstance(tree, dict):
        return {part: _rebuilt(branch, f"{name}.{part}", arrays) for part, branch in tree.items()}
    built = [_rebuilt(branch, f"{name}.{part}", arrays) for part, branch in enumerate(tree)]
    return type(tree)(*built) if hasattr(tree, "_fields") else type(tree)(built)


@dataclass(frozen=True, eq=False)
class RecurrenceSimulator:
    """Makes a NumPy recurrence a `Simulator`; overflow is looked for at every step.

    Parameters
    ----------
    recurrence : object with `initial_state`, `step` and `position`
    dimension : int
        d of the positions.
    risk : function of a (P, d) array with values (P,), optional
        What the built-in observable "risk" stands for.

    Raises
    ------
    InvalidInput
        If one of the three methods is missing; while running, if `position` gives another shape than
        (P, d) or `step` returns nothing.
    """

    recurrence: NumpyRecurrence
    dimension: int
    risk: Callable[[np.ndarray], np.ndarray] | None = None
    compiled: bool = False
    substeps: int = 1
    whole: str = ""
    alone: bool = False

    @property
    def name(self) -> str:
        """The recurrence's class."""
        return f"recurrence {type(self.recurrence).__name__}"

    def __post_init__(self) -> None:
        for method in ("initial_state", "step", "position"):
            if isinstance(self.recurrence, type) or not callable(getattr(self.recurrence, method, None)):
                raise InvalidInput(
                    f"{kind(self.recurrence)} has no method {method!r} to call: "
                    "a recurrence needs initial_state(x0), step(k, state, noise) and position(state)"
                )

    def start(self, positions: np.ndarray, noise: Noise) -> _Paths:
        paths = _Paths(self.recurrence.initial_state(positions), np.full(len(positions), -1, dtype=np.int64))
        mark(paths.overflow, self._position(paths), 0)
        return paths

    def advance(self, state: _Paths, first: int, last: int, noise: Noise) -> None:
        # What overflows is reported by the engine, once.
        with np.errstate(over="ignore", invalid="ignore"):
            for k in range(first, last):
                state.state = self.recurrence.step(k, state.state, noise)
                if state.state is None:
                    raise InvalidInput(
                        f"{type(self.recurrence).__name__}.step returned None at step {k}: "
                        "it must return the state"
                    )
                mark(state.overflow, self._position(state), k + 1)

    def positions(self, state: _Paths) -> np.ndarray:
        return self._position(state).copy()

    def measure(self, name: str, state: _Paths) -> np.ndarray | None:
        if name != "risk" or self.risk is None:
            return None
        return self.risk(self.positions(state))

    def _position(self, state: _Paths) -> np.ndarray:
        position = np.asarray(self.recurrence.position(state.state), dtype=np.float64)
        expected = (len(state.overflow_steps), self.dimension)
        if position.shape != expected:
            raise InvalidInput(
                f"{type(self.recurrence).__name__}.position returned shape {position.shape}, "
                f"but must return {expected}: (paths, dimension)"
            )
        return position

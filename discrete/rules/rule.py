"""What an update rule is: how a gradient moves the position, and what it keeps from step to step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, whole_number

Linear = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class MoveBound:
    """x' = (1 - step_size decay) x + a move of at most step_size * size, whatever the gradients are.

    Attributes
    ----------
    size : float
    of : str
        "coordinate" or "norm": what of the move is bounded.
    derivation : str
        One sentence.
    decay : float
        Decoupled weight decay.
    """

    size: float
    of: str
    derivation: str
    decay: float = 0.0


@dataclass(frozen=True)
class Facts:
    """What is known of a method, for the table of `discrete.methods`; eta is the step size, mu the momentum.

    Attributes
    ----------
    besides : str
        What is known where the law does not close.
    limit, clock, order : str
        Its continuous limits in this package, their time a step, and the weak order that they claim.
    threshold : str
        Step size below which the mean settles on a quadratic; h is the largest curvature.
    """

    besides: str
    limit: str
    clock: str
    order: str
    threshold: str


BOUNDED_MOVES = Facts("light tail", "none", "", "", "none: steps are bounded")


class Rule(ABC):
    """x, slots <- move(x, slots, gradient): written once in NumPy and once compiled, for one path.

    Attributes
    ----------
    source : str
        Where the method comes from.
    limit : str
        Class of `diffusions` that is its continuous limit with a state of its own; empty where none is known.
    facts : Facts
    """

    source: ClassVar[str]
    limit: ClassVar[str] = ""
    facts: ClassVar[Facts]

    @property
    @abstractmethod
    def label(self) -> str:
        """Short name."""

    @property
    @abstractmethod
    def slots(self) -> int:
        """Number m of arrays of the position's shape that are kept beside it; they start at zero."""

    @property
    @abstractmethod
    def settings(self) -> tuple[float, ...]:
        """Numbers that the compiled form takes."""

    @property
    @abstractmethod
    def equivariant(self) -> bool:
        """Whether it commutes with rotations of the coordinates, so that it may run in any orthonormal basis."""

    @property
    @abstractmethod
    def kernel(self) -> Callable[..., None] | None:
        """Compiled form (x (P, d), slots (P, m, d), p, gradient (rows, d), row, step_size, k, settings) -> None.

        It moves path p by row `row` of `gradient`, which it may use up. None: there is only the NumPy form.
        """

    @abstractmethod
    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Position (P, d) and slots (P, m, d) after step k = 0, 1, ...; arguments are left as they are."""

    @abstractmethod
    def linear(self, step_size: float) -> Linear | None:
        """Matrices T (m + 1, m + 1), e (m + 1,) with (x, slots) <- T (x, slots) + e gradient; None: not linear."""

    @abstractmethod
    def move_bound(self) -> MoveBound | None:
        """How far a step can move, whatever the gradients are; None: any distance, or not known."""


@dataclass(frozen=True, eq=False)
class UserRule(Rule):
    """A rule of the user's own.

    Parameters
    ----------
    function : callable
        NumPy form: (x (P, d), slots (P, m, d), gradient (P, d), step_size, k) -> (x, slots), vectorised over paths.
        Compiled form, made with numba.njit, for one path: (x (d,), slots (m, d), gradient (d,), step_size, k,
        settings) -> None, changing x and slots in place. k = 0, 1, ... is the number of the step.
    slots : int
        Number m of arrays that are kept; they start at zero.
    settings : sequence of float
        Handed to the compiled form.
    label : str

    Raises
    ------
    InvalidInput
        If an argument cannot be used; while running, if a result has the wrong shape.
    """

    function: Callable[..., Any]
    slots: int = 0
    settings: tuple[float, ...] = ()
    label: str = "a rule of one's own"

    source: ClassVar[str] = "the user's own"
    facts = Facts("nothing", "none", "", "", "not known")
    equivariant = False

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidInput(f"a rule's move must be a function, got {type(self.function).__name__}")
        object.__setattr__(self, "slots", whole_number("slots", self.slots, 0, 100))
        settings = finite_array("settings", np.atleast_1d(np.asarray(self.settings, dtype=object)), ndim=1)
        object.__setattr__(self, "settings", tuple(settings.tolist()))
        object.__setattr__(self, "label", str(self.label))

    @classmethod
    def of(cls, rule: Any) -> UserRule:
        """From an object with `move`, and `slots`, `settings` and `label` where they are not 0, () and its class."""
        name = getattr(rule, "label", rule.__name__ if isinstance(rule, type) else type(rule).__name__)
        return cls(rule.move, getattr(rule, "slots", 0), getattr(rule, "settings", ()), name)

    @property
    def compiled(self) -> bool:
        """Whether the function is compiled."""
        return hasattr(self.function, "py_func")

    @property
    def kernel(self) -> Callable[..., None] | None:
        return self.function if self.compiled else None

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        if self.compiled:
            x, slots, gradient, settings = x.copy(), slots.copy(), gradient.copy(), np.array(self.settings)
            for p in range(len(x)):
                self.function(x[p], slots[p], gradient[p], float(step_size), k, settings)
            return x, slots
        try:
            moved, kept = self.function(x.copy(), slots.copy(), gradient.copy(), step_size, k)
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                f"{self.label}: move(x, slots, gradient, step_size, k) must return (x, slots); it failed with "
                f"{type(error).__name__}: {str(error)[:200]}"
            ) from error
        moved, kept = np.asarray(moved, dtype=np.float64), np.asarray(kept, dtype=np.float64)
        if moved.shape != x.shape or kept.shape != slots.shape:
            raise InvalidInput(
                f"{self.label}: move returned shapes {moved.shape} and {kept.shape}, but x has {x.shape} and the "
                f"slots have {slots.shape}: return arrays of these shapes"
            )
        return moved, kept

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound | None:
        return None

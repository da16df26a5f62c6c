"""Gradient descent driven by a stable Levy process, by Euler's scheme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self, cast

import numpy as np

from sgdlimits.ensembles.limits import beyond
from sgdlimits.ensembles.simulators import ArraySimulator
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.errors import InvalidInput, flag, function, points, positive, text, whole_number
from sgdlimits.exact.stable_law import stable_index
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.exact.user_functions import call, numbers
from sgdlimits.problems.problem import Objective

from .open_law import OpenLaw
from .stable_noise import StableProcess, noise_columns, noise_steps, stated_length
from .stable_ornstein_uhlenbeck import StableOrnsteinUhlenbeck
from .stable_tails import langevin_tail_index


@dataclass(frozen=True, eq=False)
class StableLangevin(OpenLaw, StableProcess):
    """dX = -grad f(X) dt + S dL, L as in `StableOrnsteinUhlenbeck`, by Euler's scheme with exact stable increments.

    With one substep it is gradient descent x <- x - step_size grad f(x) + step_size^(1 / index) S xi. Whether the
    equation has one solution, and whether explicit steps stay finite, depends on f: where its gradient grows faster
    than linearly large jumps throw explicit steps out, and such paths are reported as overflowed. Runs with other
    substeps share no path of L, so differences between them carry the sampling error of both.

    Parameters
    ----------
    gradient : problem, or function of positions (P, d) that gives (P, d)
    scale : float, (d,) or (d, m) array
    index : float
        Above 0, at most 2; at 2 S dL is sqrt(2) S dW.
    isotropic : bool
    step_size : float
        The process's time in one step.
    substeps : int
        Euler's increments per step.
    dimension : int, optional
        Needed where neither a problem nor the scale states it.
    label : str, optional
        Default: names the number of increments.

    Raises
    ------
    InvalidInput
        If an argument cannot be used; when it is run, if the function returns something else than (P, d) numbers.
    """

    gradient: Any
    scale: Any
    index: float
    isotropic: bool = False
    step_size: float = 1.0
    substeps: int = 1
    dimension: int | None = None
    label: str = ""

    instead: ClassVar[str] = "simulate; tail_index() has the tail, StableOrnsteinUhlenbeck the law of a linear force"
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "no moment of order index or more is finite after a step, as an increment is independent of the position "
            "before it",
            ("index below 2",),
            "derived",
        ),
    )

    def __post_init__(self) -> None:
        if not isinstance(self.gradient, Objective):
            function("gradient", self.gradient, "of positions (P, d), or a problem")
        stated = getattr(self.gradient, "dimension", None) if isinstance(self.gradient, Objective) else self.dimension
        d = stated_length(self.scale) if stated is None else whole_number("dimension", stated, 1)
        if self.dimension not in (None, d):
            raise InvalidInput(f"dimension is {self.dimension}, but the problem has {d}: leave it out")
        columns = noise_columns(self.scale, d)
        columns.flags.writeable = False
        substeps = whole_number("substeps", self.substeps, 1)
        named = f"stable Langevin by Euler, {substeps} increment{'s' if substeps > 1 else ''} a step"
        fields = {
            "scale": columns, "index": stable_index(self.index), "isotropic": flag("isotropic", self.isotropic),
            "step_size": positive("step_size", self.step_size), "substeps": substeps, "dimension": d,
            "label": text("label", self.label) if self.label else named,
        }  # fmt: skip
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, sgd: Any, index: float, substeps: int = 1) -> Self:
        """The objective of an SGD, in gradient-flow time, with the noise of `StableOrnsteinUhlenbeck.of`.

        That noise is matched at the minimiser (of a smooth loss, at a minimum) and is the same everywhere.
        """
        linear = StableOrnsteinUhlenbeck.of(sgd, index)
        return cls(sgd.problem, linear.scale, index, step_size=linear.step_size, substeps=substeps)

    @property
    def problem(self) -> Objective | None:
        """The problem, where the gradient is one's."""
        return self.gradient if isinstance(self.gradient, Objective) else None

    def drift(self, t: Any, x: np.ndarray) -> np.ndarray:
        """-grad f at x (P, d)."""
        x = points("x", x, cast(int, self.dimension), finite=False)
        if self.problem is not None:
            return -self.problem.gradient(x)
        return -numbers("gradient", call("gradient", self.gradient, x), x.shape, f" for {len(x)} positions")

    def tail_index(self) -> TailIndex:
        """That of the stationary law: of an increment under an inward linear drift, less under a weaker one. Derived.

        See `diffusions.stable_tails`. After finitely many steps it is that of one increment.

        Raises
        ------
        NoStationaryLaw
            If the drift is not inward far out, too weak, or explicit steps do not come back.
        """
        return langevin_tail_index(self)

    def scheme(self) -> dict[str, Any]:
        """Euler's, and how many increments a step."""
        return {"solver": "euler", "substeps": self.substeps}

    def simulator(self) -> ArraySimulator:
        """What the engine advances."""
        length = self.step_size / self.substeps

        def move(x: np.ndarray, k: int) -> np.ndarray:
            out = beyond(x)  # such paths stand still: no gradient is asked for there
            return np.where(out[:, None], x, x + length * self.drift(k * length, np.where(out[:, None], 0.0, x)))

        advance = noise_steps(move, length ** (1 / self.index) * self.scale, self.index, self.isotropic)
        risk = getattr(self.problem, "risk", None)
        measures = {} if risk is None else {"risk": lambda state: _risk(risk, state.x)}
        return ArraySimulator(
            self.label, cast(int, self.dimension), advance, measures=measures, substeps=self.substeps, compiled=False
        )


def _risk(risk: Any, x: np.ndarray) -> np.ndarray:
    values, inside = np.full(len(x), np.inf), ~beyond(x)
    values[inside] = risk(x[inside])
    return values

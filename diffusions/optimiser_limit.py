"""What the limits of optimisers share: a state that may hold more than the position, `.of`, and simulation.

A scheme moves the state (P, (1 + slots) d): the position, then what the optimiser keeps beside it, in the optimiser's
order. It begins at the position, with the rest as the optimiser begins; observables see the position.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from sgdlimits.ensembles import Brownian
from sgdlimits.ensembles.engine import Simulator, run
from sgdlimits.ensembles.initial import Gaussian, initial_state
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.ensembles.simulators import ArraySimulator, PathArrays
from sgdlimits.ensembles.until import Until
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, has_methods, points, seed_number, whole_number
from sgdlimits.exact.ladders import Ladder
from sgdlimits.exact.schedules import StepSizes

from .diffusion import check_settings
from .gradient_noise import BatchGradient, batch_gradient
from .open_law import OpenLaw
from .solvers import Coefficients, Scheme, find_scheme, steps_of

if TYPE_CHECKING:
    import xarray

HIDDEN = "its state holds more than the position, and what a path does inside its own steps is not told"


@dataclass(frozen=True, eq=False)
class StateDiffusion:
    """The diffusion of a limit's state, as schemes see it."""

    process: OptimiserLimit

    @property
    def label(self) -> str:
        """That of the process."""
        return self.process.label

    @property
    def dimension(self) -> int:
        """Numbers of the state."""
        return self.process.state_dimension

    @property
    def noise_dimension(self) -> int:
        """Brownian motions."""
        return self.process.noise_dimension

    @property
    def noise_type(self) -> str:
        """As the process says."""
        return self.process.noise_type

    @property
    def linear(self) -> np.ndarray | None:
        """K, where the drift is -K z plus a milder rest; None where the process states none."""
        return self.process.linear

    @property
    def diagonal_matrix(self) -> bool:
        """Whether the diffusion is a diagonal."""
        return self.process.diagonal_matrix

    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift of the state."""
        return self.process.drift(t, z)

    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diffusion of the state."""
        return self.process.diffusion(t, z)

    def diffusion_product(self, t: Any, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times w (P, m), without the matrices."""
        return self.process.diffusion_product(t, z, w)

    @cached_property
    def ito_correction(self) -> Any:
        """Zero where the noise enters what it does not depend on; None: it is to be found."""
        return (lambda t, z: np.zeros_like(z)) if self.process.noise_type == "commutative" else None


class OptimiserLimit(OpenLaw, ABC):
    """A continuous approximation of an optimiser; leaves are frozen dataclasses with these fields and their own.

    Attributes
    ----------
    limit_of : str
        What it is a limit of, in words.
    slots : int
        Arrays of the position's shape that the state holds beside it.
    diagonal_matrix : bool
        Whether `diffusion` gives diagonals.
    law_solver : str
        The scheme that samples its law.
    """

    problem: Any
    step_size: Any
    batch_size: int
    sampling: str
    label_noise: float

    claims: ClassVar[tuple[Claim, ...]]
    noise_type: ClassVar[str]
    limit_of: ClassVar[str]
    slots: ClassVar[int]
    law_solver: ClassVar[str]
    diagonal_matrix: ClassVar[bool] = False
    solvers: ClassVar[tuple[str, ...]] = ()
    always_exact: ClassVar[bool] = False
    instead: ClassVar[str] = "simulate from a start of your choice, and take steps late enough to have forgotten it"

    if TYPE_CHECKING:  # every leaf is a dataclass of these fields, and some of its own

        def __init__(self, problem: Any, step_size: float, batch_size: int = 1, **options: Any) -> None: ...

    @property
    @abstractmethod
    def label(self) -> str:
        """Short name."""

    @property
    @abstractmethod
    def clock(self) -> Clock:
        """Steps per unit of the process's time."""

    @property
    @abstractmethod
    def ladder(self) -> Ladder:
        """What a ladder of step sizes holds fixed on the way to it, and the small parameter."""

    @property
    @abstractmethod
    def weak_order(self) -> int:
        """Weak order in the ladder's small parameter, where `claims_order`."""

    @property
    def claims_order(self) -> bool:
        """Whether the order is claimed from this start of the optimiser."""
        return True

    def __getattr__(self, name: str) -> Any:
        if name == "stability":  # AttributeError, so that hasattr says no
            raise AttributeError(
                f"{type(self).__name__} has no stability(): its moments do not close; sample it by compare.laws or "
                "diffusions.integrate"
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @abstractmethod
    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift (P, (1 + slots) d) of states z, per unit of the clock."""

    @abstractmethod
    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diffusion matrices (P, (1 + slots) d, m) of states z, or their diagonals; per unit of the clock."""

    @abstractmethod
    def diffusion_product(self, t: Any, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times w (P, m), without the matrices."""

    @classmethod
    @abstractmethod
    def settings_of(cls, rule: Any) -> dict[str, Any]:
        """Fields that a rule of `discrete.rules` sets, or InvalidInput."""

    @abstractmethod
    def first_step(self, x: np.ndarray, gradient: np.ndarray) -> np.ndarray | None:
        """States after the optimiser's own first step, from which on the equation holds; None: it holds from 0."""

    @property
    @abstractmethod
    def linear(self) -> np.ndarray | None:
        """K, a matrix of the state, where the drift is -K z plus a milder rest; None where it is not linear."""

    @abstractmethod
    def start_slots(self) -> np.ndarray | None:
        """What the optimiser must keep at step 0 for it to be its limit, (slots, d); None: zeros."""

    @classmethod
    def of(cls, sgd: Any, **options: Any) -> Self:
        """The limit of this optimiser: same problem, step size, batches, label noise and settings of the rule.

        Raises
        ------
        InvalidInput
            If the rule is another, its settings have no limit here, the step size is a schedule, or the covariance of
            the gradient is not known.
        """
        has_methods("sgd", sgd, ("problem", "step_size", "batch_size", "update_rule"), "pass a discrete.SGD")
        rule = sgd.update_rule
        if rule.limit != cls.__name__:
            unknown = "no diffusion with a state of its own is known"
            instead = f"take diffusions.{rule.limit}.of" if rule.limit else unknown
            if rule.label == "plain":
                instead = "take diffusions.ModifiedEquation.of"
            elif getattr(sgd, "preconditioner", None) is not None:
                instead = "take that of sgd.in_plain_coordinates()"
            raise InvalidInput(
                f"the rule is {rule.label}, and {cls.__name__} is the limit of {cls.limit_of}; for this rule {instead}"
            )
        settings = {"sampling": sgd.sampling, "label_noise": sgd.label_noise} | cls.settings_of(rule)
        return cls(sgd.problem, sgd.step_size, sgd.batch_size, **settings, **options)

    def check_shared(self) -> None:
        """Bring the fields that every limit shares into their form, or raise."""
        check_settings(self)
        if isinstance(self.step_size, StepSizes):
            raise InvalidInput(
                f"step_size is the schedule {self.step_size!r}, and {type(self).__name__} takes one number: pass "
                "dataclasses.replace(sgd, step_size=...) with the step size that is meant"
            )
        _ = self.gradient

    @cached_property
    def gradient(self) -> BatchGradient:
        """Mean, variances and noise of the batch's gradient."""
        return batch_gradient(self.problem, self.batch_size, self.sampling, self.label_noise)

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.problem.dimension

    @property
    def state_dimension(self) -> int:
        """Numbers of the state."""
        return (1 + self.slots) * self.dimension

    @property
    def noise_dimension(self) -> int:
        """Brownian motions that drive it."""
        return self.gradient.normals

    def parts(self, z: np.ndarray) -> list[np.ndarray]:
        """Position and slots (P, d) of states."""
        z = points("a state", z, self.state_dimension, finite=False)
        return np.split(z, 1 + self.slots, axis=1)

    def entering(self, place: int, values: np.ndarray) -> np.ndarray:
        """What moves one part of the state alone, values (P, d) or (P, d, m)."""
        d = self.dimension
        out = np.zeros((len(values), self.state_dimension, *values.shape[2:]))
        out[:, place * d : (place + 1) * d] = values
        return out

    def initial(self, x: np.ndarray) -> np.ndarray:
        """States at positions x (P, d) where a run begins: what the optimiser keeps is zero."""
        return self.entering(0, x)

    def _begun(self, x: np.ndarray) -> np.ndarray:
        """States of positions at which the equation holds."""
        after = self.first_step(x, self.gradient.mean(x))
        return self.initial(x) if after is None else after

    def scheme_simulator(
        self, scheme: Scheme, x0: Any, brownian: Brownian, t0: float = 0.0, substeps: int = 1, level: int = 0,
        joined: int = 1, tolerance: float | None = None,
    ) -> Simulator:  # fmt: skip
        """What the engine advances: a scheme on the state, `substeps` of its steps per step of the run."""
        d, problem = self.dimension, self.problem
        start = initial_state(x0, d)
        place = start.mean if isinstance(start, Gaussian) else start
        own, unit = StateDiffusion(self), 1 / float(self.clock)
        leads = self.first_step(np.zeros((1, d)), np.ones((1, d))) is not None and t0 == 0
        coefficients = Coefficients(own, unit if leads else t0, self._begun(np.atleast_2d(place)[:16]))
        scheme.check(coefficients)
        steps = steps_of(coefficients, scheme, brownian, t0, level, joined, tolerance)
        length = brownian.interval(level) * joined
        first = round(unit / length) if leads else 0  # own steps of the optimiser's first one
        if leads and (abs(first * length / unit - 1) > 1e-9 or tolerance is not None):
            raise InvalidInput(
                f"{self.label} begins with the optimiser's first step, {unit:.6g} of its time, which must be a whole "
                f"number of increments without a tolerance, got dt = {length:.6g}"
            )

        def advance(state: PathArrays, begin: int, end: int, noise: Noise) -> None:
            if begin < first <= end:
                w, _ = brownian.increments(noise.paths, 0, first * joined, level)
                x = state.x[:, :d]
                drawn = self.gradient.mean(x) + self.gradient.noise(x, w.sum(axis=0) / np.sqrt(unit))
                begun = self.first_step(x, drawn)
                assert begun is not None  # it leads
                state.x = begun
            if end > first:
                steps.advance(state, max(begin, first), end, noise)

        def leave(state: PathArrays) -> np.ndarray:
            return state.x[:, :d].copy()

        return ArraySimulator(
            f"{self.label} by {scheme.name}", d, advance, self.initial, leave,
            {"risk": lambda state: problem.risk(leave(state)), "norm": lambda state: _norm(state.x[:, :d])},
            steps.kept, substeps=substeps, compiled=False,
        )  # fmt: skip

    def simulate(
        self,
        x0: Any,
        steps: int,
        paths: int,
        observables: Any = ("risk", "norm"),
        record: int | Sequence[int] | None = None,
        seed: int = 0,
        quality: str = "float32",
        threads: int | None = None,
        chunk: int | None = None,
        progress: bool | Progress | None = None,
        solver: str | Scheme | None = None,
        substeps: int = 1,
        first_path: int = 0,
        keep_state: bool = False,
        until: Until | Mapping[str, Any] | None = None,
    ) -> xarray.Dataset:
        """Simulate independent paths; arguments and errors as in `sgdlimits.ensembles.run`.

        Parameters
        ----------
        solver : name in `SCHEMES`, or a scheme, optional
            Default: "heun" where momentum may oscillate, else "euler". All step many paths at a time in NumPy; these
            two form no matrices.
        substeps : int
            Increments of the scheme per step of the optimiser.

        Returns
        -------
        xarray.Dataset
            One variable an observable of the position, with dims (path, step[, coordinate]); coordinate `time` in the
            process's clock. The same bits for the same seed, whatever the threads.
        """
        chosen = find_scheme(self.law_solver if solver is None else solver)
        substeps = whole_number("substeps", substeps, 1)
        # A power of two of steps: an increment is the same number to the bit however long the run, so that runs go on.
        count = 1 << max(whole_number("steps", steps) - 1, 0).bit_length()
        brownian = Brownian(
            count * float(self.clock.time(1)), count * substeps, self.noise_dimension, seed_number(seed), quality,
            chosen.areas,
        )  # fmt: skip
        ensemble = run(
            self.scheme_simulator(chosen, x0, brownian, substeps=substeps), x0, paths=paths, steps=steps, record=record,
            observables=observables, seed=seed, quality=quality, threads=threads, chunk=chunk, progress=progress,
            first_path=first_path, keep_state=keep_state, until=until, local_noise=HIDDEN,
        )  # fmt: skip
        attributes = self._attributes() | {"solver": chosen.name, "substeps": substeps}
        return ensemble_dataset(ensemble, attributes, self.clock.time(ensemble.record), self)

    def _attributes(self) -> dict[str, Any]:
        return {
            "process": self.label, "problem": repr(self.problem), "step_size": self.step_size,
            "batch_size": self.batch_size, "sampling": self.sampling, "label_noise": self.label_noise,
            "clock": repr(self.clock),
        }  # fmt: skip


def _norm(x: np.ndarray) -> np.ndarray:
    return np.sqrt(np.square(x).sum(axis=1))

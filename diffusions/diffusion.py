"""What the built-in diffusions of least squares share: drift, exact moments, stationary law, simulation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from sgdlimits.ensembles.engine import Simulator, run
from sgdlimits.ensembles.progress import Progress
from sgdlimits.ensembles.results import ensemble_dataset
from sgdlimits.ensembles.until import Until
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock, SummedClock
from sgdlimits.exact.errors import (
    InvalidInput,
    has_methods,
    kind,
    non_negative,
    points,
    whole_number,
)
from sgdlimits.exact.ladders import STEP_SIZE, Ladder
from sgdlimits.exact.moment_maps import MomentMap
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.schedules import STANDSTILL, StepSizes, step_size_or_schedule
from sgdlimits.exact.stationary_law import Stability, StationaryLaw
from sgdlimits.problems.problem import Objective
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.second_moments import SecondMoments
from sgdlimits.problems.sensitivities import sensitivities

from .array_form import ArrayForm
from .local_noise import process_noise, unseen
from .modal import ModalStep
from .moment_equations import directions, rates_at, second_moments
from .simulators import scheduled_simulator
from .solvers import ModalScheme, Scheme, find_scheme
from .solvers.adapters import LibraryScheme, SdeintPair, to_diffrax, to_sdeint, to_torchsde
from .solvers.process import process_simulator

if TYPE_CHECKING:
    import xarray
class Diffusion(ABC):
    """A continuous approximation of SGD: dX = drift dt + diffusion dW in the process's own clock.

    Leaves are frozen dataclasses with `problem`, `step_size`, `batch_size` and `label_noise`. Rates and noise are
    written in modes and per SGD step: a mode decays by `rates`, its noise has the covariance step_size^2 * noise_map
    a step.
    """

    problem: Any
    step_size: Any
    batch_size: int
    label_noise: float

    claims: ClassVar[tuple[Claim, ...]]
    noise_type: ClassVar[str]
    solvers: ClassVar[tuple[str, ...]]
    ladder: ClassVar[Ladder] = STEP_SIZE  # on the way to it the step size alone changes
    knows_samplings: ClassVar[bool] = False  # `sampling` is a field, for losses over samples
    always_exact: ClassVar[bool] = False  # whatever scheme of this package is named, it is solved exactly

    if TYPE_CHECKING:  # every leaf is a dataclass of these fields, and some of its own

        def __init__(
            self, problem: Any, step_size: float, batch_size: int = 1, *, label_noise: float = 0.0, **options: Any
        ) -> None: ...

    @property
    @abstractmethod
    def label(self) -> str:
        """Short name."""

    @property
    @abstractmethod
    def clock(self) -> Clock | SummedClock:
        """Steps per unit of the process's time."""

    @property
    @abstractmethod
    def drift_order(self) -> int:
        """1: the gradient; 2: with the correction (step_size / 4) grad |grad f|^2."""

    @property
    @abstractmethod
    def weak_order(self) -> int:
        """Claimed weak order in the step size, against SGD."""

    @abstractmethod
    def noise_of(self, factor: float, label_variance: float) -> NoiseMap:
        """What stands for factor * (covariance of one sample's gradient) + label_variance H, in modes."""

    @cached_property
    def noise_map(self) -> NoiseMap:
        """Expected covariance (d, d) that stands for the batch gradient's, in modes, from moments of the modes."""
        return self.noise_of(1 / self.batch_size, self.label_noise**2 / self.batch_size)

    @abstractmethod
    def array_form(self) -> ArrayForm:
        """Drift and diffusion per unit of the clock, in modes for NumPy, torch and JAX; in positions, for NumPy alone,
        where the loss is not quadratic."""

    @abstractmethod
    def in_modes(self) -> Any:
        """The process in the eigenbasis, as a diffusion that schemes run there; None where it has no modes."""

    @abstractmethod
    def fourth_moments_settle(self) -> bool:
        """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found."""

    @abstractmethod
    def simulator(self, solver: str = "euler", substeps: int = 1, size: float | None = None) -> Simulator:
        """What the engine advances; with `size`, its step is one increment of that many SGD steps, and `substeps` 1."""

    @classmethod
    def of(cls, sgd: Any, **options: Any) -> Self:
        """The diffusion of this SGD: same problem, step size, batch size and label noise.

        Raises
        ------
        InvalidInput
            If the SGD has momentum, whose limit has another step size, or another rule.
        """
        has_methods(
            "sgd", sgd, ("problem", "step_size", "batch_size", "label_noise"),
            "pass a discrete.SGD; noisy gradient descent has its limit in ManifoldLimit.of",
        )  # fmt: skip
        if getattr(sgd, "rule", None) is not None:
            own = f"take diffusions.{sgd.rule.limit}.of, or " if sgd.rule.limit else ""
            cure = f"{own}leave the rule out"
            if sgd.preconditioner is not None:
                cure = "take that of sgd.in_plain_coordinates()"
            raise InvalidInput(f"the rule is {sgd.label}, and {cls.__name__} is a limit of plain SGD: {cure}")
        momentum = getattr(sgd, "momentum", 0.0)
        if momentum:
            scheduled = isinstance(sgd.step_size, StepSizes)
            effective = "" if scheduled else f"={sgd.step_size / (1 - momentum):g}, which is"
            raise InvalidInput(
                f"the SGD has momentum {momentum:g}, and {cls.__name__} is a limit of plain SGD: take "
                "diffusions.UnderdampedLangevin.of, or for its overdamped limit build this one by hand with "
                f"step_size{effective or ' ='} step_size / (1 - momentum)"
            )
        if cls.knows_samplings and sgd.problem.sampled and getattr(sgd, "sampling", None) == "without_replacement":
            options = {"sampling": sgd.sampling} | options
        return cls(sgd.problem, sgd.step_size, sgd.batch_size, label_noise=sgd.label_noise, **options)

    @property
    def dimension(self) -> int:
        """Number of parameters d."""
        return self.problem.dimension

    def at(self, step_size: float) -> Self:
        """The same process at this step size, one of its schedule for example; at zero it stands still."""
        return replace(self, step_size=max(step_size, STANDSTILL))  # type: ignore[type-var]  # every leaf is a dataclass

    @property
    def rates(self) -> np.ndarray:
        """Decay (d,) of the modes' mean, per SGD step."""
        return rates_at(self, self.step_size)

    @property
    def second_moments(self) -> SecondMoments:
        """What its first two moments obey, per SGD step. Continuous time keeps the mean stable at all step sizes."""
        return second_moments(self)

    @cached_property
    def _form(self) -> ArrayForm:
        return self.array_form()

    def drift(self, t: float, x: np.ndarray) -> np.ndarray:
        """Drift (P, d) at positions x (P, d), per unit of the clock."""
        x, form = points("x", x, self.dimension, finite=False), self._form
        drift, _ = form.bound(np, np.asarray)
        values = drift(t, form.to_modes(x))
        return values if form.basis is None else values @ form.basis.T

    def diffusion(self, t: float, x: np.ndarray) -> np.ndarray:
        """Diffusion matrices (P, d, m) at positions x (P, d), or (d, m) for additive noise; per unit of the clock."""
        x, form = points("x", x, self.dimension, finite=False), self._form
        _, diffusion = form.bound(np, np.asarray)
        g = diffusion(t, form.to_modes(x))
        if form.basis is None:
            return g
        return form.basis * g[..., None, :] if form.layout == "diagonal" else form.basis @ g

    def to_torchsde(self, dtype: Any = None) -> Any:
        """As a module of torchsde, in modes; see `diffusions.to_torchsde`."""
        return to_torchsde(self, dtype=dtype)

    def to_sdeint(self) -> SdeintPair:
        """As sdeint's f(y, t) and G(y, t); see `diffusions.to_sdeint`."""
        return to_sdeint(self)

    def to_diffrax(self, brownian: Any, precision: str = "float32") -> Any:
        """As diffrax's terms, in modes, driven by a diffrax Brownian path; see `diffusions.to_diffrax`."""
        return to_diffrax(self, brownian, precision=precision)

    @property
    def quadratic(self) -> QuadraticProblem:
        """The problem, where it has closed moments."""
        if not isinstance(self.problem, QuadraticProblem):
            raise InvalidInput(
                f"{self.label} on {type(self.problem).__name__} has no closed form: this needs LeastSquares or "
                "StreamingLeastSquares; GradientFlow and ModifiedEquation of other losses can be simulated"
            )
        return self.problem

    @property
    def moments_close(self) -> bool:
        """Whether `moments` has them."""
        return isinstance(self.problem, QuadraticProblem)

    def moments(
        self,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        quantities: Sequence[str] | None = None,
        solver: str | None = None,
        substeps: int = 1,
        progress: bool | Progress | None = None,
    ) -> xarray.Dataset:
        """Exact mean, covariance and expected risk, of the process or of a scheme for it; no Monte Carlo.

        Parameters
        ----------
        x0 : array (d,) or (paths, d), Gaussian, or tuple (mean, covariance)
        steps : int
            SGD steps; step k is the process's time k / clock.
        record : None, int or sequence of int
            Steps to keep, 0 always among them: None for all of at most 1000 steps, about 200 of more.
        quantities : names, optional
            What the result holds: "mean", "covariance", "risk" by default. Without the covariances none is kept, and
            none is computed where the variances close among themselves. "risk_second_moment" (E L^2) and
            "risk_standard_deviation" on request, of the process itself.
        solver : str, optional
            A scheme, to get the exact moments of what `simulate` would sample with it.
        substeps : int
            Increments of the scheme per SGD step.
        progress : bool or object with update(n) and close(), optional
            As in `simulate`.

        Returns
        -------
        xarray.Dataset
            `mean(step, coordinate)`, `covariance(step, coordinate, coordinate_2)`, `risk(step)` (without the
            ridge term), in original coordinates; what else was asked for as (step). Moments past the range of
            floating-point numbers are inf.

        Raises
        ------
        InvalidInput
            If the problem has no closed moments, or an argument cannot be used.
        OutOfReach
            If what is asked for takes hours.

        Warns
        -----
        StabilityWarning
            If the step size is past a threshold, or the scheme's increments are.
        """
        second, scheme_at = self.second_moments, None if solver is None else self._scheme_at(solver, substeps)
        second.warn_if_unstable(scheme_at)
        return second.moments(
            x0, steps, record, quantities, self._attributes(solver, substeps), self.clock.time, progress, scheme_at,
            whole_number("substeps", substeps, 1),
        )  # fmt: skip

    def sensitivities(
        self,
        x0: Any,
        steps: int,
        record: int | Sequence[int] | None = None,
        parameters: Sequence[str] | None = None,
    ) -> xarray.Dataset:
        """Exact expected risk and its derivatives in step size, ridge and batch size; as `discrete.SGD.sensitivities`.

        From the linearised moment equations, per SGD step: `steps` stays what it is when the step size changes, and the
        process's time step_size * steps moves with it. Derived.
        """
        second = self.second_moments
        second.warn_if_unstable()
        return sensitivities(
            second, lambda: directions(self), x0, steps, record, parameters, self._attributes(None, 1), self.clock.time
        )

    def _scheme_at(self, solver: str | Scheme, substeps: int) -> Callable[[float], MomentMap]:
        """The moment map of one increment of a scheme, at a step size."""
        noise = self.noise_map
        return lambda step_size: self.at(step_size).modal_step(solver, substeps).moment_map(noise)

    def scheme_settles(self, solver: str | Scheme, substeps: int = 1) -> bool | None:
        """Whether mean and second moment of a scheme settle, from its own equations; None where that takes long.

        Raises
        ------
        InvalidInput
            If the scheme has no closed moments here, or the step size is a schedule.
        """
        if isinstance(self.step_size, StepSizes):
            raise InvalidInput(f"step_size is the schedule {self.step_size!r}, under which nothing settles")
        return self.second_moments.scheme_settles(self._scheme_at(solver, substeps))

    def stationary(self, settled_only: bool = False) -> StationaryLaw:
        """Exact mean, covariance and expected risk of the stationary law.

        Parameters
        ----------
        settled_only : bool
            As in `SGD.stationary`.

        Raises
        ------
        NoStationaryLaw
            If the mean does not settle, because the objective has a negative curvature.
        InfiniteVariance
            If the second moment does not settle; `.threshold` is the step size at which it ceases to.
        """
        return self.second_moments.stationary(settled_only)

    def stability(self) -> Stability:
        """Step sizes below which mean and second moment settle. Continuous time keeps the mean stable at all."""
        return self.second_moments.stability()

    def modal_step(self, solver: str | Scheme, substeps: int, size: float | None = None) -> ModalStep:
        """One increment of a scheme with closed moments, in modes: of `size` SGD steps, or of 1 / substeps."""
        chosen = find_scheme(solver)
        if self.always_exact and not isinstance(chosen, LibraryScheme):
            chosen = find_scheme("exponential_euler")
        if not isinstance(chosen, ModalScheme) or chosen.name not in self.solvers:
            raise InvalidInput(
                f"solver {chosen.name!r} has no closed moments for {self.label}; {', '.join(map(repr, self.solvers))} "
                "have them, and simulate takes every scheme that treats its noise"
            )
        size = 1 / whole_number("substeps", substeps, 1) if size is None else size
        growth = self.step_size**2 / self.batch_size * float(np.square(self.quadratic.eigenvalues).sum())
        return chosen.modal_step(self.rates, self.step_size**2, size, growth)

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
        solver: str | Scheme = "euler",
        substeps: int = 1,
        first_path: int = 0,
        keep_state: bool = False,
        until: Until | Mapping[str, Any] | None = None,
    ) -> xarray.Dataset:
        """Simulate independent paths; arguments and errors as in `sgdlimits.ensembles.run`.

        Parameters
        ----------
        solver : name in `SCHEMES`, or a scheme
            The class's `solvers` run in fused kernels; other schemes step many paths at a time in NumPy.
        substeps : int
            Increments of the scheme per SGD step.

        Returns
        -------
        xarray.Dataset
            One variable an observable, with dims (path, step[, coordinate]); coordinate `time` in the process's
            clock. The same bits for the same seed, whatever the threads and the chunk size.
        """
        chosen = find_scheme(solver)
        fused = chosen.name in self.solvers or (self.always_exact and not isinstance(chosen, LibraryScheme))
        if isinstance(self.problem, QuadraticProblem):
            self.problem.check_centre()  # the kernels run in modes about the minimiser
            self.second_moments.warn_if_unstable(self._scheme_at(chosen, substeps) if fused else None)
        if isinstance(self.step_size, StepSizes):
            if not fused:
                raise InvalidInput(
                    f"solver {chosen.name!r} takes one step size, but step_size is the schedule {self.step_size!r}: "
                    f"take one of {', '.join(map(repr, self.solvers))}"
                )
            simulator = scheduled_simulator(
                lambda size: self.at(size).simulator(chosen.name, substeps), self.step_size
            )
        elif fused:
            simulator = self.simulator(chosen.name, substeps)
        else:
            simulator = process_simulator(self, chosen, substeps, steps, x0, seed, quality)
        hidden = "" if self.always_exact and fused else unseen(chosen)
        ensemble = run(
            simulator, x0, paths=paths, steps=steps, record=record, observables=observables,
            seed=seed, quality=quality, threads=threads, chunk=chunk, progress=progress, first_path=first_path,
            keep_state=keep_state, until=until, local_noise=hidden or process_noise(self, simulator),
        )  # fmt: skip
        attributes = self._attributes(chosen.name, substeps)
        return ensemble_dataset(ensemble, attributes, self.clock.time(ensemble.record), self)

    def _attributes(self, solver: str | None, substeps: int) -> dict[str, Any]:
        attributes = {
            "process": self.label, "problem": repr(self.problem),
            "step_size": repr(self.step_size) if isinstance(self.step_size, StepSizes) else self.step_size,
            "batch_size": self.batch_size, "label_noise": self.label_noise, "clock": repr(self.clock),
        }  # fmt: skip
        return attributes if solver is None else {**attributes, "solver": solver, "substeps": substeps}


def check_settings(process: Any) -> None:
    """Bring the fields that every diffusion shares into their form, or raise."""
    if not isinstance(process.problem, Objective):
        raise InvalidInput(
            f"problem must be one of sgdlimits.problems, got {kind(process.problem)}; LeastSquares and "
            "StreamingLeastSquares can be used"
        )
    object.__setattr__(process, "step_size", step_size_or_schedule(process.step_size))
    object.__setattr__(process, "batch_size", whole_number("batch_size", process.batch_size, 1))
    object.__setattr__(process, "label_noise", non_negative("label_noise", process.label_noise))


def check_quadratic(process: Any) -> None:
    """Raise unless the problem is least squares, for a process that exists there alone."""
    if not process.problem.quadratic:
        raise InvalidInput(
            f"{process.label} is built from the Hessian and risk of least squares (LeastSquares, "
            f"StreamingLeastSquares), got {type(process.problem).__name__}; for this loss use ModifiedEquation "
            "or GradientFlow, or OrnsteinUhlenbeck about a minimum"
        )

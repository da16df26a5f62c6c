"""Gradient flow: SGD's limit without noise, itself of weak order 1."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.ensembles.initial import recorded_steps
from sgdlimits.ensembles.progress import Patience
from sgdlimits.ensembles.random import Noise
from sgdlimits.ensembles.results import flow_dataset
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock, SummedClock, gradient_flow_clock
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths, points, positive, whole_number
from sgdlimits.exact.noise_maps import ConstantNoise
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.problem import Problem

from .array_form import ArrayForm, FormDiffusion
from .diffusion import Diffusion, check_settings
from .flow_simulator import FlowSimulator
from .linear_forms import frozen, is_quadratic, linear_form, loss_form, no_noise
from .simulators import dense_simulator
from .gaussian_tails import GaussianTails

if TYPE_CHECKING:
    import xarray

LOOSER = 100.0  # tolerances of the second solution, whose distance to the first is the stated error


@dataclass(frozen=True, eq=False)
class GradientFlow(GaussianTails, Diffusion):
    """dX = -grad f(X) dt in gradient-flow time: one step is the step size. Any problem with a gradient.

    In closed form on least squares; elsewhere by the Runge-Kutta method DOP853 of SciPy, explicit and adaptive, and its
    interpolation between increments. On an endless stream the gradient is that of `problem.risk`, the mean over its
    first `evaluated` samples; where an expected loss is known by formula, take that: `task.population`.

    A ReLU makes the gradient jump at kinks. An increment across a jump J is shortened until its error, about its length
    times J, is below the tolerance: each crossing adds an error of that size, and costs some tens of gradients, so that
    stored rows (a stream's `evaluated` ones too) with as many kinks as rows times units take minutes. A path
    that slides along a kink crosses it over and over, in increments of about the tolerance: rtol=1e-6 makes that
    cheap, and 1e-10 is refused. Expected losses have no kinks.

    Parameters
    ----------
    problem : any of `sgdlimits.problems` with `gradient`
    step_size : float, or function of the step
        Sets the clock.
    batch_size, label_noise
        Kept so that the flow shares its settings with an SGD; without noise they change nothing.
    drift_order : 1 or 2
        2: dX = -grad(f + (step_size / 4) |grad f|^2)(X) dt, from which gradient descent differs by
        O(step_size^2) and no longer by O(step_size).
    rtol, atol : float
        Estimated error of one increment in each coordinate, at most atol + rtol |x|. `solve` estimates that of the
        result.
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    label_noise: float = 0.0
    drift_order: int = 1
    rtol: float = 1e-10
    atol: float = 1e-12

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "weak approximation of SGD of order 1: the noise of a step is of the order of the squared step size",
            ("smooth loss", "fixed gradient-flow time"),
            "derived",
            1.0,
        ),
    )
    noise_type: ClassVar[str] = "additive"
    solvers: ClassVar[tuple[str, ...]] = ("euler", "exponential_euler", "strang")
    always_exact: ClassVar[bool] = True
    weak_order: ClassVar[int] = 1
    stationary_in_words: ClassVar[str] = "a point, as there is no noise"

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "drift_order", whole_number("drift_order", self.drift_order, 1, 2))
        for name in ("rtol", "atol"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        if self.rtol < 1e-13:
            raise InvalidInput(f"rtol is {self.rtol:g}, below the rounding of a gradient; take 1e-13 at least")
        if self.drift_order == 1 or is_quadratic(self):
            return
        if not self.problem.sampled:
            raise InvalidInput(
                f"drift_order=2 needs Hessians times gradients, which {type(self.problem).__name__} does not give: "
                "take drift_order=1"
            )
        if isinstance(self.step_size, StepSizes):
            raise InvalidInput(
                f"drift_order=2 is known for one step size on {type(self.problem).__name__}, and step_size is the "
                f"schedule {self.step_size!r}"
            )

    @property
    def label(self) -> str:
        """Short name."""
        return "gradient flow" if self.drift_order == 1 else "gradient flow, drift of order 2"

    @property
    def clock(self) -> Clock | SummedClock:
        """One step is step_size in gradient-flow time."""
        return gradient_flow_clock(self.step_size)

    @property
    def noise_dimension(self) -> int:
        """1: a Brownian motion that moves nothing."""
        return 1

    def noise_of(self, factor: float, label_variance: float) -> ConstantNoise:
        """None: zero (d, d)."""
        return ConstantNoise(np.zeros((self.dimension, self.dimension)))

    def array_form(self) -> ArrayForm:
        """Drift and no noise."""
        if not is_quadratic(self):
            return loss_form(self, 1, no_noise)
        return linear_form(self, 1, "matrix", frozen, root=np.zeros((self.dimension, 1)))

    def in_modes(self) -> FormDiffusion | None:
        """The flow in the eigenbasis of least squares."""
        return FormDiffusion.of(self._form, float(self.clock) * self.rates, self.label) if is_quadratic(self) else None

    def simulator(self, solver: str = "euler", substeps: int = 1, size: float | None = None) -> Simulator:
        """What the engine advances: the exact flow on least squares, an adaptive solver elsewhere.

        Every scheme of this package is accepted, so that one call can simulate it with other diffusions; the flow
        itself is always solved, to rounding or to its tolerances. Another library's solver is run as asked.
        """
        size = 1.0 if size is None else size
        if is_quadratic(self):
            no_noise = np.zeros((self.dimension, 0))
            return dense_simulator(self.label, self.problem, 1, np.exp(-size * self.rates), no_noise)
        return self._solver(size)

    def _solver(
        self, size: float = 1.0, looser: float = 1.0, look: Callable[[], None] = lambda: None
    ) -> FlowSimulator:
        problem, step_size, twice = self.problem, self.step_size, self.drift_order == 2

        def velocity(x: np.ndarray) -> np.ndarray:
            look()
            slope = problem.gradient(x)
            return -(slope + 0.5 * step_size * problem.hessian_times_gradient(x, slope)) if twice else -slope

        length = step_size if isinstance(step_size, StepSizes) else size * step_size
        rtol, atol = min(looser * self.rtol, 0.1), looser * self.atol
        return FlowSimulator(problem, velocity, length, rtol, atol, name=self.label)

    def solve(self, x0: Any, steps: int, record: int | Sequence[int] | None = None) -> xarray.Dataset:
        """Positions and risks from each start, with their errors: in closed form on least squares, solved elsewhere.

        Parameters
        ----------
        x0 : array (d,) or (paths, d)
        steps : int
            SGD steps; step k is the flow's time k step_size, or the sum of a schedule.
        record : None, int or sequence of int
            Steps to keep: about 50 by default.

        Returns
        -------
        xarray.Dataset
            `state(path, step, coordinate)`, `risk(path, step)` without the ridge, and `state_error(path, step)` (a
            norm) and `risk_error(path, step)`: distances to a second solution with tolerances 100 times as loose, 0 in
            closed form. `explosion(path)`: flow time at which a path reaches infinity, inf where none was met; risk and
            errors are inf from there on.

        Raises
        ------
        InvalidInput
            If an argument cannot be used, or the flow is stiff or slides along a kink.

        Warns
        -----
        OverflowedPaths
            If a path explodes in finite time, or leaves the range of numbers.
        """
        starts = points("x0", x0, self.dimension).reshape(-1, self.dimension)
        if not len(starts):
            raise InvalidInput(f"x0 must hold at least one start, got shape {np.shape(x0)}")
        kept = recorded_steps(record, whole_number("steps", steps))
        if is_quadratic(self):
            states, explosion = self._closed(starts, kept), np.full(len(starts), np.inf)
            apart = np.zeros(states.shape[:2])
            risks = self._values(states)
            found = {"state": states, "risk": risks, "state_error": apart, "risk_error": apart.copy()}
        else:
            (states, explosion), (rough, _) = (self._walked(starts, kept, looser) for looser in (1.0, LOOSER))
            risks, others = self._values(states), self._values(rough)
            with np.errstate(invalid="ignore"):
                apart = np.sqrt(np.square(states - rough).sum(axis=2))
                found = {"state": states, "risk": risks, "state_error": apart, "risk_error": np.abs(risks - others)}
        gone = ~np.isfinite(states).all(axis=2)
        for name in ("risk", "state_error", "risk_error"):
            found[name] = np.where(gone, np.inf, found[name])
        if gone.any():
            first = int(np.flatnonzero(gone.any(axis=1))[0])
            when = f" at flow time {explosion[first]:.6g}" if math.isfinite(explosion[first]) else ""
            warnings.warn(
                f"gradient flow from {gone.any(axis=1).sum()} of {len(starts)} starts leaves the range of numbers, "
                f"path {first}{when}: its risk is inf from there on; the loss is not bounded below, or x0 lies outside "
                "the basin of a minimum",
                OverflowedPaths,
                stacklevel=2,
            )
        told = self._attributes(None, 1) | {"rtol": self.rtol, "atol": self.atol}
        return flow_dataset(kept, found | {"explosion": explosion}, told, self.clock.time(kept))

    def _closed(self, starts: np.ndarray, kept: np.ndarray) -> np.ndarray:
        self.quadratic.check_centre()
        grid = np.union1d(0, kept)
        with np.errstate(over="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            means = [self.moments(x, int(kept[-1]), grid.tolist(), ("mean",))["mean"].values for x in starts]
        return np.array(means)[:, np.isin(grid, kept)]

    def _walked(self, starts: np.ndarray, kept: np.ndarray, looser: float) -> tuple[np.ndarray, np.ndarray]:
        patience, gradients, at, states = Patience("gradient flow"), 0, 0, []

        def look() -> None:
            nonlocal gradients
            gradients += 1
            patience.look(lambda: f"past step {at} of {kept[-1]}, {gradients} gradients at rtol {looser * self.rtol:g}")

        simulator, noise = self._solver(looser=looser, look=look), Noise(0, np.arange(len(starts)))
        state = simulator.start(starts, noise)
        for step in kept.tolist():
            simulator.advance(state, at, step, noise)
            at = step
            states.append(simulator.positions(state))
        return np.stack(states, axis=1), state.gone[state.member]

    def _values(self, states: np.ndarray) -> np.ndarray:
        """Risks (paths, steps), inf where a position is."""
        value = self.problem.risk if isinstance(self.problem, Problem) else self.problem.loss
        lost = ~np.isfinite(states).all(axis=2)
        return np.where(lost, np.inf, value(np.where(lost[..., None], 0.0, states)))

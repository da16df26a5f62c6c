"""Gradient flow: SGD's limit without noise, itself of weak order 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock, SummedClock, gradient_flow_clock
from sgdlimits.exact.noise_maps import ConstantNoise
from sgdlimits.exact.tail_index import TailIndex

from .array_form import ArrayForm, FormDiffusion
from .diffusion import Diffusion, check_settings
from .linear_forms import frozen, is_quadratic, linear_form, loss_form, no_noise
from .simulators import FlowSimulator, dense_simulator
from .tails import gaussian_tail_index


@dataclass(frozen=True, eq=False)
class GradientFlow(Diffusion):
    """dX = -grad f(X) dt in gradient-flow time: one step is the step size. Any problem with a gradient.

    Parameters
    ----------
    problem : any of `sgdlimits.problems` with `gradient`
    step_size : float, or function of the step
        Sets the clock.
    batch_size, label_noise
        Kept so that the flow shares its settings with an SGD; without noise they change nothing.
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    label_noise: float = 0.0

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
    drift_order: ClassVar[int] = 1
    tail_index_closed: ClassVar[bool] = True
    label: ClassVar[str] = "gradient flow"

    def __post_init__(self) -> None:
        check_settings(self)

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

    def fourth_moments_settle(self) -> bool:
        """Whether the mean settles: the law is Gaussian about it, so that every moment then does."""
        return bool(self.quadratic.curvatures.min() >= 0)

    def tail_index(self) -> TailIndex:
        """Infinite: the stationary law is a point. It is not the index of SGD.

        Raises
        ------
        NoStationaryLaw
            If the objective has a negative curvature.
        InvalidInput
            If the step size is a schedule, or the objective is no quadratic, or flat.
        """
        return gaussian_tail_index(self, "a point, as there is no noise")

    def simulator(self, solver: str = "euler", substeps: int = 1, size: float | None = None) -> Simulator:
        """What the engine advances: the exact flow on least squares, an adaptive solver elsewhere.

        Every scheme of this package is accepted, so that one call can simulate it with other diffusions; the flow
        itself is always solved to rounding, or to a relative 1e-10 a step. Another library's solver is run as asked.
        """
        size = 1.0 if size is None else size
        if is_quadratic(self):
            no_noise = np.zeros((self.dimension, 0))
            return dense_simulator(self.label, self.problem, 1, np.exp(-size * self.rates), no_noise)
        return FlowSimulator(self.problem, size * self.step_size)

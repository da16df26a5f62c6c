"""The Ornstein-Uhlenbeck process: gradient noise frozen at the minimiser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock, SummedClock, gradient_flow_clock
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.noise_maps import ConstantNoise
from sgdlimits.problems.local_quadratic import LocalQuadratic

from .array_form import ArrayForm, FormDiffusion
from .diffusion import Diffusion, check_quadratic, check_settings
from .linear_forms import frozen, linear_form, root_of
from .simulators import dense_simulator
from .gaussian_tails import GaussianTails


@dataclass(frozen=True, eq=False)
class OrnsteinUhlenbeck(GaussianTails, Diffusion):
    """dX = -grad f(X) dt + sqrt(eta C(m) / B) dW in gradient-flow time, C(m) the true covariance at the minimiser.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares or NoisyQuadratic, or a smooth loss over samples
        Of a smooth loss its quadratic about a minimum is taken (`problem` then holds it, and `risk` is its value).
    step_size : float, or function of the step
    batch_size : int
    label_noise : float
        Standard deviation of fresh noise on every drawn label.
    minimiser : (d,) array, optional
        A point near a minimum of a smooth loss; default: one that descent finds from the origin.
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    label_noise: float = 0.0
    minimiser: np.ndarray | None = None

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "near a minimiser SGD is modelled by an Ornstein-Uhlenbeck process with the noise of the minimiser "
            "(origin of the process)",
            ("constant gradient covariance", "small step size", "quadratic loss"),
            "mandt2017",
        ),
    )
    noise_type: ClassVar[str] = "additive"
    solvers: ClassVar[tuple[str, ...]] = ("euler", "exponential_euler")
    weak_order: ClassVar[int] = 1
    drift_order: ClassVar[int] = 1
    stationary_in_words: ClassVar[str] = "Gaussian, as the noise is the same everywhere"
    label: ClassVar[str] = "Ornstein-Uhlenbeck"

    def __post_init__(self) -> None:
        check_settings(self)
        if self.problem.sampled and not self.problem.quadratic:
            if self.label_noise:
                raise InvalidInput("label_noise must be 0: only least squares has labels to add it to")
            object.__setattr__(self, "problem", LocalQuadratic(self.problem, self.minimiser))
        elif self.minimiser is not None:
            raise InvalidInput("minimiser is for losses that are no least squares, whose minimum is known")
        object.__setattr__(self, "minimiser", None)  # the problem holds it
        check_quadratic(self)

    @property
    def clock(self) -> Clock | SummedClock:
        """One step is step_size in gradient-flow time."""
        return gradient_flow_clock(self.step_size)

    @property
    def noise_dimension(self) -> int:
        """Brownian motions that drive it: d."""
        return self.dimension

    def noise_of(self, factor: float, label_variance: float) -> ConstantNoise:
        """Covariance (d, d) of the batch gradient at the minimiser, in modes, whatever the moments."""
        d = self.dimension
        return ConstantNoise(self.quadratic.gradient_noise_map(factor, label_variance)(np.zeros((d, d)), np.zeros(d)))

    def array_form(self) -> ArrayForm:
        """Drift, and sqrt(eta) times a root (d, d) of the frozen covariance."""
        root = np.sqrt(self.step_size) * root_of(cast(ConstantNoise, self.noise_map).covariance)
        return linear_form(self, self.dimension, "matrix", frozen, root=root)

    def in_modes(self) -> FormDiffusion:
        """The process in the eigenbasis."""
        return FormDiffusion.of(self._form, float(self.clock) * self.rates, self.label)

    def simulator(self, solver: str = "euler", substeps: int = 1, size: float | None = None) -> Simulator:
        """What the engine advances; exponential Euler samples the exact law."""
        step = self.modal_step(solver, substeps, size)
        root = root_of(step.weights * cast(ConstantNoise, self.noise_map).covariance)
        return dense_simulator(f"{self.label} by {solver}", self.problem, substeps, step.decay_after_noise, root)

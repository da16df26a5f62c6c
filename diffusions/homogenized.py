"""Homogenized SGD: the gradient covariance replaced by 2 L(x) H, which closes everything in the eigenbasis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.exact import fourth_moments
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, non_negative, whole_number
from sgdlimits.exact.index_sensitivities import TailIndexSensitivities
from sgdlimits.exact.noise_maps import NoiseMap
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import MomentThreshold
from sgdlimits.exact.tail_claims import HOMOGENIZED_TAILS
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.exact.tail_index_bounds import TailIndexBounds

from .array_form import ArrayForm
from .diffusion import Diffusion, check_quadratic, check_settings
from .homogenized_modes import HomogenizedModes
from .linear_forms import level_times_spread, linear_form, risk_level
from .simulators import diagonal_simulator
from .solvers import find_scheme
from .even_moments import WithEvenMoments
from .index_sensitivities import homogenized_sensitivities
from .moment_threshold import homogenized_threshold
from .tails import diffusion_tail_index, homogenized_tail_bounds

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, eq=False)
class HomogenizedSGD(WithEvenMoments, Diffusion):
    """dX = -eta grad f(X) dt + eta sqrt((2 L(X) + s^2) H / B) dW in step time: one step is one unit.

    L is the risk without the ridge, H its Hessian, eta the step size, B the batch size and s the label noise. In
    the eigenbasis of H it costs O(d) a step. At every finite time all moments are finite. Formula hsgd-equation.

    Parameters
    ----------
    problem : LeastSquares or StreamingLeastSquares
    step_size : float, or function of the step
    batch_size : int
    drift_order : 1 or 2
        2 adds the drift -(eta^2 / 4) grad |grad f|^2 of the modified equation of order 2.
    label_noise : float
        Standard deviation s of fresh noise on every drawn label.
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    drift_order: int = 1
    label_noise: float = 0.0

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "introduced for the limit in which samples and dimension grow together, where the risk of SGD follows it "
            "(origin of the process; constants and rates of that theorem are not used here)",
            ("least squares with a ridge", "data in general position", "step size below the threshold"),
            "paquette2022",
        ),
        Claim(
            "weak order 1 in the step size at fixed data; mean of order 2 with drift_order=2",
            ("least squares", "fixed gradient-flow time"),
            "derived",
            1.0,
        ),
    )
    tail_claims: ClassVar[tuple[Claim, ...]] = HOMOGENIZED_TAILS
    noise_type: ClassVar[str] = "general"
    solvers: ClassVar[tuple[str, ...]] = (
        "euler",
        "exponential_euler",
        "strang",
        "weak_euler",
        "weak_strang",
    )
    weak_order: ClassVar[int] = 1

    def __post_init__(self) -> None:
        check_settings(self)
        object.__setattr__(self, "drift_order", whole_number("drift_order", self.drift_order, 1, 2))
        check_quadratic(self)
        if self.problem.additive:
            raise InvalidInput(
                f"the noise of {type(self.problem).__name__} is the same everywhere, and that of homogenized SGD goes "
                "with the risk: use OrnsteinUhlenbeck or ModifiedEquation"
            )

    @property
    def label(self) -> str:
        """Short name."""
        return "homogenized SGD" + (", drift of order 2" if self.drift_order == 2 else "")

    @property
    def clock(self) -> Clock:
        """One step is one unit of time."""
        return Clock(1.0, "1")

    @property
    def noise_dimension(self) -> int:
        """Brownian motions that drive it: d."""
        return self.dimension

    @property
    def floor(self) -> float:
        """Noise level 2 L + s^2 at the minimiser."""
        return 2 * self.problem.risk_at_minimiser + self.label_noise**2

    def noise_of(self, factor: float, label_variance: float) -> NoiseMap:
        """(2 E L factor + label_variance) H in modes, from moments of the modes."""
        return self.quadratic.homogenized_noise_map(factor, label_variance)

    def array_form(self) -> ArrayForm:
        """Drift, and the diagonal eta sqrt((2 L + s^2) Lambda / B) in modes."""
        spread = self.step_size * np.sqrt(self.problem.eigenvalues / self.batch_size)
        level = risk_level(self.problem, self.label_noise)
        return linear_form(self, self.dimension, "diagonal", level_times_spread, spread=spread, **level)

    def fourth_moments_settle(self) -> bool:
        """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found."""
        eigenvalues = self.quadratic.eigenvalues
        if isinstance(self.step_size, StepSizes):
            return False
        return fourth_moments.homogenized_settles(eigenvalues, self.rates, self.step_size, self.batch_size)

    def tail_index_bounds(self) -> TailIndexBounds:
        """Bounds (lower, upper) of the tail index of the stationary law, on both sides of the threshold. Derived.

        Below the step size up to which the second moment is finite, eta_* <= index <= eta^*; above it other bounds hold
        (the module `sgdlimits.exact.tail_index_bounds` has formulas and proofs). Label noise moves neither; with
        drift_order=2 they hold of its own rates; coordinates on which neither data nor ridge acts are left out.

        Raises
        ------
        PositiveLyapunovExponent
            If the upper bound shows that no stationary law exists.
        NoStationaryLaw
            If the descended objective has a negative curvature.
        InvalidInput
            If the step size is a schedule, the data are all zero, or the noise vanishes at the minimiser.
        """
        return homogenized_tail_bounds(self)

    def moment_threshold(
        self, order: float = 2.0, precision: float = 0.0, seed: int = 0, threads: int | None = None
    ) -> MomentThreshold:
        """The step size, at this batch size, at which the tail index is `order`: E |X|^order ceases to be finite.

        At order 0 the last step size with a stationary law; inf where there is none. In closed form in one dimension
        and where all directions are alike, at order 2 by the noise's feedback on itself, else as a root of the index
        between its bounds, or by populations, whose `error` is half a 99 % interval. It is in proportion to the batch
        size (drift_order 1). The process's own step size does not matter.

        Parameters
        ----------
        order : float
        precision : float
            As in `tail_index`.
        seed, threads
            Of populations.

        Raises
        ------
        InvalidInput, NoStationaryLaw
            As in `tail_index_bounds`.
        OutOfReach
            If no such step size is found.
        """
        return homogenized_threshold(self, order, precision, seed, threads)

    def tail_index(self, seed: int = 0, threads: int | None = None, precision: float = 0.0) -> TailIndex:
        """Tail index of the stationary law: E |X|^p is finite below it and infinite above. Derived.

        The positive root of the moment Lyapunov exponent of the linear part: closed in one dimension and where all
        directions are alike, else from the spectrum of its generator on directions; where that does not resolve it,
        from populations, which `seed` and `threads` are for. An infinite index has a note that says why.

        Parameters
        ----------
        seed, threads
        precision : float
            Relative change of the spectrum's root that is small enough: 1e-4 takes a tenth of the time of all digits.

        Raises
        ------
        PositiveLyapunovExponent
            If paths do not settle; `.lyapunov_exponent` holds the rate.
        NoStationaryLaw, InvalidInput
            As in `tail_index_bounds`; a negative curvature alone is no obstacle, as the noise may outweigh it.
        """
        return diffusion_tail_index(self, seed, threads, non_negative("precision", precision))

    def tail_index_sensitivities(
        self, parameters: Sequence[str] | None = None, seed: int = 0, threads: int | None = None
    ) -> TailIndexSensitivities:
        """Derivatives of the tail index in step size, ridge, each eigenvalue and batch size, which is any real number.

        By the implicit function of the moment exponent, Lambda(index) = 0: in closed form in one dimension and where
        all directions are alike, else from the spectrum of the generator, with its error. Derived. The index depends on
        step size over batch size alone (drift_order 1), and keeps its value where eigenvalues and ridge grow and the
        step size falls by one factor.

        Parameters
        ----------
        parameters : names among "step_size", "ridge", "eigenvalue", "batch_size", optional
            All by default, at the price of about one.
        seed, threads
            As in `tail_index`.

        Raises
        ------
        PositiveLyapunovExponent, NoStationaryLaw, InvalidInput
            As in `tail_index`; also if the index is infinite.
        OutOfReach
            If the spectrum does not resolve them.
        """
        return homogenized_sensitivities(self, parameters, seed, threads)

    def in_modes(self) -> HomogenizedModes:
        """The process in the eigenbasis, for schemes without a kernel of their own."""
        return HomogenizedModes.of(self._form, self.rates, self.label)

    def simulator(self, solver: str = "euler", substeps: int = 1, size: float | None = None) -> Simulator:
        """What the engine advances: one fused kernel for all these schemes.

        With `size`, a step of the engine is one increment of that many SGD steps, and `substeps` is 1.
        """
        problem, step = self.problem, self.modal_step(solver, substeps, size)
        weights, before = np.diagonal(step.weights) * problem.eigenvalues / self.batch_size, step.decay_before_noise
        return diagonal_simulator(
            f"{self.label} by {solver}", problem, substeps, before, before * step.decay_after_noise,
            before * np.sqrt(weights), self.floor, 2 * problem.risk_slope, problem.eigenvalues,
            find_scheme(solver).increments == "two_point",
        )  # fmt: skip

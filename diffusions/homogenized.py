"""Homogenized SGD: the gradient covariance replaced by 2 L(x) H, which closes everything in the eigenbasis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.ensembles.engine import Simulator
from sgdlimits.exact import fourth_moments
from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import whole_number
from sgdlimits.exact.moment_flows import propagate_rank_one

from .array_form import ArrayForm
from .diffusion import Diffusion, check_quadratic, check_settings
from .modal import ModalStep
from .homogenized_modes import HomogenizedModes
from .linear_forms import level_times_spread, linear_form, risk_level
from .simulators import diagonal_simulator
from .solvers import find_scheme


@dataclass(frozen=True, eq=False)
class HomogenizedSGD(Diffusion):
    """dX = -eta grad f(X) dt + eta sqrt((2 L(X) + s^2) H / B) dW in step time: one step is one unit.

    L is the risk without the ridge, H its Hessian, eta the step size, B the batch size and s the label noise. In
    the eigenbasis of H it costs O(d) a step. At every finite time all moments are finite.

    Parameters
    ----------
    problem : LeastSquares or StreamingLeastSquares
    step_size : float
    batch_size : int
    drift_order : 1 or 2
        2 adds the drift -(eta^2 / 4) grad |grad f|^2 of the modified equation of order 2.
    label_noise : float
        Standard deviation s of fresh noise on every drawn label.
    """

    problem: Any
    step_size: float
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

    def noise_map(self, second: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """(2 E L + s^2) H / B in modes (d, d), from moments of the modes."""
        noise = self.problem.homogenized_noise_map(second, mean) / self.batch_size
        noise[np.diag_indices_from(noise)] += self.label_noise**2 / self.batch_size * self.problem.eigenvalues
        return noise

    def array_form(self) -> ArrayForm:
        """Drift, and the diagonal eta sqrt((2 L + s^2) Lambda / B) in modes."""
        spread = self.step_size * np.sqrt(self.problem.eigenvalues / self.batch_size)
        level = risk_level(self.problem, self.label_noise)
        return linear_form(self, self.dimension, "diagonal", level_times_spread, spread=spread, **level)

    def propagate(
        self, mean: np.ndarray, covariance: np.ndarray, steps: Sequence[int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exact moments of the modes at increasing steps: the variances close among themselves."""
        eigenvalues = self.problem.eigenvalues
        return propagate_rank_one(
            self.rates, self.step_size**2 / self.batch_size * eigenvalues, eigenvalues,
            2 * self.problem.risk_slope, self.floor, mean, covariance, steps,
        )  # fmt: skip

    def noise_gain(self, step_size: float) -> float:
        """Fraction of the stationary noise level that the noise itself feeds: (eta^2 / B) sum lambda^2 / (2 r)."""
        curvatures, eigenvalues = self.problem.curvatures, self.problem.eigenvalues
        active = eigenvalues > 0
        rates = curvatures[active] * (1 + (0.5 * step_size * curvatures[active] if self.drift_order == 2 else 0.0))
        return float(step_size / self.batch_size * (eigenvalues[active] ** 2 / (2 * rates)).sum())

    def mean_square_threshold(self) -> float:
        """2 B / sum(lambda^2 / (lambda + ridge)); with the drift of order 2 a root, or inf."""
        if self.drift_order == 1:
            gain = self.noise_gain(1.0)
            return 1 / gain if gain > 0 else np.inf
        return crossing(self.noise_gain, 1 / max(self.problem.curvatures.max(), 1e-300))

    def settles(self, scheme: ModalStep | None = None) -> bool:
        """Whether the noise feeds itself by less than the whole; O(d)."""
        if scheme is None:
            return self.noise_gain(self.step_size) < 1
        active = self.problem.eigenvalues > 0
        before, eigenvalues = scheme.decay_before_noise, self.problem.eigenvalues
        strength = np.diagonal(scheme.weights) * (before * eigenvalues) ** 2 / self.batch_size
        kept = (before * scheme.decay_after_noise) ** 2
        return bool((kept[active] < 1).all() and (strength[active] / (1 - kept[active])).sum() < 1)

    def fourth_moments_settle(self) -> bool:
        """Whether the stationary fourth moment is proved to be finite; False says only that no proof was found."""
        eigenvalues = self.quadratic.eigenvalues
        return fourth_moments.homogenized_settles(eigenvalues, self.rates, self.step_size, self.batch_size)

    def stationary_covariance(self) -> np.ndarray:
        """Stationary covariance (d, d) of the modes: diagonal."""
        gain, eigenvalues, rates = self.noise_gain(self.step_size), self.problem.eigenvalues, self.rates
        level = self.floor / (1 - gain)
        safe = np.where(eigenvalues > 0, rates, 1.0)
        return np.diag(self.step_size**2 / self.batch_size * level * eigenvalues / (2 * safe))

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


def crossing(gain: Any, scale: float) -> float:
    """Step size at which an increasing gain reaches one; inf if it never does."""
    from scipy.optimize import brentq

    high = scale
    while gain(high) < 1:
        high *= 4
        if high > 1e12 * scale:
            return np.inf
    return float(brentq(lambda step_size: gain(step_size) - 1, 0.0, high, xtol=1e-300, rtol=1e-14))

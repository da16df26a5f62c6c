"""The limit of sign descent under Gaussian gradient noise. Derived.

With g_j = slope_j + deviation_j xi_j, E sign(g_j) = b_j = erf(slope_j / (sqrt(2) deviation_j)) and the variance is
1 - b_j^2. One step moves x by -eta b and noise; a diffusion with the drift c moves it by eta c + eta^2 c' c / 2, so
that c = -b - eta b' b / 2 leaves eta^3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import whole_number
from sgdlimits.exact.ladders import STEP_SIZE, Ladder
from sgdlimits.exact.numerical_derivatives import slope_along

from .optimiser_limit import OptimiserLimit


@dataclass(frozen=True, eq=False)
class SignSDE(OptimiserLimit):
    """dX_j = -b_j(X) dt + sqrt(step_size (1 - b_j(X)^2)) dW_j, b_j = erf(grad_j f / (sqrt(2) s_j)).

    One step is step_size. s_j is the standard deviation of coordinate j of the batch's gradient: b_j is the mean of its
    sign where the noise is Gaussian. Correlations between the signs of two coordinates are left out. Where s_j = 0, b_j
    is the sign of the slope.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares, or a loss over stored samples
    step_size : float
    batch_size : int
    order : 1 or 2
        2: with the drift -b - step_size b' b / 2, where signs of coordinates are uncorrelated.
    sampling : "with_replacement" or "without_replacement"
    label_noise : float

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    """

    problem: Any
    step_size: Any
    batch_size: int = 1
    order: int = 1
    sampling: str = "with_replacement"
    label_noise: float = 0.0

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "weak approximation of sign descent in the step size, of order 1, or 2 with the corrected drift (measured "
            "by compare.orders; the wrong diffusion step_size I has order 1 too, with another constant)",
            ("Gaussian gradient noise, independent from coordinate to coordinate", "a finite time step_size * steps"),
            "derived",
            1.0,
        ),
    )
    noise_type: ClassVar[str] = "general"
    limit_of: ClassVar[str] = "sign descent (SignSGD)"
    linear: ClassVar[None] = None
    diagonal_matrix: ClassVar[bool] = True
    slots: ClassVar[int] = 0
    ladder: ClassVar[Ladder] = STEP_SIZE
    law_solver: ClassVar[str] = "euler"

    def __post_init__(self) -> None:
        object.__setattr__(self, "order", whole_number("order", self.order, 1, 2))
        self.check_shared()

    @property
    def label(self) -> str:
        """Short name."""
        return "sign SDE" + (", order 2" if self.order == 2 else "")

    @property
    def clock(self) -> Clock:
        """One step is step_size."""
        return Clock(1 / self.step_size, "step_size")

    @property
    def weak_order(self) -> int:
        """Claimed weak order in the step size."""
        return self.order

    @property
    def noise_dimension(self) -> int:
        """Brownian motions: d."""
        return self.dimension

    @classmethod
    def settings_of(cls, rule: Any) -> dict[str, Any]:
        return {}

    def first_step(self, x: np.ndarray, gradient: np.ndarray) -> None:
        return None

    def mean_sign(self, x: np.ndarray) -> np.ndarray:
        """b (P, d) at positions (P, d)."""
        from scipy.special import erf

        slope, deviations = self.gradient.mean(x), np.sqrt(self.gradient.variances(x))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(slope == 0, 0.0, erf(slope / (np.sqrt(2) * deviations)))

    def start_slots(self) -> None:
        return None

    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift (P, d)."""
        (x,) = self.parts(z)
        mean = self.mean_sign(x)
        if self.order == 1:
            return -mean
        size = np.linalg.norm(mean, axis=1, keepdims=True)
        bent = size * slope_along(self.mean_sign, x, mean / np.where(size > 0, size, 1.0))
        return -mean - 0.5 * self.step_size * bent

    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diagonal (P, d) of the diffusion."""
        return np.sqrt(self.step_size * np.maximum(1 - np.square(self.mean_sign(*self.parts(z))), 0.0))

    def diffusion_product(self, t: Any, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times w (P, d)."""
        return self.diffusion(t, z) * w

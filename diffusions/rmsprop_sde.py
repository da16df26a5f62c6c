"""The limit of RMSProp in the scaling of Malladi, Lyu, Panigrahi and Arora (2022), in the rule's own units.

Their u is v / s^2, s the size of the gradient noise: (1 - alpha) / eta^2 = c, s eta and eps eta are fixed on the way to
the limit, one step is eta^2. As the scaled noise is what the batch's gradient has, nothing of it has to be stated. The
form of the equation is second-hand; its drift and noise are checked against a step of the rule, its order is measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, finite_array, flag, non_negative, positive, real_number
from sgdlimits.exact.ladders import NOISE, Held, Ladder

from .optimiser_limit import OptimiserLimit

SCALED_NOISE = (
    "gradient noise of a fixed law whose size times the step size is fixed: Gaussian, or of batches so large that it "
    "nearly is"
)
CLOSURE = (
    f"{OptimiserLimit.instead}; or of the optimiser itself take closure() of the discrete.SGD, an approximation that "
    "compare.closure puts beside paths"
)


@dataclass(frozen=True, eq=False)
class RMSPropSDE(OptimiserLimit):
    """dX = -(grad f(X) / eta dt + sqrt(C(X)) dW) / (sqrt(v) + eps), dv = c (E g^2 - v) dt; one step is eta^2.

    eta is the step size, c = (1 - alpha) / eta^2, C the covariance of the batch's gradient g. RMSProp starts with v =
    0, from where it has no limit: the variance of X grows like log(1 / eta). Without `second_moment` the equation
    therefore begins at step 1, after a step that RMSProp takes with Gaussian noise and with the mean of its v there; no
    order is claimed then. A limit of order 2 is absent: none is derived here. Nor is a stationary law known.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares, or a loss over stored samples
    step_size : float
    batch_size : int
    alpha, eps, weight_decay : float
        As in `discrete.rules.RMSProp`.
    second_moment : float or (d,) array, optional
        v at step 0, above zero.
    squared_gradient : bool
        Whether v relaxes to E g^2 = (grad f)^2 + diag C; False: to diag C, as in Malladi et al. The two differ by as
        much as the limit is wrong anyway where the gradient is mostly noise, and by more elsewhere.
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
    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    second_moment: Any = None
    squared_gradient: bool = True
    sampling: str = "with_replacement"
    label_noise: float = 0.0

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "weak approximation of RMSProp of order 1 in step_size^2 at (1 - alpha) / step_size^2, noise * step_size "
            "and eps * step_size held fixed (measured by compare.orders)",
            (SCALED_NOISE, "v starts above zero", "a finite time step_size^2 * steps"),
            "malladi2022",
            1.0,
        ),
    )
    noise_type: ClassVar[str] = "general"
    limit_of: ClassVar[str] = "RMSProp"
    linear: ClassVar[None] = None
    slots: ClassVar[int] = 1
    ladder: ClassVar[Ladder] = Ladder(
        (Held("alpha", 2.0, complement=True), Held(NOISE, -1.0), Held("eps", -1.0), Held("second_moment", -2.0)), 2.0
    )
    law_solver: ClassVar[str] = "euler"
    weak_order: ClassVar[int] = 1
    instead: ClassVar[str] = CLOSURE

    @property
    def claims_order(self) -> bool:
        """From a `second_moment` above zero alone: in the first steps from zero v is a mean of few squares."""
        return self.second_moment is not None

    def __post_init__(self) -> None:
        alpha = real_number("alpha", self.alpha)
        if not 0 <= alpha < 1:
            raise InvalidInput(f"alpha must be at least 0 and below 1, got {alpha!r}")
        object.__setattr__(self, "alpha", alpha)
        object.__setattr__(self, "eps", positive("eps", self.eps))
        object.__setattr__(self, "weight_decay", non_negative("weight_decay", self.weight_decay))
        object.__setattr__(self, "squared_gradient", flag("squared_gradient", self.squared_gradient))
        self.check_shared()
        if self.second_moment is not None:
            object.__setattr__(self, "second_moment", start_of(self.second_moment, self.dimension))

    @property
    def label(self) -> str:
        """Short name."""
        return "RMSProp SDE"

    @property
    def clock(self) -> Clock:
        """One step is step_size^2."""
        return Clock(self.step_size**-2, "step_size^2")

    @classmethod
    def settings_of(cls, rule: Any) -> dict[str, Any]:
        if rule.momentum or rule.centered:
            raise InvalidInput(
                f"{rule.label} with momentum={rule.momentum:g}, centered={rule.centered} has no limit here: RMSPropSDE "
                "is that of RMSProp without both; simulate the rule itself"
            )
        return {"alpha": rule.alpha, "eps": rule.eps, "weight_decay": rule.weight_decay}

    def initial(self, x: np.ndarray) -> np.ndarray:
        """States at positions x (P, d): v as given, else zero."""
        v = 0.0 if self.second_moment is None else self.second_moment
        return np.concatenate([x, np.broadcast_to(v, x.shape)], axis=1)

    def first_step(self, x: np.ndarray, gradient: np.ndarray) -> np.ndarray | None:
        if self.second_moment is not None:
            return None
        gradient = gradient + self.weight_decay * x
        moved = np.sqrt(1 - self.alpha) * np.abs(gradient) + self.eps
        # Not the v of this one gradient: it may be near zero, and RMSProp's next step sees the next one too.
        v = (1 - self.alpha) * self._goal(x, self._slope(x))
        return np.concatenate([x - self.step_size * gradient / moved, v], axis=1)

    def _slope(self, x: np.ndarray) -> np.ndarray:
        return self.gradient.mean(x) + self.weight_decay * x

    def _goal(self, x: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """What v relaxes to (P, d)."""
        return self.gradient.variances(x) + (np.square(slope) if self.squared_gradient else 0.0)

    def start_slots(self) -> np.ndarray | None:
        return None if self.second_moment is None else self.second_moment[None]

    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift (P, 2 d) of (position, v)."""
        x, v = self.parts(z)
        slope = self._slope(x)
        change = (1 - self.alpha) / self.step_size**2 * (self._goal(x, slope) - v)
        return np.concatenate([-slope / (self.step_size * self._size(v)), change], axis=1)

    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diffusion matrices (P, 2 d, m)."""
        x, v = self.parts(z)
        return self.entering(0, self.gradient.root(x) / self._size(v)[:, :, None])

    def diffusion_product(self, t: Any, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times w (P, m)."""
        x, v = self.parts(z)
        return self.entering(0, self.gradient.noise(x, w) / self._size(v))

    def _size(self, v: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(v, 0.0)) + self.eps


def start_of(value: Any, dimension: int) -> np.ndarray:
    """A second moment at the start, (d,), above zero."""
    given = finite_array("second_moment", value)
    given = np.broadcast_to(given, dimension) if given.ndim == 0 else given
    found = finite_array("second_moment", given, shape=(dimension,))
    if not (found > 0).all():
        raise InvalidInput(f"second_moment must be above zero, got {found.min():g}")
    found = found.copy()
    found.flags.writeable = False
    return found

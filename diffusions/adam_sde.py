"""The limit of Adam and AdamW in the scaling of Malladi, Lyu, Panigrahi and Arora (2022), in the rule's own units.

As in `rmsprop_sde`. With the correction of the bias the drift at time 0 is 0 / 0: m / (1 - exp(-c_1 t)) is there like
white noise averaged over the time t. So the equation holds from step 1 on, after Adam's own first step. Where v starts
at zero, v of Adam is at first a mean of few squares, k at step k, and the equation knows their expectation alone: a
relative error of 1 / k. With the correction that adds up to step_size^2 times powers of log(1 / step_size) (a sketch,
not a proof), and without it the error still falls more slowly than its order over the first hundreds of steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.claims import Claim
from sgdlimits.exact.clock import Clock
from sgdlimits.exact.errors import InvalidInput, finite_array, flag, non_negative, positive
from sgdlimits.exact.ladders import NOISE, Held, Ladder

from .optimiser_limit import OptimiserLimit
from .rmsprop_sde import CLOSURE, SCALED_NOISE, start_of


@dataclass(frozen=True, eq=False)
class AdamSDE(OptimiserLimit):
    """dX = -sqrt(G_2) / G_1 m / (eta (sqrt(v) + eps sqrt(G_2))) dt; one step is eta^2, eta the step size.

    dm = c_1 ((grad f(X) - m) dt + eta sqrt(C(X)) dW) and dv = c_2 (E g^2 - v) dt, with c_i = (1 - b_i) / eta^2, G_i =
    1 - exp(-c_i t) and C the covariance of the batch's gradient g; m and v start at zero. At time 0 the drift is 0 / 0:
    the equation holds from step 1 on, after a step that Adam takes with Gaussian noise. It holds from 0 without the
    correction of the bias, where G_i = 1, and where v starts above zero. A limit of order 2 is absent: none is derived
    here. Nor is a stationary law known.

    Parameters
    ----------
    problem : LeastSquares, StreamingLeastSquares, or a loss over stored samples
    step_size : float
    batch_size : int
    betas, eps, weight_decay
        As in `discrete.rules.Adam`.
    decoupled : bool
        AdamW's decay: dX = ... - weight_decay / eta X dt, instead of one in the gradient.
    bias_correction : bool
    second_moment : float or (d,) array, optional
        v at step 0, above zero; default: zero.
    squared_gradient : bool
        As in `RMSPropSDE`: False is the equation of Malladi et al.
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
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
    bias_correction: bool = True
    second_moment: Any = None
    squared_gradient: bool = True
    sampling: str = "with_replacement"
    label_noise: float = 0.0

    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "weak approximation of Adam of order 1 in step_size^2 at (1 - b_1) / step_size^2, (1 - b_2) / step_size^2, "
            "noise * step_size and eps * step_size held fixed (measured by compare.orders)",
            (
                SCALED_NOISE, "a finite time step_size^2 * steps",
                "v starts above zero",
            ),
            "malladi2022",
            1.0,
        ),
    )
    noise_type: ClassVar[str] = "commutative"  # noise enters m alone, and depends on the position alone
    limit_of: ClassVar[str] = "Adam and AdamW"
    linear: ClassVar[None] = None
    slots: ClassVar[int] = 2
    law_solver: ClassVar[str] = "heun"
    weak_order: ClassVar[int] = 1
    instead: ClassVar[str] = CLOSURE

    @property
    def claims_order(self) -> bool:
        """From a `second_moment` above zero alone: in the first steps from zero v is a mean of few squares."""
        return self.second_moment is not None

    def __post_init__(self) -> None:
        betas = finite_array("betas", self.betas, shape=(2,))
        if not ((betas >= 0) & (betas < 1)).all():
            raise InvalidInput(f"betas must each be at least 0 and below 1, got {tuple(betas.tolist())}")
        object.__setattr__(self, "betas", tuple(betas.tolist()))
        object.__setattr__(self, "eps", positive("eps", self.eps))
        object.__setattr__(self, "weight_decay", non_negative("weight_decay", self.weight_decay))
        for name in ("decoupled", "bias_correction", "squared_gradient"):
            object.__setattr__(self, name, flag(name, getattr(self, name)))
        self.check_shared()
        if self.second_moment is not None:
            object.__setattr__(self, "second_moment", start_of(self.second_moment, self.dimension))

    @property
    def label(self) -> str:
        """Short name."""
        name = "AdamW SDE" if self.decoupled else "Adam SDE"
        return name if self.bias_correction else f"{name}, without bias correction"

    @property
    def ladder(self) -> Ladder:
        """In AdamW the decay is scaled along, so that it has a rate in the limit."""
        decay = (Held("weight_decay", 1.0),) if self.decoupled else ()
        held = Held("betas", 2.0, complement=True), Held(NOISE, -1.0), Held("eps", -1.0), Held("second_moment", -2.0)
        return Ladder((*held, *decay), 2.0)

    @property
    def clock(self) -> Clock:
        """One step is step_size^2."""
        return Clock(self.step_size**-2, "step_size^2")

    @classmethod
    def settings_of(cls, rule: Any) -> dict[str, Any]:
        if rule.amsgrad:
            raise InvalidInput(
                f"{rule.label} divides by the largest v seen, for which no limit is known here: AdamSDE is that of "
                "Adam and AdamW with amsgrad=False; simulate the rule itself"
            )
        decoupled = rule.label.endswith("W")
        return {"betas": rule.betas, "eps": rule.eps, "weight_decay": rule.weight_decay, "decoupled": decoupled}

    def first_step(self, x: np.ndarray, gradient: np.ndarray) -> np.ndarray | None:
        if not self.bias_correction or self.second_moment is not None:
            return None
        start, gradient = self._decayed(x, gradient)
        moved = start - self.step_size * gradient / (np.abs(gradient) + self.eps)
        m, v = ((1 - beta) * part for beta, part in zip(self.betas, (gradient, np.square(gradient))))
        return np.concatenate([moved, m, v], axis=1)

    def _decayed(self, x: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position and gradient after the decay of a step."""
        if self.decoupled:
            return x * (1 - self.step_size * self.weight_decay), gradient
        return x, gradient + self.weight_decay * x

    def initial(self, x: np.ndarray) -> np.ndarray:
        """States at positions x (P, d): no m, and v as given, else zero."""
        v = 0.0 if self.second_moment is None else self.second_moment
        return np.concatenate([x, np.zeros_like(x), np.broadcast_to(v, x.shape)], axis=1)

    def start_slots(self) -> np.ndarray | None:
        v = self.second_moment
        return None if v is None else np.stack([np.zeros_like(v), v])

    def drift(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Drift (P, 3 d) of (position, m, v)."""
        x, m, v = self.parts(z)
        eta, shrink = self.step_size, self.weight_decay / self.step_size if self.decoupled else 0.0
        c_1, c_2 = ((1 - beta) / eta**2 for beta in self.betas)
        _, slope = self._decayed(x, self.gradient.mean(x))
        root_2, scale = 1.0, 1.0
        if self.bias_correction:
            root_2 = np.sqrt(-np.expm1(-c_2 * t))
            scale = root_2 / -np.expm1(-c_1 * t) if t > 0 else 0.0  # at 0 m is zero
        goal = self.gradient.variances(x) + (np.square(slope) if self.squared_gradient else 0.0)
        moved = -scale * m / (eta * (np.sqrt(np.maximum(v, 0.0)) + self.eps * root_2)) - shrink * x
        return np.concatenate([moved, c_1 * (slope - m), c_2 * (goal - v)], axis=1)

    def diffusion(self, t: Any, z: np.ndarray) -> np.ndarray:
        """Diffusion matrices (P, 3 d, m)."""
        return self.entering(1, self._noise_factor * self.gradient.root(self.parts(z)[0]))

    def diffusion_product(self, t: Any, z: np.ndarray, w: np.ndarray) -> np.ndarray:
        """Diffusion times w (P, m)."""
        return self.entering(1, self._noise_factor * self.gradient.noise(self.parts(z)[0], w))

    @property
    def _noise_factor(self) -> float:
        return (1 - self.betas[0]) / self.step_size


"""Adam and AdamW, in the arithmetic of torch.optim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, finite_array, flag, non_negative, positive

from .rule import Facts, Linear, MoveBound, Rule


@compiled
def adam(x, slots, p, gradient, row, step_size, k, settings):
    beta_1, beta_2, eps, decay, decoupled = settings[0], settings[1], settings[2], settings[3], settings[4] != 0.0
    largest = slots.shape[1] == 3
    length = step_size / (1.0 - beta_1 ** (k + 1))
    root = np.sqrt(1.0 - beta_2 ** (k + 1))
    for j in range(x.shape[1]):
        g = gradient[row, j]
        if decoupled:
            x[p, j] *= 1.0 - step_size * decay
        else:
            g += decay * x[p, j]
        m = slots[p, 0, j] + (1.0 - beta_1) * (g - slots[p, 0, j])
        v = beta_2 * slots[p, 1, j] + (1.0 - beta_2) * g * g
        slots[p, 0, j], slots[p, 1, j] = m, v
        if largest:
            v = v if v > slots[p, 2, j] or v != v else slots[p, 2, j]
            slots[p, 2, j] = v
        x[p, j] -= length * m / (np.sqrt(v) / root + eps)


def _moved(
    rule: Adam | AdamW, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
) -> tuple[np.ndarray, np.ndarray]:
    beta_1, beta_2, eps, decay, decoupled = rule.settings
    if decoupled:
        x = x * (1 - step_size * decay)
    else:
        gradient = gradient + decay * x
    m = slots[:, 0] + (1 - beta_1) * (gradient - slots[:, 0])
    v = beta_2 * slots[:, 1] + (1 - beta_2) * gradient * gradient
    kept = [m, v]
    if rule.amsgrad:
        v = np.maximum(v, slots[:, 2])
        kept.append(v)
    length, root = step_size / (1 - beta_1 ** (k + 1)), np.sqrt(1 - beta_2 ** (k + 1))
    return x - length * m / (np.sqrt(v) / root + eps), np.stack(kept, axis=1)


@dataclass(frozen=True)
class Adam(Rule):
    """m <- b1 m + (1 - b1) g; v <- b2 v + (1 - b2) g^2; x <- x - step_size m^ / (sqrt(v^) + eps), hats for bias.

    Parameters
    ----------
    betas : (float, float)
        b1 and b2, each at least 0 and below 1.
    eps : float
    weight_decay : float
        Adds weight_decay * x to the gradient.
    amsgrad : bool
        Divide by the largest v seen.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False

    source: ClassVar[str] = "Kingma, Ba: Adam, a method for stochastic optimization (ICLR 2015)"
    facts = Facts(
        "closure; light tail if b1^2 < b2", "AdamSDE", "eta^2", "1, in eta^2 on its ladder",
        "none: steps are bounded if b1^2 < b2",
    )  # fmt: skip
    limit: ClassVar[str] = "AdamSDE"
    equivariant = False
    kernel = staticmethod(adam)

    def __post_init__(self) -> None:
        check_adam(self)

    @property
    def label(self) -> str:
        return "AMSGrad" if self.amsgrad else "Adam"

    @property
    def slots(self) -> int:
        return 3 if self.amsgrad else 2

    @property
    def settings(self) -> tuple[float, ...]:
        return (*self.betas, self.eps, self.weight_decay, 0.0)

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return _moved(self, x, slots, gradient, step_size, k)

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound | None:
        return adam_bound(self.betas, 0.0)


@dataclass(frozen=True)
class AdamW(Rule):
    """Adam with x <- (1 - step_size weight_decay) x before each step, instead of a decay in the gradient.

    Parameters
    ----------
    betas, eps, amsgrad
        As in `Adam`.
    weight_decay : float
    """

    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 1e-2
    amsgrad: bool = False

    source: ClassVar[str] = "Loshchilov, Hutter: Decoupled weight decay regularization (ICLR 2019)"
    facts = Facts(
        "bounded support if b1^2 < b2", "AdamSDE", "eta^2", "1, in eta^2 on its ladder", "2 / weight_decay"
    )
    limit: ClassVar[str] = "AdamSDE"
    equivariant = False
    kernel = staticmethod(adam)

    def __post_init__(self) -> None:
        check_adam(self)

    @property
    def label(self) -> str:
        return "AMSGradW" if self.amsgrad else "AdamW"

    @property
    def slots(self) -> int:
        return 3 if self.amsgrad else 2

    @property
    def settings(self) -> tuple[float, ...]:
        return (*self.betas, self.eps, self.weight_decay, 1.0)

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return _moved(self, x, slots, gradient, step_size, k)

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound | None:
        return adam_bound(self.betas, self.weight_decay)


def adam_bound(betas: tuple[float, float], decay: float) -> MoveBound | None:
    """|m^| / sqrt(v^) by the inequality of Cauchy and Schwarz: the largest over all steps and gradients. Derived.

    With r = b1^2 / b2, |m| <= (1 - b1) sqrt(1 + r + r^2 + ...) sqrt(v / (1 - b2)); at step k all sums have k terms, and
    the bound is attained by gradients in proportion to (b1 / b2)^age. None unless r < 1.
    """
    b1, b2 = betas
    ratio = b1**2 / b2 if b2 > 0 else 0.0 if b1 == 0 else math.inf
    if ratio >= 1:
        return None
    size = (1 - b1) / math.sqrt((1 - b2) * (1 - ratio))
    return MoveBound(
        size, "coordinate",
        "|m / sqrt(v)| <= (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)) by the inequality of Cauchy and Schwarz, as "
        f"b1^2 < b2: {size:.4g}", decay,
    )  # fmt: skip


def check_adam(rule: Adam | AdamW) -> None:
    """Bring the fields into their form, or raise."""
    betas = finite_array("betas", rule.betas, shape=(2,))
    if not ((betas >= 0) & (betas < 1)).all():
        raise InvalidInput(f"betas must each be at least 0 and below 1, got {tuple(betas.tolist())}")
    object.__setattr__(rule, "betas", tuple(betas.tolist()))
    object.__setattr__(rule, "eps", positive("eps", rule.eps))
    object.__setattr__(rule, "weight_decay", non_negative("weight_decay", rule.weight_decay))
    object.__setattr__(rule, "amsgrad", flag("amsgrad", rule.amsgrad))

"""RMSProp, in the arithmetic of torch.optim."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, flag, non_negative, positive, real_number

from .rule import Facts, Linear, MoveBound, Rule


@compiled
def rmsprop(x, slots, p, gradient, row, step_size, k, settings):
    alpha, eps, decay, momentum, centred = settings[0], settings[1], settings[2], settings[3], settings[4] != 0.0
    mean_slot = slots.shape[1] - 1
    for j in range(x.shape[1]):
        g = gradient[row, j] + decay * x[p, j]
        v = alpha * slots[p, 0, j] + (1.0 - alpha) * g * g
        slots[p, 0, j] = v
        if centred:
            mean = slots[p, mean_slot, j] + (1.0 - alpha) * (g - slots[p, mean_slot, j])
            slots[p, mean_slot, j] = mean
            v -= mean * mean
        move = g / (np.sqrt(v) + eps)
        if momentum > 0.0:
            move += momentum * slots[p, 1, j]
            slots[p, 1, j] = move
        x[p, j] -= step_size * move


@dataclass(frozen=True)
class RMSProp(Rule):
    """v <- alpha v + (1 - alpha) g^2; x <- x - step_size g / (sqrt(v) + eps).

    Parameters
    ----------
    alpha : float
        At least 0 and below 1.
    eps, weight_decay : float
        The decay adds weight_decay * x to the gradient.
    momentum : float
        Above 0: the quotient is summed up, m <- momentum m + g / (sqrt(v) + eps), and x moves by m.
    centered : bool
        Divide by the root of the variance instead: v less the square of the running mean of g.
    """

    alpha: float = 0.99
    eps: float = 1e-8
    weight_decay: float = 0.0
    momentum: float = 0.0
    centered: bool = False

    source: ClassVar[str] = "Tieleman, Hinton: Lecture 6.5, RMSProp (Coursera, 2012); centred: Graves (2013)"
    facts = Facts(
        "closure; light tail if not centred", "RMSPropSDE", "eta^2", "1, in eta^2 on its ladder",
        "none: steps are bounded if not centred",
    )  # fmt: skip
    limit: ClassVar[str] = "RMSPropSDE"
    equivariant = False
    kernel = staticmethod(rmsprop)

    def __post_init__(self) -> None:
        for name in ("alpha", "momentum"):
            value = real_number(name, getattr(self, name))
            if not 0 <= value < 1:
                raise InvalidInput(f"{name} must be at least 0 and below 1, got {value!r}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "eps", positive("eps", self.eps))
        object.__setattr__(self, "weight_decay", non_negative("weight_decay", self.weight_decay))
        object.__setattr__(self, "centered", flag("centered", self.centered))

    @property
    def label(self) -> str:
        return "RMSProp, centred" if self.centered else "RMSProp"

    @property
    def slots(self) -> int:
        return 1 + (self.momentum > 0) + self.centered

    @property
    def settings(self) -> tuple[float, ...]:
        return self.alpha, self.eps, self.weight_decay, self.momentum, float(self.centered)

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        slots, gradient = slots.copy(), gradient + self.weight_decay * x
        slots[:, 0] = self.alpha * slots[:, 0] + (1 - self.alpha) * gradient * gradient
        v = slots[:, 0]
        if self.centered:
            slots[:, -1] += (1 - self.alpha) * (gradient - slots[:, -1])
            v = v - slots[:, -1] * slots[:, -1]
        move = gradient / (np.sqrt(v) + self.eps)
        if self.momentum:
            move = move + self.momentum * slots[:, 1]
            slots[:, 1] = move
        return x - step_size * move, slots

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound | None:
        if self.centered:  # the variance may be anything beside g^2
            return None
        size = 1 / math.sqrt(1 - self.alpha) / (1 - self.momentum)
        summed = " and momentum sums a geometric series of them" if self.momentum else ""
        return MoveBound(
            size, "coordinate", f"v >= (1 - alpha) g^2, so |g| / sqrt(v) <= 1 / sqrt(1 - alpha){summed}: {size:.4g}"
        )

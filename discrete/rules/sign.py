"""Sign descent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled

from .rule import Facts, Linear, MoveBound, Rule


@compiled
def sign(x, slots, p, gradient, row, step_size, k, settings):
    for j in range(x.shape[1]):
        g = gradient[row, j]
        x[p, j] -= step_size * (1.0 if g > 0.0 else -1.0 if g < 0.0 else g)  # 0 stays 0, and nan is not hidden


@dataclass(frozen=True)
class SignSGD(Rule):
    """x <- x - step_size sign(g), coordinate by coordinate; the sign of 0 is 0."""

    source: ClassVar[str] = "Bernstein, Wang, Azizzadenesheli, Anandkumar: signSGD (ICML 2018)"
    facts = Facts("light tail", "SignSDE", "eta", "1 or 2", "none: steps are bounded")
    limit: ClassVar[str] = "SignSDE"
    label = "sign descent"
    slots = 0
    settings = ()
    equivariant = False
    kernel = staticmethod(sign)

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return x - step_size * np.sign(gradient), slots

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound:
        return MoveBound(1.0, "coordinate", "a sign is at most 1 in size")

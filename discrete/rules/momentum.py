"""Plain descent, heavy ball and Nesterov, as torch.optim.SGD writes them (dampening 0)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, real_number

from .rule import Facts, Linear, MoveBound, Rule


@compiled
def plain(x, slots, p, gradient, row, step_size, k, settings):
    for j in range(x.shape[1]):
        x[p, j] -= step_size * gradient[row, j]


@compiled
def heavy_ball(x, slots, p, gradient, row, step_size, k, settings):
    momentum = settings[0]
    for j in range(x.shape[1]):
        v = momentum * slots[p, 0, j] + gradient[row, j]
        slots[p, 0, j] = v
        x[p, j] -= step_size * v


@compiled
def nesterov(x, slots, p, gradient, row, step_size, k, settings):
    momentum = settings[0]
    for j in range(x.shape[1]):
        g = gradient[row, j]
        v = momentum * slots[p, 0, j] + g
        slots[p, 0, j] = v
        x[p, j] -= step_size * (g + momentum * v)


@dataclass(frozen=True)
class Plain(Rule):
    """x <- x - step_size g."""

    source: ClassVar[str] = "Robbins, Monro: A stochastic approximation method (1951)"
    facts = Facts(
        "tail index, even moments", "GradientFlow, OrnsteinUhlenbeck, HomogenizedSGD, ModifiedEquation", "eta",
        "1; ModifiedEquation(order=2): 2", "2 / h",
    )  # fmt: skip
    equivariant = True
    label = "plain"
    slots = 0
    settings = ()
    kernel = staticmethod(plain)

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return x - step_size * gradient, slots

    def linear(self, step_size: float) -> Linear | None:
        return np.ones((1, 1)), np.array([-step_size])

    def move_bound(self) -> MoveBound | None:
        return None


@dataclass(frozen=True)
class HeavyBall(Rule):
    """m <- momentum m + g; x <- x - step_size m.

    Parameters
    ----------
    momentum : float
        At least 0 and below 1.
    """

    momentum: float

    source: ClassVar[str] = "Polyak: Some methods of speeding up the convergence of iteration methods (1964)"
    facts = Facts(
        "tail index, even moments", "UnderdampedLangevin; by hand those of plain SGD at step size eta / (1 - mu)",
        "sqrt(eta); eta / (1 - mu)", "1 or 2, in sqrt(eta) on its ladder; not claimed", "2 (1 + mu) / h",
    )  # fmt: skip
    limit: ClassVar[str] = "UnderdampedLangevin"
    equivariant = True
    slots = 1
    kernel = staticmethod(heavy_ball)

    def __post_init__(self) -> None:
        object.__setattr__(self, "momentum", check_momentum(self.momentum))

    @property
    def label(self) -> str:
        return f"momentum {self.momentum:g}"

    @property
    def settings(self) -> tuple[float, ...]:
        return (self.momentum,)

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        slots = self.momentum * slots + gradient[:, None]
        return x - step_size * slots[:, 0], slots

    def linear(self, step_size: float) -> Linear | None:
        mu = self.momentum
        return np.array([[1.0, -step_size * mu], [0.0, mu]]), np.array([-step_size, 1.0])

    def move_bound(self) -> MoveBound | None:
        return None


@dataclass(frozen=True)
class Nesterov(Rule):
    """m <- momentum m + g; x <- x - step_size (g + momentum m).

    Parameters
    ----------
    momentum : float
        Above 0 and below 1.
    """

    momentum: float

    source: ClassVar[str] = "Nesterov (1983), in the form of Sutskever et al. (ICML 2013) and torch.optim.SGD"
    facts = Facts(
        "tail index, even moments", "UnderdampedLangevin; by hand those of plain SGD at step size eta / (1 - mu)",
        "sqrt(eta); eta / (1 - mu)", "1 or 2, in sqrt(eta) on its ladder; not claimed", "2 (1 + mu) / ((1 + 2 mu) h)",
    )  # fmt: skip
    limit: ClassVar[str] = "UnderdampedLangevin"
    equivariant = True
    slots = 1
    kernel = staticmethod(nesterov)

    def __post_init__(self) -> None:
        object.__setattr__(self, "momentum", check_momentum(self.momentum))
        if not self.momentum:
            raise InvalidInput("nesterov needs a momentum above zero, got momentum=0")

    @property
    def label(self) -> str:
        return f"Nesterov momentum {self.momentum:g}"

    @property
    def settings(self) -> tuple[float, ...]:
        return (self.momentum,)

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        slots = self.momentum * slots + gradient[:, None]
        return x - step_size * (gradient + self.momentum * slots[:, 0]), slots

    def linear(self, step_size: float) -> Linear | None:
        mu = self.momentum
        return np.array([[1.0, -step_size * mu**2], [0.0, mu]]), np.array([-step_size * (1 + mu), 1.0])

    def move_bound(self) -> MoveBound | None:
        return None


def momentum_rule(momentum: float, nesterov: bool = False) -> Rule:
    """Plain descent where the momentum is 0."""
    if not momentum:
        return Plain()
    return Nesterov(momentum) if nesterov else HeavyBall(momentum)


def check_momentum(momentum: float) -> float:
    """Return a momentum of at least 0 and below 1."""
    momentum = real_number("momentum", momentum)
    if not 0 <= momentum < 1:
        raise InvalidInput(f"momentum must be at least 0 and below 1, got {momentum!r}")
    return momentum

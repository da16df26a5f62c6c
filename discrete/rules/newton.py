"""Newton's method with damping: the Hessian of the whole risk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sgdlimits.ensembles.random import Noise

from .curved import Curvature, CurvedRule, check_damping
from .momentum import check_momentum, momentum_rule
from .rule import Facts, Rule

if TYPE_CHECKING:
    from ..sources.source import Source


@dataclass(frozen=True)
class DampedNewton(CurvedRule):
    """x <- x - step_size m, m <- momentum m + (H + damping I)^-1 g, H the Hessian of all samples, with the ridge.

    Parameters
    ----------
    damping : float
        At least 0; above 0 where the Hessian may be singular.
    momentum : float
        At least 0 and below 1.
    """

    damping: float = 0.0
    momentum: float = 0.0

    source: ClassVar[str] = "Levenberg (1944), Marquardt (1963); with a batch's gradient, sub-sampled Newton"
    facts = Facts(
        "tail index", "none; on quadratics those of Preconditioned", "eta", "1",
        "2 (1 + mu) (h + damping) / h",
    )  # fmt: skip

    def __post_init__(self) -> None:
        object.__setattr__(self, "damping", check_damping(self.damping))
        object.__setattr__(self, "momentum", check_momentum(self.momentum))

    @property
    def label(self) -> str:
        momentum = f", momentum {self.momentum:g}" if self.momentum else ""
        return f"damped Newton{momentum}" if self.damping else f"Newton{momentum}"

    @property
    def asks(self) -> Curvature:
        return Curvature("hessian", "all")

    @property
    def inner(self) -> Rule:
        return momentum_rule(self.momentum)

    def damping_at(self, step_size: float) -> float:
        return self.damping

    def direction(self, source: Source, k: int, x: np.ndarray, noise: Noise, step_size: float) -> np.ndarray:
        return self.divided(source, k, x, noise, step_size)

"""Newton's method with the Hessian of a batch: that of the gradient, or another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, one_of, whole_number

from .curved import Curvature, CurvedRule, check_damping
from .momentum import Plain
from .rule import Facts, Rule

if TYPE_CHECKING:
    from ..sources.source import Source

BATCHES = {"same": "batch", "independent": "independent"}


@dataclass(frozen=True)
class StochasticNewton(CurvedRule):
    """x <- x - step_size (H + damping I)^-1 g, H the Hessian of a batch, with the ridge.

    Parameters
    ----------
    damping : float
        At least 0; above 0 where the Hessian of a batch may be singular.
    hessian : {"same", "independent"}
        Of the gradient's batch, or of a batch drawn for it alone.
    hessian_batch_size : int, optional
        Of that batch; as the gradient's by default.
    """

    damping: float = 0.0
    hessian: str = "same"
    hessian_batch_size: int | None = None

    source: ClassVar[str] = "Byrd, Chin, Neveitt, Nocedal: On the use of stochastic Hessian information (2011)"
    facts = Facts(
        "tail index", "none", "", "", "same batch, undamped: 2; another of b, "
        "stream: 2 (b - d - 1) / b; else stability()",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "damping", check_damping(self.damping))
        one_of("hessian", self.hessian, BATCHES)
        if self.hessian_batch_size is not None:
            if self.hessian == "same":
                raise InvalidInput(
                    "hessian_batch_size is given, but hessian='same' takes the batch of the gradient: leave it out, or "
                    "take hessian='independent'"
                )
            size = whole_number("hessian_batch_size", self.hessian_batch_size, 1)
            object.__setattr__(self, "hessian_batch_size", size)

    @property
    def label(self) -> str:
        return f"stochastic Newton, {self.hessian} batch"

    @property
    def asks(self) -> Curvature:
        return Curvature("hessian", BATCHES[self.hessian], self.hessian_batch_size)

    @property
    def inner(self) -> Rule:
        return Plain()

    def damping_at(self, step_size: float) -> float:
        return self.damping

    def direction(self, source: Source, k: int, x: np.ndarray, noise: Noise, step_size: float) -> np.ndarray:
        return self.divided(source, k, x, noise, step_size)

"""Natural gradient descent: the Fisher matrix, recomputed at every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import one_of

from .curved import MATRICES, Curvature, CurvedRule, check_damping
from .momentum import check_momentum, momentum_rule
from .rule import Facts, Rule

if TYPE_CHECKING:
    from ..sources.source import Source

FISHERS, OVER = MATRICES[1:], ("all", "batch")


@dataclass(frozen=True)
class NaturalGradient(CurvedRule):
    """x <- x - step_size m, m <- momentum m + (F + damping I)^-1 g, F a Fisher matrix at x.

    Parameters
    ----------
    damping : float
        At least 0; above 0 where F may be singular.
    fisher : {"expected", "empirical", "centred"}
        That of the model, which on least squares is the Hessian; the mean of g g^T over gradients g of samples; their
        covariance, with which the closures of `discrete.closure` are made.
    samples : {"all", "batch"}
        Over all samples, or those of the gradient's batch.
    momentum : float
        At least 0 and below 1.
    """

    damping: float = 0.0
    fisher: str = "expected"
    samples: str = "all"
    momentum: float = 0.0

    source: ClassVar[str] = "Amari: Natural gradient works efficiently in learning (1998)"
    facts = Facts("closure; tail index on streams", "none", "", "", "fisher='expected': as Newton's; else not known")

    def __post_init__(self) -> None:
        object.__setattr__(self, "damping", check_damping(self.damping))
        one_of("fisher", self.fisher, FISHERS)
        one_of("samples", self.samples, OVER)
        object.__setattr__(self, "momentum", check_momentum(self.momentum))

    @property
    def label(self) -> str:
        momentum = f", momentum {self.momentum:g}" if self.momentum else ""
        return f"natural gradient, {self.fisher} Fisher of {'a batch' if self.samples == 'batch' else 'all'}{momentum}"

    @property
    def asks(self) -> Curvature:
        return Curvature(self.fisher, self.samples)

    @property
    def inner(self) -> Rule:
        return momentum_rule(self.momentum)

    def damping_at(self, step_size: float) -> float:
        return self.damping

    def direction(self, source: Source, k: int, x: np.ndarray, noise: Noise, step_size: float) -> np.ndarray:
        return self.divided(source, k, x, noise, step_size)

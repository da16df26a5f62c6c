"""Rules that divide the gradient by a matrix of its source: a Hessian or a Fisher matrix, of a batch or of all "
"samples."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, non_negative

from .rule import Linear, MoveBound, Rule

if TYPE_CHECKING:
    from ..sources.source import Source

MATRICES = ("hessian", "expected", "empirical", "centred")
SAMPLES = ("all", "batch", "independent")


@dataclass(frozen=True)
class Curvature:
    """The matrix that a rule asks of its source, at a position; of what is descended, so the ridge is in it.

    Attributes
    ----------
    matrix : {"hessian", "expected", "empirical", "centred"}
        The Hessian; the expected Fisher matrix of the model (of other losses the generalised Gauss-Newton matrix), to
        which a ridge adds its multiple of the identity as a Gaussian prior does; the mean of g g^T over gradients g of
        samples; their covariance.
    samples : {"all", "batch", "independent"}
        Over all samples, those of the gradient's batch, or those of another batch.
    size : int, optional
        Of that other batch; as the gradient's by default.
    """

    matrix: str
    samples: str
    size: int | None = None

    def __str__(self) -> str:
        names = {"hessian": "the Hessian", "expected": "the expected Fisher matrix", "centred":
                 "the centred Fisher matrix", "empirical": "the empirical Fisher matrix"}  # fmt: skip
        where = {"all": "all samples", "batch": "a batch", "independent": "an independent batch"}
        return f"{names[self.matrix]} of {where[self.samples]}"


class CurvedRule(Rule):
    """A rule whose step is a direction that it finds with its source, handed to plain descent or momentum."""

    equivariant = False

    @property
    @abstractmethod
    def asks(self) -> Curvature:
        """What it asks of its source."""

    @property
    @abstractmethod
    def inner(self) -> Rule:
        """What the direction is handed to."""

    @abstractmethod
    def damping_at(self, step_size: float) -> float:
        """The multiple of the identity that is added to the matrix."""

    @abstractmethod
    def direction(self, source: Source, k: int, x: np.ndarray, noise: Noise, step_size: float) -> np.ndarray:
        """What stands for the gradient (P, d) of step k at positions x (P, d)."""

    @property
    def slots(self) -> int:
        return self.inner.slots

    @property
    def settings(self) -> tuple[float, ...]:
        return ()

    @property
    def kernel(self) -> Callable[..., None] | None:
        return None

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.inner.move(x, slots, gradient, step_size, k)

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound | None:
        return None

    def check(self, source: Source, step_size: float) -> None:
        """Raise unless the source has the matrix, and it cannot be singular with its damping.

        Raises
        ------
        InvalidInput
        """
        why = source.lacks(self.asks)
        if why:
            raise InvalidInput(f"{self.label} asks for {self.asks}, but {why}")
        why = source.may_be_singular(self.asks, self.damping_at(step_size))
        if why:
            raise InvalidInput(f"{self.label} divides by {self.asks}, but {self.cured(why, step_size)}")

    def cured(self, why: str, step_size: float) -> str:
        """A source's reason, with the cure that this rule has for it."""
        return why

    def divided(self, source: Source, k: int, x: np.ndarray, noise: Noise, step_size: float) -> np.ndarray:
        """(matrix + damping I)^-1 gradient, (P, d)."""
        gradient = source.gradient(k, x, noise)
        return source.curvature(self.asks, k, x, noise).solve(gradient, self.damping_at(step_size))


def check_damping(damping: float) -> float:
    """A damping of at least 0."""
    return non_negative("damping", damping)

"""A matrix for a step size: the gradient times a constant matrix, before plain descent or momentum."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, covariance_matrix, finite_array

from .momentum import HeavyBall, Nesterov, Plain, heavy_ball, nesterov, plain
from .rule import Facts, Linear, MoveBound, Rule

LEAST = 1e-13  # eigenvalue, as a part of the largest: below it a matrix is as good as singular


@compiled
def preconditioned(x, slots, p, gradient, row, step_size, k, settings):
    # settings: 0, 1 or 2 for the rule, its momentum, whether the matrix is diagonal, the matrix
    d = x.shape[1]
    if settings[2] != 0.0:
        for j in range(d):
            gradient[row, j] *= settings[3 + j]
    else:
        given = np.empty(d)
        for j in range(d):
            given[j] = gradient[row, j]
        for j in range(d):
            total = 0.0
            for i in range(d):
                total += settings[3 + j * d + i] * given[i]
            gradient[row, j] = total
    if settings[0] == 0.0: plain(x, slots, p, gradient, row, step_size, k, settings[1:2])  # fmt: skip  # noqa: E701
    elif settings[0] == 1.0: heavy_ball(x, slots, p, gradient, row, step_size, k, settings[1:2])  # fmt: skip  # noqa: E701
    else: nesterov(x, slots, p, gradient, row, step_size, k, settings[1:2])  # fmt: skip  # noqa: E701


@dataclass(frozen=True, eq=False, repr=False)
class Preconditioned(Rule):
    """g <- matrix g, then the rule: the step size becomes the matrix step_size * matrix.

    Parameters
    ----------
    matrix : array (d, d), symmetric and positive definite, or (d,) for a diagonal one
    rule : Plain, HeavyBall or Nesterov
        What the product is handed to.

    Raises
    ------
    InvalidInput
        If the matrix is not symmetric or not positive definite, or the rule is another.
    """

    matrix: np.ndarray
    rule: Rule = field(default_factory=Plain)

    source: ClassVar[str] = "the natural form of variable-metric descent; Davidon (1959)"
    facts = Facts(
        "tail index", "those of plain SGD in plain coordinates", "eta", "1",
        "that of the inner rule, h of matrix times Hessian",
    )  # fmt: skip
    equivariant = False
    kernel = staticmethod(preconditioned)

    def __post_init__(self) -> None:
        matrix = finite_array("preconditioner", np.atleast_1d(np.asarray(self.matrix, dtype=object)))
        if matrix.ndim == 1:
            values = matrix
        else:
            matrix = covariance_matrix("preconditioner", matrix, len(matrix))
            values = np.linalg.eigvalsh(matrix)
        if not values.min() > LEAST * values.max():
            raise InvalidInput(
                f"preconditioner must be positive definite, got the eigenvalue {values.min():.3g} beside "
                f"{values.max():.3g}: add a multiple of the identity"
            )
        matrix = matrix.copy()
        matrix.flags.writeable = False
        object.__setattr__(self, "matrix", matrix)
        if not isinstance(self.rule, (Plain, HeavyBall, Nesterov)):
            raise InvalidInput(
                f"the preconditioned rule must be Plain, HeavyBall or Nesterov, got {type(self.rule).__name__}: "
                "adaptive rules have preconditioners of their own"
            )

    def check_dimension(self, dimension: int) -> None:
        """Raise if the matrix is for another number of parameters."""
        if len(self.matrix) != dimension:
            raise InvalidInput(
                f"preconditioner is for {len(self.matrix)} parameters, and the problem has {dimension}: give one of "
                "this size"
            )

    def __repr__(self) -> str:
        kind = "diagonal" if self.diagonal else "matrix"
        return f"Preconditioned({kind} of {len(self.matrix)} parameters, {self.rule!r})"

    @property
    def diagonal(self) -> bool:
        """Whether the matrix is held as its diagonal."""
        return self.matrix.ndim == 1

    @cached_property
    def root(self) -> np.ndarray:
        """Symmetric root (d, d) of the matrix."""
        if self.diagonal:
            return np.diag(np.sqrt(self.matrix))
        values, vectors = np.linalg.eigh(self.matrix)
        return vectors * np.sqrt(values) @ vectors.T

    @property
    def label(self) -> str:
        if isinstance(self.rule, Plain):
            return "preconditioned SGD"
        return f"preconditioned SGD, {self.rule.label}"

    @property
    def slots(self) -> int:
        return self.rule.slots

    @cached_property
    def settings(self) -> tuple[float, ...]:
        place = float((Plain, HeavyBall, Nesterov).index(type(self.rule)))
        return (place, *(self.rule.settings or (0.0,)), float(self.diagonal), *self.matrix.ravel().tolist())

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        turned = gradient * self.matrix if self.diagonal else gradient @ self.matrix
        return self.rule.move(x, slots, turned, step_size, k)

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound | None:
        return None

"""Clipping of the gradient's norm, as torch.nn.utils.clip_grad_norm_, before another rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, positive

from .curved import CurvedRule
from .momentum import Plain
from .rule import BOUNDED_MOVES, Linear, MoveBound, Rule, UserRule

TINY = 1e-6  # torch divides by norm + 1e-6


@compiled
def clip(gradient, row, largest):
    """Scale row `row` of the gradient down to norm `largest`."""
    if largest == np.inf:
        return
    total = 0.0
    for j in range(gradient.shape[1]):
        total += gradient[row, j] * gradient[row, j]
    factor = largest / (np.sqrt(total) + TINY)
    if not factor >= 1.0:
        for j in range(gradient.shape[1]):
            gradient[row, j] *= factor


@dataclass(frozen=True)
class Clipped(Rule):
    """g <- g min(1, max_norm / (|g| + 1e-6)) for the batch's gradient g, then the rule.

    Parameters
    ----------
    max_norm : float
    rule : object of discrete.rules, or a user's own
        What the clipped gradient is handed to.
    """

    max_norm: float
    rule: Rule = field(default_factory=Plain)

    source: ClassVar[str] = "Pascanu, Mikolov, Bengio: On the difficulty of training recurrent networks (ICML 2013)"
    facts = BOUNDED_MOVES

    def __post_init__(self) -> None:
        object.__setattr__(self, "max_norm", positive("max_norm", self.max_norm))
        if not isinstance(self.rule, Rule) and callable(getattr(self.rule, "move", None)):
            object.__setattr__(self, "rule", UserRule.of(self.rule))
        if isinstance(self.rule, CurvedRule):
            raise InvalidInput(
                f"{self.rule.label} divides the gradient by a matrix of its source, so clipping the gradient does not "
                "bound its step: leave one of them out"
            )
        if not isinstance(self.rule, Rule) or isinstance(self.rule, Clipped):
            raise InvalidInput(
                f"rule must be a rule of discrete.rules that does not clip itself, got {type(self.rule).__name__}"
            )

    @property
    def label(self) -> str:
        return f"{self.rule.label}, clipped at {self.max_norm:g}"

    @property
    def slots(self) -> int:
        return self.rule.slots

    @property
    def settings(self) -> tuple[float, ...]:
        return self.rule.settings

    @property
    def equivariant(self) -> bool:
        return self.rule.equivariant

    @property
    def kernel(self) -> Callable[..., Any] | None:
        return self.rule.kernel

    def move(
        self, x: np.ndarray, slots: np.ndarray, gradient: np.ndarray, step_size: float, k: int
    ) -> tuple[np.ndarray, np.ndarray]:
        norm = np.sqrt(np.einsum("pj,pj->p", gradient, gradient))[:, None]
        factor = self.max_norm / (norm + TINY)
        clipped = np.where(factor >= 1, gradient, factor * gradient)
        return self.rule.move(x, slots, clipped, step_size, k)

    def linear(self, step_size: float) -> Linear | None:
        return None

    def move_bound(self) -> MoveBound | None:
        linear = self.rule.linear(1.0)
        if linear is None:
            return self.rule.move_bound()
        response = linear_response(*linear)
        size = self.max_norm * response
        summed = f", and the rule sums up {response:.4g} of it" if response != 1 else ""
        return MoveBound(size, "norm", f"a clipped gradient has norm at most {self.max_norm:g}{summed}")


def linear_response(kept: np.ndarray, entry: np.ndarray) -> float:
    """How far gradients of norm 1 move x in one step at most: sum of the moves that a gradient makes, all steps on."""
    total, slots = abs(float(entry[0])), entry[1:]
    while slots.size and np.abs(slots).max() > 1e-16 * total:
        total += abs(float(kept[0, 1:] @ slots))
        slots = kept[1:, 1:] @ slots
    return total

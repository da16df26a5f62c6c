"""What stochastic Newton and proximal steps are on a quadratic: one form, x' = x - size (H + damping I)^-1 g."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import Stability

from .rules import NaturalGradient, Proximal, StochasticNewton

if TYPE_CHECKING:
    from .sgd import SGD


@dataclass(frozen=True)
class NewtonStep:
    """x' = x - size (H + damping I)^-1 g, H the Hessian of a batch, with the ridge.

    Attributes
    ----------
    damping : float
    size : float or StepSizes
    batch : int, optional
        Of another batch, whose Hessian it is.
    proximal : bool
        The damping is 1 over the step size, and size 1.
    """

    damping: float
    size: Any
    batch: int | None = None
    proximal: bool = False


def newton_step(sgd: SGD) -> NewtonStep | None:
    """The form of a descent on least squares; None of a rule that has another.

    Raises
    ------
    InvalidInput
        If the step size follows a schedule where the form depends on it.
    """
    rule = sgd.update_rule
    if isinstance(rule, Proximal):
        if isinstance(sgd.step_size, StepSizes):
            raise InvalidInput(
                f"step_size is the schedule {sgd.step_size!r}, and exact moments of proximal steps are known for one "
                "step size: take dataclasses.replace(sgd, step_size=...), or simulate"
            )
        return NewtonStep(1 / sgd.step_size, 1.0, proximal=True)
    if isinstance(rule, StochasticNewton):
        other = (rule.hessian_batch_size or sgd.batch_size) if rule.hessian == "independent" else None
        return NewtonStep(rule.damping, sgd.step_size, other)
    if isinstance(rule, NaturalGradient) and rule.fisher == "expected" and not rule.momentum:
        return NewtonStep(rule.damping, sgd.step_size)
    return None


def proximal_stability(sgd: SGD) -> Stability:
    """No threshold where the ridge is at least 0: (I + step_size (H + ridge))^-1 expands nothing, of any batch.

    Raises
    ------
    InvalidInput
        If the ridge is negative.
    """
    if sgd.problem.ridge < 0:
        raise InvalidInput(
            f"the thresholds of proximal steps are known for a ridge of at least 0, got {sgd.problem.ridge:g}: "
            "stationary() decides at the step size itself"
        )
    return Stability(math.inf, math.inf, float(sgd.step_size))

"""How a tail index moves with step size, ridge, one eigenvalue and batch size: results, and differences for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .numerical_derivatives import FIRST, FIRST_LOWER
from .tail_index import TailIndex

PARAMETERS = ("step_size", "ridge", "eigenvalue", "batch_size")
STEP = 4e-3  # relative, of a difference of exact growth
SAFETY = 3.0  # of what the lower order of a difference says
LEFT = 0.1  # of the difference of two orders, that the higher may still be off
ROUNDING = 1e-14  # of a growth, where its error is not known


@dataclass(frozen=True)
class Derivative:
    """A number with its error: numerical, or half a 95 % interval where growth is sampled."""

    value: float
    error: float

    def __repr__(self) -> str:
        return f"{self.value:.8g} +- {self.error:.2g}"


@dataclass(frozen=True)
class TailIndexSensitivities:
    """What moves the tail index.

    Attributes
    ----------
    index : TailIndex
    step_size, ridge : Derivative or None
        Of the index in these; None where it was not asked for.
    eigenvalue : tuple of Derivative
        Of the index in each eigenvalue of the Hessian that is above zero, largest first, all else held; on finite data
        the rows are stretched along that eigenvector. Empty where it was not asked for.
    batch_size : Derivative or None
        Where the formula takes real batch sizes: isotropic streams, of SGD at batch size 1 taken from above, and
        homogenized SGD.
    smaller_batch, larger_batch : Derivative or None
        Ratio of the index at one sample less to the index, and of that at one more (inf where that is infinite);
        elsewhere. None at batch size 1, or where that index is not known (`why_not`).
    why_not : tuple of str
    sampled : bool
        Whether growth is sampled: errors are then statistical.
    """

    index: TailIndex
    step_size: Derivative | None = None
    ridge: Derivative | None = None
    eigenvalue: tuple[Derivative, ...] = ()
    batch_size: Derivative | None = None
    smaller_batch: Derivative | None = None
    larger_batch: Derivative | None = None
    why_not: tuple[str, ...] = ()
    sampled: bool = False


def difference(known: Callable[[float], tuple[float, float]], at: float, step: float) -> Derivative:
    """Of a smooth function with its errors about a place, of sixth order; its error from the fourth."""
    apart = {q: [known(at + side * q * step)[0] for side in (1, -1)] for q in FIRST}
    fine, coarse = (sum(c * (apart[q][0] - apart[q][1]) for q, c in rule.items()) / step for rule in (
        FIRST, FIRST_LOWER,
    ))  # fmt: skip
    noise = max(known(at)[1], ROUNDING) / step
    return Derivative(fine, min(abs(fine - coarse), SAFETY * noise + LEFT * abs(fine - coarse)))

"""Where the gradient of a step comes from: rows of least squares, a stream, additive noise, or samples of a loss."""

from __future__ import annotations

from typing import Any

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .additive import Additive
from .rows import Rows
from .sampled import Samples
from .source import Source, drawn_rows
from .stream import Stream

__all__ = ["Additive", "Rows", "Samples", "Source", "Stream", "drawn_rows", "source_of"]


def source_of(problem: Any, batch_size: int, sampling: str, label_noise: float) -> Source:
    """The source of a problem's gradients."""
    if isinstance(problem, QuadraticProblem) and not (
        problem.additive or isinstance(problem, (LeastSquares, StreamingLeastSquares))
    ):
        raise InvalidInput(
            f"{type(problem).__name__} knows moments of its noise, from which nothing is drawn: simulate SGD on the "
            "loss or the data behind it"
        )
    kinds: dict[type, Any] = {LeastSquares: Rows, StreamingLeastSquares: Stream, QuadraticProblem: Additive}
    kind = next((kind for base, kind in kinds.items() if isinstance(problem, base)), Samples)
    return kind(problem, batch_size, sampling, label_noise)

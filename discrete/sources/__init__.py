"""Where the gradient of a step comes from: rows of least squares, a stream, additive noise, or samples of a loss."""

from __future__ import annotations

from typing import Any

from sgdlimits.problems.least_squares import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem
from sgdlimits.problems.streaming import StreamingLeastSquares

from .additive import Additive
from .moments_only import MomentsOnly
from .rows import Rows
from .sampled import Samples
from .source import Source, drawn_rows
from .stream import Stream

__all__ = ["Additive", "Rows", "Samples", "Source", "Stream", "drawn_rows", "source_of"]


def source_of(problem: Any, batch_size: int, sampling: str, label_noise: float) -> Source:
    """The source of a problem's gradients."""
    additive = isinstance(problem, QuadraticProblem) and problem.additive
    kinds: dict[type, Any] = {
        LeastSquares: Rows, StreamingLeastSquares: Stream, QuadraticProblem: Additive if additive else MomentsOnly,
    }  # fmt: skip
    kind = next((kind for base, kind in kinds.items() if isinstance(problem, base)), Samples)
    return kind(problem, batch_size, sampling, label_noise)

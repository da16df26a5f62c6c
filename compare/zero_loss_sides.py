"""The two sides of a comparison on a zero-loss set: noisy gradient descent, its limit, and the start of both."""

from __future__ import annotations

from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, axes, finite_array

from .capabilities import has_one_step_size


def checked_start(recurrence: Any, limit: Any, w0: Any) -> np.ndarray:
    """The start (m,) of a recurrence and its limit that can be put side by side along a ladder.

    Raises
    ------
    InvalidInput
        If the sides do not belong together, or the start is not one point.
    """
    for side, name in ((recurrence, "recurrence"), (limit, "limit")):
        if not hasattr(side, "noise") or not hasattr(side, "model"):
            raise InvalidInput(f"the {name} must have a model and a noise, got {type(side).__name__}")
    if getattr(recurrence, "rule", None) is not None:
        raise InvalidInput(
            f"the recurrence takes steps of {recurrence.rule.label}, and the limits are those of plain descent: leave "
            "the rule out"
        )
    if not has_one_step_size(recurrence):
        raise InvalidInput(
            "the recurrence has a schedule of step sizes, but a ladder needs one step size: pass a number"
        )
    if limit.model is not recurrence.model:
        raise InvalidInput("recurrence and limit are built on different models: pass the same object to both")
    if axes(w0) > 1:
        raise InvalidInput("w0 must be one point (m,): the limit's path is followed from Phi(w0)")
    return finite_array("w0", w0, shape=(recurrence.model.dimension,))

"""A wrong limit: the tangential drift times a factor. A verdict that cannot tell it from the right one has no power."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.diffusions.manifold.fields import tangential


@dataclass(frozen=True, eq=False)
class ScaledDrift:
    """The vector fields of a limit with the tangential part of the drift times `factor`; the rest as it is."""

    fields: Any
    factor: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fields, name)

    def drift(self, w: np.ndarray, frame: Any, skip: tuple[Any, ...] = ()) -> np.ndarray:
        """Ito drift (..., m): the curvature, which keeps a path on the set, and `factor` times the rest."""
        right = self.fields.drift(w, frame, skip)
        return right + (self.factor - 1) * tangential(frame, right)


def with_drift(limit: Any, factor: float) -> Any:
    """The limit with `factor` times its tangential drift."""
    wrong = replace(limit)
    object.__setattr__(wrong, "_fields", ScaledDrift(limit._fields, factor))  # where its cached property looks
    return wrong

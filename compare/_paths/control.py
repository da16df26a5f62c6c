"""A wrong limit: the tangential drift times a factor. A verdict that cannot tell it from the right one has no power."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.problems import geometry

LOOKED_AT = 8  # paths whose points are looked at for a drift
NO_DRIFT = 1e-9  # drift times the reach of the paths, over the noise squared, below which it moves nothing


@dataclass(frozen=True, eq=False)
class ScaledDrift:
    """The vector fields of a limit with the tangential part of the drift times `factor`; the rest as it is."""

    fields: Any
    factor: float

    def __getattr__(self, name: str) -> Any:
        return getattr(self.fields, name)

    def drift(self, w: np.ndarray, frame: Any) -> np.ndarray:
        """Ito drift (..., m): the curvature, which keeps a path on the set, and `factor` times the rest."""
        return self.tangent_drift(w, frame) + self.fields.curvature_drift(w, frame)

    def tangent_drift(self, w: np.ndarray, frame: Any, skip: tuple[Any, ...] = ()) -> np.ndarray:
        """`factor` times the drift along the set."""
        return self.factor * self.fields.tangent_drift(w, frame, skip)


def with_drift(limit: Any, factor: float) -> Any:
    """The limit with `factor` times its tangential drift."""
    wrong = replace(limit)
    object.__setattr__(wrong, "_fields", ScaledDrift(limit._fields, factor))  # where its cached property looks
    return wrong


def drifts(limit: Any, points: np.ndarray) -> bool:
    """Whether a limit has a drift along the set at some of the points (P, T, m), beside what it gets there by noise."""
    some = points[:LOOKED_AT].reshape(-1, points.shape[-1])
    drift = geometry.frame(limit.model, some).tangent_part(limit.drift(0.0, some))
    noise = np.square(limit.diffusion(0.0, some)).sum(axis=(-2, -1)).max()
    return bool(np.abs(drift).max() * np.ptp(points, axis=(0, 1)).max() > NO_DRIFT * noise)

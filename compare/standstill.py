"""Standing still: whether paths move at all once they have settled."""

from __future__ import annotations

import numpy as np

FROZEN = 1e-9  # a motion below this, relative to the size of the start's coordinates, is none


def size_of(start: np.ndarray) -> float:
    """Size of the coordinates of a start (m,), which rounding is relative to."""
    return 1 + float(np.abs(start).max())


def motion_of(points: np.ndarray) -> float:
    """Largest change of any coordinate of any path (P, T, m) from the first of the times on."""
    return float(np.abs(points - points[:, :1]).max())


def is_frozen(motion: float, size: float) -> bool:
    """Whether a motion is none, for coordinates of this size."""
    return bool(motion <= FROZEN * size)

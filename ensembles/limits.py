"""When a path counts as overflowed: one number and one criterion for every compiled loop and every NumPy step."""

from __future__ import annotations

import numpy as np

from sgdlimits.exact.compiling import compiled

LARGEST = 1e150  # of a norm: beyond it, or where it is no number, a path counts as overflowed
LARGEST_SQUARE = 1e300


@compiled(forceinline=True)
def too_large(square):
    """Whether a squared norm is past the limit, or not a number."""
    return not square <= LARGEST_SQUARE


def beyond(positions: np.ndarray) -> np.ndarray:
    """Which of the paths at positions (P, d) are past the limit, (P,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        return ~(np.einsum("pi,pi->p", positions, positions) <= LARGEST_SQUARE)


def mark(overflow_steps: np.ndarray, positions: np.ndarray, step: int) -> None:
    """Set `overflow_steps` (P,), where it is still -1, to `step` on the paths past the limit."""
    overflow_steps[beyond(positions) & (overflow_steps < 0)] = step

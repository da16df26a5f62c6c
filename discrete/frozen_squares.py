"""Second moments of gradients under the matrix that they make: the fixed point of a closure, up a ladder of step sizes.

Under diag(1 / sqrt(v)) the law makes second moments v' of gradients; sought is v' = v. Where the step size is small
against the threshold under the moments at the minimiser, half a step in logarithms, again and again, arrives. Farther
up v grows until the matrix has a law, ever nearer to its own threshold: v is about step_size^2, and the distance from
the threshold falls as step_size^-2. There Newton's method is led up a ladder of step sizes from below. Derived.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from sgdlimits.exact.errors import OutOfReach

SquaresUnder = Callable[[np.ndarray, float], np.ndarray | None]  # of second moments (d,) and a step size
MOST, CLOSE = 200, 1e-14  # iterations, relative change that ends them
PATIENT = 2000  # iterations where there is no ladder to go on with
RATIO = 1.5  # between rungs
NEWTON, HALVINGS, LARGEST = 12, 20, 40  # Newton steps a rung, halvings of one, coordinates
SHIFT = 1e-7  # of a logarithm, for a difference
FOUND = 1e-7  # relative error of what counts as found: rounding of laws near their threshold


def fixed_squares(
    under: SquaresUnder, start: np.ndarray, step_size: float, label: str
) -> tuple[np.ndarray, np.ndarray]:
    """v' and v (d,) that agree.

    Parameters
    ----------
    under : function of v (d,) and a step size
        v'; None where v has no law.
    start : (d,) array
        Second moments at the minimiser.

    Raises
    ------
    OutOfReach
        If none are found; the sentence has the largest step size at which they were.
    """
    size, rungs, found = step_size, 0, _iterated(under, start, step_size)
    while found is None:
        if start.size > LARGEST:
            raise OutOfReach(
                f"the closure of {label} was not found by iteration at step_size {step_size:g}, and by more than that "
                f"it is sought for at most {LARGEST} parameters, and here are {start.size}: lower step_size"
            )
        size, rungs = size / RATIO, rungs + 1
        found = _iterated(under, start, size)
    slope = np.zeros(start.size)  # of log v in the logarithm of the step size
    for rung in range(rungs - 1, -1, -1):
        reached, logs, size, up = size, np.log(found[1]), step_size / RATIO**rung, math.log(RATIO)
        found = _newton(under, logs + slope * up, size) or _newton(under, logs + 2 * up, size)
        if found is None:
            raise OutOfReach(
                f"the closure of {label} was found up to step_size {reached:.4g}, and not at {step_size:g}: second "
                "moments of gradients grow as its square, and the frozen matrix is so near to its threshold that "
                "rounding decides about it; lower step_size"
            )
        slope = (np.log(found[1]) - logs) / up
    return found


def _iterated(under: SquaresUnder, squares: np.ndarray, step_size: float) -> tuple[np.ndarray, np.ndarray] | None:
    """v' and v; None where that does not arrive."""
    for _ in range(MOST if squares.size <= LARGEST else PATIENT):
        now = under(squares, step_size)
        if now is None:
            return None
        if float(np.abs(now / squares - 1).max()) <= CLOSE:
            return now, squares
        squares = np.sqrt(squares * now)  # half way, in logarithms
    return None


def _newton(under: SquaresUnder, logs: np.ndarray, step_size: float) -> tuple[np.ndarray, np.ndarray] | None:
    """v' and v from log v nearby; None where that does not arrive."""

    def gap(at: np.ndarray) -> np.ndarray | None:
        found = under(np.exp(at), step_size)
        return None if found is None or not (found > 0).all() else np.log(found) - at

    left = gap(logs)
    for _ in range(HALVINGS):
        if left is not None:
            break
        logs = logs + SHIFT * 1e6
        left = gap(logs)
    if left is None:
        return None
    for _ in range(NEWTON):
        error = float(np.abs(left).max())
        slopes = np.empty((logs.size,) * 2)
        for j in range(logs.size):
            shift = np.zeros(logs.size)
            shift[j] = SHIFT
            moved = gap(logs + shift)
            if moved is None:
                return None
            slopes[:, j] = (moved - left) / SHIFT
        step = np.linalg.solve(slopes, left)
        trials = ((logs - step / 2**halving) for halving in range(HALVINGS))
        better = next(((at, new) for at in trials if (new := gap(at)) is not None and np.abs(new).max() < error), None)
        if better is None:
            break
        logs, left = better
    return (np.exp(logs + left), np.exp(logs)) if float(np.abs(left).max()) <= FOUND else None

"""Result types of the exact computations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


THRESHOLD_ERROR = 1e-12  # relative; nearer to a threshold nothing is called stable


@dataclass(frozen=True)
class StationaryLaw:
    """First two moments of a stationary law.

    Attributes
    ----------
    mean : array (d,)
    covariance : array (d, d)
    risk : float
        Expected L, without the ridge term.
    frozen_directions : array (d, r)
        Orthonormal directions in which nothing moves, because neither data nor ridge acts on them. The
        covariance there is zero and the mean zero: the law is that of the coordinates in the range.
    """

    mean: np.ndarray
    covariance: np.ndarray
    risk: float
    frozen_directions: np.ndarray

    def __repr__(self) -> str:
        frozen = self.frozen_directions.shape[1]
        note = f", {frozen} frozen direction(s)" if frozen else ""
        return (
            f"StationaryLaw(dimension={self.mean.size}, risk={self.risk:.6g}, "
            f"trace of covariance={np.trace(self.covariance):.6g}{note})"
        )


@dataclass(frozen=True)
class Stability:
    """Step sizes below which the moments settle, on the range of the data when the problem is singular.

    Attributes
    ----------
    mean_threshold : float
        The mean converges for step sizes below it; inf when it always does, 0 when it never does.
    mean_square_threshold : float
        The second moment converges for step sizes below it.
    step_size : float
        The step size of the process that was asked.
    """

    mean_threshold: float
    mean_square_threshold: float
    step_size: float

    @property
    def mean_stable(self) -> bool:
        """Whether the mean settles at the process's step size."""
        return self.step_size < self.mean_threshold * (1 - THRESHOLD_ERROR)

    @property
    def mean_square_stable(self) -> bool:
        """Whether the second moment settles at the process's step size."""
        return self.step_size < self.mean_square_threshold * (1 - THRESHOLD_ERROR)

    def __repr__(self) -> str:
        verdict = "stable in mean square" if self.mean_square_stable else (
            "stable in the mean only" if self.mean_stable else "unstable"
        )
        return (
            f"Stability(mean_threshold={self.mean_threshold:.6g}, "
            f"mean_square_threshold={self.mean_square_threshold:.6g}; step_size={self.step_size:.6g} is {verdict})"
        )

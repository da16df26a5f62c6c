"""Result types of the exact computations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .errors import InvalidInput

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
    unsettled_directions : array (d, q)
        Orthonormal directions that were left out on request, because nothing settles in them. The covariance there is
        put as zero: the law is that of the projection on the rest.
    """

    mean: np.ndarray
    covariance: np.ndarray
    risk: float
    frozen_directions: np.ndarray
    unsettled_directions: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))

    def __repr__(self) -> str:
        frozen = self.frozen_directions.shape[1]
        note = f", {frozen} frozen direction(s)" if frozen else ""
        note += f", {self.unsettled_directions.shape[1]} unsettled left out" if self.unsettled_directions.size else ""
        return (
            f"StationaryLaw(dimension={self.mean.size}, risk={self.risk:.6g}, "
            f"trace of covariance={np.trace(self.covariance):.6g}{note})"
        )


@dataclass(frozen=True)
class Threshold:
    """A step size with its numerical error, or half a 95 % interval."""

    value: float
    error: float


@dataclass(frozen=True)
class MomentThreshold(Threshold):
    """The first step size, from 0 up, at which E |x|^order of the stationary law is infinite: the tail index is order.

    Attributes
    ----------
    value, error : float
        The error is numerical, or half a 95 % interval where moments are sampled.
    order : float
        0: past it there is no stationary law.
    method : str
    """

    order: float
    method: str


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
    lyapunov : function, optional
        What finds the threshold of almost sure stability; it is asked when that is read.
    """

    mean_threshold: float
    mean_square_threshold: float
    step_size: float
    lyapunov: Callable[[], Threshold] | None = field(default=None, repr=False, compare=False)

    @property
    def lyapunov_threshold(self) -> float:
        """The first step size, from 0 up, at which the top Lyapunov exponent is 0; its error beside it.

        Between it and the mean-square threshold there is a stationary law of infinite variance. Finite data may be
        stable again beyond: `tail_index` decides at the step size itself. Computed when it is read: at once for
        isotropic streams and on a line, in seconds in the plane, up to a few minutes by populations.

        Raises
        ------
        InvalidInput
            If it is not known for this process.
        OutOfReach
            If no crossing is found.
        """
        return self._almost_sure.value

    @property
    def lyapunov_threshold_error(self) -> float:
        """Numerical error of that, or half a 95 % interval where it is sampled."""
        return self._almost_sure.error

    @cached_property
    def _almost_sure(self) -> Threshold:
        if self.lyapunov is None:
            raise InvalidInput(
                "the threshold of the Lyapunov exponent is known for SGD on least squares alone: use "
                "mean_square_threshold, or SGD(...).stability()"
            )
        return self.lyapunov()

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


def past(step_size: float, threshold: float, what: str) -> str:
    """A sentence's beginning for a step size past a threshold, with digits enough to tell the two apart."""
    for digits in (6, 9, 12, 15, 17):
        size, limit = f"{step_size:.{digits}g}", f"{threshold:.{digits}g}"
        if size != limit:
            break
    known = f" (known to {THRESHOLD_ERROR:g} of it)" if step_size < threshold else ""
    return f"step_size is {size}, but {what} only below {limit}{known}"

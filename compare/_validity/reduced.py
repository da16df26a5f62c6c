"""Curves of many modes on finite data: all step sizes of a cell from one small space, with bounds of their errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments
from sgdlimits.exact.moment_spectra import Functional
from sgdlimits.exact.noise_maps import SampledNoise
from sgdlimits.exact.reduced_risk import LARGEST_SPACE, ReducedCurve, ReducedRisk
from sgdlimits.exact.routes import APART, SMALLEST_KRYLOV
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.least_squares import LeastSquares

from ..capabilities import risk_floor

UNLIKE = 1e-11  # of the largest eigenvalue, below which the smallest lies, for a whole space
LARGEST_WHOLE = 1300  # numbers of a whole space that is made besides, for curves that a small one does not settle
WHOLE_BELOW = 1e-4  # the same, from which on a space grows so large that the whole is cheaper


@dataclass(frozen=True, eq=False)
class Reduction:
    """The space of one problem and start, which all processes of a cell share.

    Attributes
    ----------
    problem : LeastSquares
    risk : ReducedRisk
    make : function of whether the space is whole, to such a space
    """

    problem: LeastSquares
    risk: ReducedRisk
    make: Callable[[bool], ReducedRisk]

    @classmethod
    def of(cls, problem: Any, x0: Any, length: float) -> Reduction | None:
        """None where modes are so unlike that rounding would drown some.

        What rounding leaves over of modes that are unlike keeps a bound from coming down; of a whole space there is
        none, and curves agree with 80-bit arithmetic to 1e-8 at condition numbers up to 1e11.
        """
        if not isinstance(problem, LeastSquares):
            return None
        r = problem.rank
        h, k = problem.eigenvalues[:r], problem.curvatures[:r]
        size = r * (r + 1) // 2
        alike = h[-1] > WHOLE_BELOW * h[0] if size else False
        whole = size <= (SMALLEST_KRYLOV if alike else LARGEST_SPACE)
        apart = UNLIKE if whole else APART
        if not size or h[-1] < apart * h[0] or k.min() <= 0:
            return None
        problem.check_centre()
        mean, covariance = initial_moments(x0, problem.dimension)
        modes, vectors = problem.to_modes(mean)[:r], problem.eigenvectors[:, :r]
        above = problem.risk_at_minimiser - (risk_floor(problem) or 0.0)
        made = partial(
            ReducedRisk, problem.range_modes, problem.residuals_at_minimiser, k, modes,
            vectors.T @ covariance @ vectors + np.outer(modes, modes), Functional(above, problem.risk_slope[:r], h),
            length,
        )  # fmt: skip
        return cls(problem, made(whole), made)

    @cached_property
    def whole(self) -> ReducedRisk | None:
        """The space of all quadratic functions, where a few eigenproblems of its size take seconds."""
        r = self.problem.rank
        return self.risk if self.risk.whole else self.make(True) if r * (r + 1) // 2 <= LARGEST_WHOLE else None

    def curve(self, process: Any, whole: bool = False) -> ReducedCurve | None:
        """Excess of the expected risk by the space as it is; None where other moments close, or other equations do."""
        risk = self.whole if whole else self.risk
        if risk is None:
            return None
        if process.problem is not self.problem or isinstance(process.step_size, StepSizes):
            return None
        made: Any = getattr(process, "second_moments", None)
        if made is None:
            return None
        equations = made.equations
        if made.increments != 1 or not isinstance(equations.noise, SampledNoise):
            return None
        return risk.curve(equations) if equations.spectral else None

    def grow(self, curves: Sequence[ReducedCurve | None], last: int) -> bool:
        """By what these leave over; whether it did."""
        found = [curve for curve in curves if curve is not None]
        return bool(found) and self.risk.extend(found, [last] * len(found))

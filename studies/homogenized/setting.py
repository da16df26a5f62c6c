"""Defaults of the study that follow from the data, and sentences on what the data are like."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import InvalidInput

if TYPE_CHECKING:
    from sgdlimits.problems import LeastSquares

RELAXATIONS = 3  # of the slowest direction, where this is no more than LONG steps
FEWEST, LONG, MOST = 20, 1000, 10_000
WAY = 0.95  # part of the way of the mean risk that a run covers, where MOST steps suffice
NEGLIGIBLE = 1e-10  # an eigenvalue below this part of the largest is a direction that the data do not determine
REACH = 1e6  # step size times curvature, at most: beyond it the first steps leave the range of numbers


def check_reach(problem: LeastSquares, step_size: float) -> None:
    """Raise where a step multiplies errors by a million: nothing but overflow can be shown."""
    curvature = float(np.abs(problem.curvatures).max())
    if step_size * curvature > REACH:
        raise InvalidInput(
            f"step_size is {step_size:g}, {step_size * curvature:.3g} over the largest curvature {curvature:.3g}: "
            f"every path leaves the range of numbers within a few steps; give at most {REACH / curvature:.3g}"
        )


def horizon(problem: LeastSquares, step_size: float) -> tuple[int, str]:
    """Default number of steps, and how it was found.

    The mean risk follows gradient flow: its excess is sum_i c_i exp(-2 step_size c_i k) e_i^2 / 2 over the
    eigendirections, with curvatures c_i and the start's distances e_i.
    """
    curvatures = problem.curvatures
    moving = curvatures > NEGLIGIBLE * np.abs(curvatures).max()
    if not moving.any():
        return FEWEST, f"Steps: no direction relaxes, so {FEWEST}."
    speeds = curvatures[moving]
    distances = (problem.eigenvectors.T @ problem.minimiser)[moving]
    weights = speeds * distances**2
    relaxation = 1 / (step_size * speeds.min())
    steps = min(LONG, RELAXATIONS * relaxation)
    low, high = 0.0, float(MOST)
    if weights.sum() > 0:
        for _ in range(60):
            middle = (low + high) / 2
            left = (weights * np.exp(-2 * step_size * speeds * middle)).sum()
            low, high = (middle, high) if left > (1 - WAY) * weights.sum() else (low, middle)
        steps = max(steps, high)
    count = int(np.clip(np.ceil(steps), FEWEST, MOST))
    left = (weights * np.exp(-2 * step_size * speeds * count)).sum()
    covered = 1 - left / weights.sum() if weights.sum() > 0 else 1.0
    return count, (
        f"Steps: {count}; by then the mean risk has made {100 * covered:.3g} % of its way, and the slowest direction "
        f"has relaxed {count / relaxation:.3g} times ({relaxation:.4g} steps each)."
    )


def eigenvalue_notes(problem: LeastSquares) -> list[str]:
    """A warning where columns are collinear but for rounding: the data do not determine those directions."""
    values, largest = problem.eigenvalues, float(problem.eigenvalues.max())
    if problem.ridge > NEGLIGIBLE * largest:
        return []
    under = np.flatnonzero((values > 0) & (values < NEGLIGIBLE * largest))
    if not under.size:
        return []
    shown = ", ".join(f"{value:.2g}" for value in sorted(values[under])[:3])
    loads = np.abs(problem.eigenvectors[:, under[-1]])
    columns = " and ".join(f"{problem.coordinates[k]!r:.40}" for k in np.argsort(-loads)[:2])
    return [
        f"{under.size} of {values.size} eigenvalues of the data are under rounding ({shown}; the largest is "
        f"{largest:.3g}): columns such as {columns} are collinear, and the minimiser has norm "
        f"{np.linalg.norm(problem.minimiser):.3g}. Drop one of them, or give a ridge, such as "
        f"--ridge {1e-3 * largest:.1g}."
    ]

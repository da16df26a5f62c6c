"""Independent ends of paths, along one direction: what the estimators see."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, StabilityWarning, finite_array

from .._laws.sides import DiffusionSide, Run, Side
from ..capabilities import has_moments, has_one_step_size, problem_of

RELAXATIONS = 10.0  # of the slowest mode, after which a start is forgotten
FEWEST_STEPS = 200
MOST_WORK = 2e9  # path-steps times dimension of one process, unless steps are given
SPLIT = "ninomiya_victoir"  # integrates each noise and the drift exactly: it keeps the index on a line at any increment
UNSETTLED = 1e-3  # probability by chance, from which the law at half the steps is called another
ANGLE = 0.1  # decay of the fastest mode over one increment


@dataclass(frozen=True, eq=False)
class Ends:
    """Ends of paths (paths,) on a line, and what to know of them."""

    values: np.ndarray
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Line:
    """The direction and the point that positions are seen from, with what must be said of it."""

    direction: np.ndarray
    origin: np.ndarray
    notes: tuple[str, ...] = ()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.origin) @ self.direction


def lines_of(processes: list[Any], direction: Any, dimension: int) -> list[Line]:
    """One a process, through its own centre; default direction: of the largest eigenvalue, or the first axis."""
    problem = next((p for p in map(problem_of, processes) if hasattr(p, "eigenvectors")), None)
    if direction is None:
        largest = 0 if problem is None else int(np.argmax(problem.eigenvalues))
        along = (np.eye(dimension) if problem is None else problem.eigenvectors)[:, largest]
    else:
        along = finite_array("direction", direction, shape=(dimension,))
        if not np.any(along):
            raise InvalidInput(
                "direction is zero: give a vector (d,), or leave it out for that of the largest eigenvalue"
            )
        along = along / np.linalg.norm(along)
    return [Line(along, *centre_of(process, dimension)) for process in processes]


def centre_of(process: Any, dimension: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """What a process settles about (d,): its `centre`, else the minimiser of its problem; the origin, with a note."""
    if getattr(process, "centre", None) is not None:
        return finite_array("centre", process.centre, shape=(dimension,)), ()
    why = "the process states neither a centre nor a problem with a minimiser"
    try:
        known = getattr(process, "problem", None), problem_of(process)  # of a smooth loss the first has its minimum
        stated = (getattr(problem, "minimiser", None) for problem in known)
        minimiser = next((point for point in stated if point is not None), None)
        if minimiser is not None:
            return np.asarray(minimiser, dtype=float), ()
    except InvalidInput as error:
        why = str(error)
    return np.zeros(dimension), (f"seen from the origin: {why}",)


def steps_of(processes: list[Any], exponents: list[float], steps: int | None, paths: int, dimension: int) -> int:
    """Steps after which starts are forgotten: by the slowest mode, and by the slowest Lyapunov exponent."""
    if steps is not None:
        return steps
    rates = [-exponent for exponent in exponents if exponent < 0]
    for process in processes:
        plain = getattr(process, "rule", None) is None  # other rules have other rates
        if plain and has_moments(process) and has_one_step_size(process):
            curvatures = process.problem.curvatures[process.problem.eigenvalues > 0]
            rates.append(float(process.step_size * curvatures.min(initial=math.inf)))
    slowest = min((rate for rate in rates if rate > 0), default=math.inf)
    wanted = max(FEWEST_STEPS, math.ceil(RELAXATIONS / slowest)) if math.isfinite(slowest) else FEWEST_STEPS
    return int(min(wanted, max(FEWEST_STEPS, MOST_WORK // (paths * dimension))))


def ends_of(side: Side, line: Line, run: Run) -> Ends:
    """The ends of one side's paths, and a doubt where half as many steps gave another law.

    Raises
    ------
    InvalidInput
        If paths left the range of numbers.
    """
    from scipy.stats import ks_2samp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # an index of at most 2 is the finding, not a fault
        half, last = _positions(side, line, run)
    if not np.isfinite(last).all():
        count = int(np.count_nonzero(~np.isfinite(last)))
        raise InvalidInput(
            f"{count} of {last.size} paths of {side.label} left the range of floating-point numbers in {run.steps} "
            "steps: lower the step size, or steps"
        )
    # Two halves of the paths, so that the two samples are independent.
    test = ks_2samp(half[: half.size // 2], last[half.size // 2 :])
    if test.pvalue >= UNSETTLED:
        return Ends(last, line.notes)
    return Ends(
        last,
        (
            *line.notes,
            f"not settled: after {run.steps // 2} steps the law was another (KS distance {test.statistic:.2g}, "
            f"p = {test.pvalue:.1g}): give more steps, or a start nearer to the stationary law",
        ),
    )


def _positions(side: Side, line: Callable[[np.ndarray], np.ndarray], run: Run) -> tuple[np.ndarray, np.ndarray]:
    sample = _keeping_the_index(side).sample(run, {"line": line}, frozenset())
    if sample is None:
        raise InvalidInput(f"{side.label} is a known law, of which nothing is sampled: leave it out")
    return sample.values["line"][:, 0], sample.values["line"][:, 1]


def _keeping_the_index(side: Side) -> Side:
    """The side by another scheme, where that which samples its law best would give its tail another index."""
    if not isinstance(side, DiffusionSide) or not has_moments(side.process) or side.process.always_exact:
        return side
    rate = float(side.process.step_size * np.abs(side.process.problem.curvatures).max())
    return replace(side, asked=SPLIT, substeps=min(max(1, math.ceil(rate / ANGLE)), 64))

"""A deterministic limit followed from one point of the zero-loss set, and where it passes the stability limit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sgdlimits.exact.errors import InvalidInput, finite_array, one_of, positive
from sgdlimits.problems import geometry
from sgdlimits.problems.frames import place

from .checks import check_move
from .fields import Fields
from .flows import FLOW_SOLVERS, extended, follow
from .leaving import back_to_set, frame_of_rank
from .simulator import DEFAULT_DT
from .stability import past_the_limit, warn_of_crossing

LONGEST_TIME = 1e9  # a flow of order-one rates is solved in steps of about one


def checked_times(times: Sequence[float] | np.ndarray, clock: float) -> np.ndarray:
    """Times (T,) that increase from 0 on, not too long both in units of the clock and in steps (`clock` a unit)."""
    found = finite_array("times", np.atleast_1d(finite_array("times", times)), ndim=1)
    if found.size == 0 or found[0] < 0 or (found[1:] < found[:-1]).any():
        raise InvalidInput(f"times must increase from 0 on, got {found[:5].tolist()}")
    longest = LONGEST_TIME / min(float(clock), 1.0)
    if found[-1] > longest:
        raise InvalidInput(f"times must be at most {longest:g} in units of the clock, got {found[-1]:g}")
    return found


def fixed_step(solver: str, dt: float | None) -> float | None:
    """Largest step of a fixed-step solver of FLOW_SOLVERS; None of the adaptive one, which takes no `dt`."""
    one_of("solver", solver, FLOW_SOLVERS)
    if solver != "adaptive":
        return DEFAULT_DT if dt is None else positive("dt", dt)
    if dt is not None:
        raise InvalidInput("dt is a fixed step, but solver='adaptive' chooses its own: leave dt out")
    return None


def solved(
    fields: Fields, start: np.ndarray, times: np.ndarray, solver: str, step: float | None, project: bool
) -> np.ndarray:
    """Positions (T, m) at `times` (T,) from `start` (m,) on the set, for the caller of `ManifoldLimit.solve`.

    Warns where the path passes the stability limit of the step size: by which time, and where.
    """
    model, step_size = fields.model, fields.step_size
    rank = geometry.frame(model, start).rank
    crossings: list[str] = []

    def check(before: np.ndarray, after: np.ndarray, time: float) -> None:
        if not project:
            before, after = back_to_set(model, before), back_to_set(model, after)
        there = check_move(fields, before, after, frame_of_rank(model, before, rank))
        if not crossings and past_the_limit(there, step_size):
            crossings.append(f"by time {time:.6g}, {place(after)},")

    field = extended(model, fields.tangent_drift, rank)
    path = follow(model, field, start, times, solver, step or DEFAULT_DT, project, check)
    if crossings:
        warn_of_crossing("the limit's path passes", step_size, crossings[0], stacklevel=3)
    return path

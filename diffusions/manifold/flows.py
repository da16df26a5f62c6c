"""Integrators of a deterministic limit on the zero-loss set: projected Runge-Kutta, and an adaptive one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, Unstable

from .leaving import back_to_set, frame_of_rank, stopped

Field = Callable[[np.ndarray], np.ndarray]
Check = Callable[[np.ndarray, np.ndarray, float], None]
# Stage i is taken at w + dt * sum_j a_ij k_j (strictly lower triangular); weights are the last row.
TABLEAUS = {
    "euler": [[], [1.0]],
    "heun": [[], [1.0], [0.5, 0.5]],
    "rk4": [[], [0.5], [0.0, 0.5], [0.0, 0.0, 1.0], [1 / 6, 1 / 3, 1 / 3, 1 / 6]],
}
ORDERS = {"euler": 1, "heun": 2, "rk4": 4}
FLOW_SOLVERS = ("adaptive", *TABLEAUS)
TOLERANCE = 1e-12  # of the adaptive integrator, relative and absolute
MOST_STEPS = 100_000  # of the adaptive integrator: beyond them the limit is stiff or about to explode


def extended(model: Any, field: Callable[[np.ndarray, Any], np.ndarray], rank: int) -> Field:
    """The field near the set: its value at the retracted point, so that stages off the set are well defined.

    Its flow keeps the set exactly, and it is as smooth as the field (derived).
    """

    def evaluate(w: np.ndarray) -> np.ndarray:
        point = back_to_set(model, w)
        return field(point, frame_of_rank(model, point, rank))

    return evaluate


def runge_kutta_step(field: Field, w: np.ndarray, dt: float, solver: str) -> np.ndarray:
    """One step of a method of TABLEAUS from w (..., m), not projected."""
    slopes: list[np.ndarray] = []
    for row in TABLEAUS[solver]:
        stage = w + dt * sum((weight * slope for weight, slope in zip(row, slopes)), np.zeros_like(w))
        if len(slopes) == len(TABLEAUS[solver]) - 1:
            return stage
        slopes.append(field(stage))
    raise AssertionError("a tableau ends with its weights")


def follow(
    model: Any,
    field: Field,
    start: np.ndarray,
    times: np.ndarray,
    solver: str,
    dt: float,
    project: bool,
    check: Check,
) -> np.ndarray:
    """Positions (T, m) at `times` (T,), increasing from 0 on; `start` (m,) lies on the set.

    `check`(before, after, time) is called after every step. Between two times a fixed-step method takes equal steps
    of at most `dt`.

    Raises
    ------
    InvalidInput
        If the path leaves the set, the rank of the Hessian changes or the path explodes: with time and place.
    Unstable
        The same where the field ends at the stability limit of a finite step.
    """
    if solver == "adaptive":
        return _adaptive(model, field, start, times, project, check)
    out, w, now = np.empty((len(times), start.size)), start, 0.0
    for i, time in enumerate(times):
        count = int(np.ceil((time - now) / dt - 1e-9))
        for j in range(count):
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    moved = runge_kutta_step(field, w, (time - now) / count, solver)
                moved = back_to_set(model, moved) if project else moved
                check(w, moved, now + (time - now) * (j + 1) / count)
                w = moved
            except (InvalidInput, Unstable) as error:
                raise stopped(now + (time - now) * j / count, w, error) from None
        out[i], now = w, time
    return out


def _adaptive(
    model: Any, field: Field, start: np.ndarray, times: np.ndarray, project: bool, check: Check
) -> np.ndarray:
    from scipy.integrate import DOP853

    out, done = np.empty((len(times), start.size)), 0
    while done < len(times) and times[done] == 0:
        out[done], done = start, done + 1
    if done == len(times):
        return out
    here = (0.0, start)
    try:
        stepper = DOP853(
            lambda _, w: field(w), 0.0, start, float(times[-1]), rtol=TOLERANCE, atol=TOLERANCE * (1 +
            np.abs(start).max())
        )  # fmt: skip
        for _ in range(MOST_STEPS):
            message = stepper.step()
            if stepper.status == "failed":
                raise InvalidInput(f"it explodes or is not smooth there ({message})")
            dense = None
            while done < len(times) and times[done] <= stepper.t:
                at_end = times[done] == stepper.t
                dense = dense or stepper.dense_output()
                w = stepper.y if at_end else dense(times[done])
                out[done], done = back_to_set(model, w) if project else w, done + 1
            if project:
                # The extended field is constant across the set, so the stored slope stays right.
                stepper.y = back_to_set(model, stepper.y)
            check(here[1], stepper.y, float(stepper.t))
            here = (stepper.t, stepper.y)
            if stepper.status == "finished":
                return out
    except (InvalidInput, Unstable) as error:
        raise stopped(*here, error) from None
    raise stopped(
        *here, f"it needs more than {MOST_STEPS} adaptive steps, so it is stiff or about to explode"
    )

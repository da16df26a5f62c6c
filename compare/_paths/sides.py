"""What is simulated at the rungs: Phi(w_k) at the looks, the limit there, and the fast phase at every step."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.diffusions import LeftTheSet
from sgdlimits.exact.errors import InvalidInput, OverflowedPaths
from sgdlimits.problems.noise import Minibatch

from .. import rescaling

FINER = 4  # times that a random limit is tried, each with a quarter of the step
BLOCK = 2**24  # numbers of the fast phase that are held at once


@dataclass(frozen=True, eq=False)
class Looked:
    """Points (P, T + 1, m) of the set at times (T + 1,) of the limit, the start included.

    `substeps`: of the integrator between two looks, of a random limit.
    """

    times: np.ndarray
    points: np.ndarray
    substeps: int = 0


def look_steps(times: np.ndarray, clock: float, step_size: float) -> np.ndarray:
    """Whole steps nearest to the times (T + 1,), 0 included."""
    steps = np.rint(times * clock).astype(np.int64)
    if (np.diff(steps) < 1).any():
        raise InvalidInput(
            f"the looks are less than a step apart at step size {step_size:g}: lengthen the time, or lower the step "
            "size, the noise level or `looks`"
        )
    return steps


def descended(recurrence: Any, limit: Any, w0: np.ndarray, times: np.ndarray, paths: int, settings: Any) -> Looked:
    """Phi(w_k) of the recurrence."""
    steps = look_steps(times, float(limit.clock), recurrence.step_size)
    run = recurrence.simulate(w0, int(steps[-1]), paths, observables={"phi": "limit_map"}, record=steps, **settings)
    points = run["phi"].values
    if not np.isfinite(points).all():
        raise InvalidInput(f"paths overflowed at step size {recurrence.step_size:g}: lower it")
    return Looked(steps / float(limit.clock), points)


def followed(limit: Any, w0: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Points (T + 1, m) of a deterministic limit."""
    return rescaling.limit_points(limit, w0, times)


def sampled(limit: Any, w0: np.ndarray, times: np.ndarray, paths: int, substeps: int, settings: Any) -> Looked:
    """A random limit, with so many integrator steps between two looks, or more where those leave the set."""
    steps = look_steps(times, float(limit.clock), limit.step_size)
    between = float(np.diff(steps).max()) / float(limit.clock)
    for finer in range(FINER):
        count = substeps * 4**finer
        with warnings.catch_warnings():
            for each in (OverflowedPaths, LeftTheSet):  # a step as long as the set is curved leaves it
                warnings.simplefilter("ignore", each)
            run = limit.simulate(
                w0, int(steps[-1]), paths, observables={"w": "state"}, record=steps, dt=between / count * (1 + 1e-9),
                **settings,
            )  # fmt: skip
        if np.isfinite(run["w"].values).all():
            return Looked(steps / float(limit.clock), run["w"].values, count)
    raise InvalidInput(
        f"paths of the limit left the set before the end, with {count} integrator steps between looks too: shorten the "
        "time, or raise looks"
    )


def averaged_gradient(model: Any, noise: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Gradient of E L_hat = L + sigma^2 Reg, for mechanisms of which that holds everywhere."""
    parts = [part for part in noise.components if not isinstance(part, Minibatch)]
    return lambda w: model.gradient(w) + sum(part.sigma**2 * part.regulariser_gradient(model, w) for part in parts)


def flow(
    gradient: Callable[[np.ndarray], np.ndarray], w0: np.ndarray, end: float
) -> Callable[[np.ndarray], np.ndarray]:
    """The flow of -gradient from w0 as a function of times (K,) up to `end` with values (K, m)."""
    from scipy.integrate import solve_ivp

    found = solve_ivp(
        lambda _, w: -gradient(w), (0.0, end), w0, method="DOP853", rtol=1e-10, atol=1e-12, dense_output=True
    )
    if not found.success:
        raise InvalidInput(f"the gradient flow could not be followed to time {end:g}: {found.message}")
    return lambda times: found.sol(times).T


def hurried(recurrence: Any, w0: np.ndarray, steps: int, paths: int, settings: Any) -> Iterator[np.ndarray]:
    """Blocks (p, steps + 1, m) of paths at every step."""
    block = max(1, BLOCK // ((steps + 1) * len(w0)))
    for first in range(0, paths, block):
        run = recurrence.simulate(
            w0, steps, min(block, paths - first), observables={"w": "state"}, record=np.arange(steps + 1),
            first_path=first, **settings,
        )  # fmt: skip
        points = run["w"].values
        if not np.isfinite(points).all():
            raise InvalidInput(f"paths overflowed at step size {recurrence.step_size:g}: lower it")
        yield points

"""How the time of one passage is measured, and what theory predicts for it; all times in steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number
from sgdlimits.problems import geometry

from . import slow_motion
from .estimates import mean_and_error

if TYPE_CHECKING:
    from ._time_scales import Passage

KINDS = ("drift", "relaxation", "equilibration")
CROWD = 16  # times as many paths for an equilibration: its runs are short, its second moment is noisy
LOOKED_AT = 80  # steps at which a run is looked at, evenly in the logarithm
REACH = 1.7  # length of a run over the predicted time
EXTENSIONS = 4  # times that a run which did not pass the level is made three times as long
WIDENINGS = 10  # times that the search for the limit's own time goes four times as far
STALLED = 1e-2  # relative: a limit that comes no nearer to its level than this in three times its time does not pass
LONGEST = 10**8  # steps


@dataclass(frozen=True)
class Measurement:
    """Time in steps and its standard error (inf, nan: not passed), the predicted one, the length of the run.

    `displacement` and `motion` belong to a process that stands still: the root mean square of |Phi(w_k) - Phi(w_0)| at
    the end, and the largest motion of any path over the last half of the run.
    """

    time: float
    error: float
    predicted: float
    steps: int
    displacement: float = np.nan
    motion: float = np.nan


def measure(entry: Passage, step_size: float, level: float, settings: dict[str, Any]) -> Measurement:
    """Measure one passage at one step size and noise level."""
    if not hasattr(entry.process, "noise"):
        return _moments_relaxation(entry, replace(entry.process, step_size=step_size))
    process = slow_motion.rebuilt(entry.process, step_size, level)
    if entry.kind == "relaxation":
        return _relaxation(entry, process)
    if entry.kind == "equilibration":
        return _equilibration(entry, process, settings)
    return _drift(entry, process, settings)


def predicted_exponents(entry: Passage, regime: str) -> tuple[float, float]:
    """Exponents of the time in step size and noise level: those of one step of the limit's clock, inverted."""
    orders = {"non-degenerate": (-1.0, -2.0), "degenerate": (-2.0, -2.0), "trivial": (np.nan, np.nan)}
    return orders[regime] if entry.kind == "drift" else (-1.0, 0.0)


def standstill(runs: list[Measurement], sizes: np.ndarray, scale: float) -> dict[str, float]:
    """Largest displacement and motion over a ladder, and the order of the displacement in the step size.

    No order of what is rounding of positions of size `scale`.
    """
    moved = np.array([run.displacement for run in runs])
    order = np.nan
    if len(runs) > 1 and (moved > slow_motion.ROUNDING * scale).all():
        line = np.stack([np.log(sizes), np.ones(len(sizes))], axis=1)
        order = slow_motion.fit(line, np.log(moved), np.zeros(len(moved))).coefficients[0]
    return {"displacement": moved.max(), "motion": max(run.motion for run in runs), "displacement_order": order}


def _simulated(
    process: Any, entry: Passage, steps: int, record: np.ndarray, name: str, settings: dict[str, Any]
) -> np.ndarray:
    run = process.simulate(
        entry.w0, steps, settings["paths"], observables={"found": name}, record=record, seed=settings["seed"],
        threads=settings["threads"], progress=settings["progress"],
    )  # fmt: skip
    values = run["found"].values
    if not np.isfinite(values).all():
        raise InvalidInput(f"paths of {entry.label} overflowed at step size {process.step_size:g}: lower it")
    return values


def _looks(steps: int) -> np.ndarray:
    """Steps from 0 to `steps`, dense in the logarithm near its end."""
    return np.unique(np.concatenate([[0], np.geomspace(max(1, steps // 8), steps, LOOKED_AT)]).astype(np.int64))


def _drift(entry: Passage, process: Any, settings: dict[str, Any]) -> Measurement:
    from sgdlimits.diffusions import ManifoldLimit

    limit = ManifoldLimit.of(process, start=entry.w0)
    if limit.regime == "trivial":
        return _standing(entry, process, settings)
    clock = float(limit.clock)
    if slow_motion.is_deterministic(limit):
        alone = sum(term.rate > 0 for term in limit.terms) == 1
        quantity, predicted = _common_passage(entry) if alone else _predicted_passage(entry, limit)
        steps = int(np.ceil(REACH * predicted * clock))
    else:
        if entry.quantity is None:
            raise InvalidInput(f"the limit of {entry.label} is random, so that it names no way: pass a quantity")
        quantity, predicted, steps = entry.quantity, np.nan, int(np.ceil(clock))
    for _ in range(EXTENSIONS):
        if steps > LONGEST:
            break
        record = _looks(steps)
        points = _simulated(process, entry, steps, record, "limit_map", settings)
        values = quantity(points.reshape(-1, points.shape[2])).reshape(points.shape[:2])
        time, error = slow_motion.crossing(record, *mean_and_error(values), entry.level)
        if np.isfinite(time):
            return Measurement(time, error, predicted * clock, steps)
        steps *= 3
    raise InvalidInput(
        f"{entry.label} has not passed the level {entry.level:g} in {steps // 3} steps at step size "
        f"{process.step_size:g}: choose a level that its limit passes"
    )


@lru_cache(maxsize=4)
def _common_passage(entry: Passage) -> tuple[slow_motion.Quantity, float]:
    """As below, where one term moves: on its own clock it knows neither step size nor noise level."""
    from sgdlimits.diffusions import ManifoldLimit

    return _predicted_passage(entry, ManifoldLimit.of(entry.process, start=entry.w0))


def _predicted_passage(entry: Passage, limit: Any) -> tuple[slow_motion.Quantity, float]:
    """The quantity, and the time on the limit's clock at which the limit passes the level."""
    origin = geometry.limit_map(limit.model, entry.w0)

    def far(point: np.ndarray) -> float:
        """Negative before the level is passed."""
        if entry.quantity is None:
            return float(np.linalg.norm(point - origin)) - entry.level
        value, start = (float(entry.quantity(x[None])[0]) for x in (point, origin))
        return (value - entry.level) * np.sign(entry.level - start)

    def followed(low: float, high: float, first: float) -> tuple[np.ndarray, np.ndarray]:
        """17 times from low to high, and how far past the level the limit is there; `first` at low."""
        grid = np.linspace(low, high, 17)
        return grid, np.array([first, *map(far, slow_motion.limit_points(limit, entry.w0, grid[1:]))])

    times, gaps = followed(0.0, 0.08, far(origin))
    nearest = gaps.max()
    for _ in range(WIDENINGS):
        if (gaps >= 0).any() or np.ptp(gaps) <= STALLED * abs(gaps[-1]):
            break
        times, gaps = followed(times[-1], 4 * times[-1], gaps[-1])
        nearest = max(nearest, gaps.max())
    if not (gaps >= 0).any():
        raise InvalidInput(
            f"the limit of {entry.label} does not pass the level {entry.level:g} (it stays {-nearest:.3g} short): "
            "choose a level that it passes"
        )
    for _ in range(2):
        after = int(np.argmax(gaps >= 0))
        times, gaps = followed(times[after - 1], times[after], gaps[after - 1])
    after = int(np.argmax(gaps >= 0))
    time = float(np.interp(0.0, gaps[after - 1 : after + 1], times[after - 1 : after + 1]))
    if entry.quantity is not None:
        return entry.quantity, time
    passed = slow_motion.limit_points(limit, entry.w0, np.array([time]))[0]
    return slow_motion.displacement(origin, passed), time


def _standing(entry: Passage, process: Any, settings: dict[str, Any]) -> Measurement:
    steps = settings["steps"] or int(np.ceil(10 / process.step_size**2))
    steps = whole_number("steps", steps, 2)
    record = np.unique(np.array([0, steps // 2, 3 * steps // 4, steps]))
    points = _simulated(process, entry, steps, record, "limit_map", settings)
    moved = np.linalg.norm(points[:, -1] - points[:, 0], axis=-1)
    late = np.abs(points[:, 1:] - points[:, 1:2]).max()
    return Measurement(np.inf, np.nan, np.inf, steps, float(np.sqrt(np.square(moved).mean())), float(late))


def _relaxation(entry: Passage, process: Any) -> Measurement:
    """Distance to the set of the recursion without noise; predicted from the gradient flow of the loss."""
    from scipy.integrate import solve_ivp

    model = process.model
    end = geometry.limit_map(model, entry.w0)
    start = float(np.linalg.norm(entry.w0 - end))
    if not start > 1e-12 * (1 + np.linalg.norm(end)):
        raise InvalidInput(f"{entry.label} starts on the zero-loss set: a relaxation starts off it")

    def reached(_: float, w: np.ndarray) -> float:
        return float(np.linalg.norm(w - end)) - entry.level * start

    reached.terminal = True
    slowest = geometry.frame(model, end).eigenvalues.min()
    horizon = 20 * (1 + np.log(1 / entry.level)) / slowest
    flow = solve_ivp(
        lambda _, w: -model.gradient(w), (0, horizon), entry.w0, "LSODA", events=reached, rtol=1e-9, atol=1e-12
    )
    if not flow.t_events[0].size:
        raise InvalidInput(f"the gradient flow of {entry.label} does not come near the set in time {horizon:.3g}")
    predicted = float(flow.t_events[0][0]) / process.step_size
    steps = int(np.ceil(REACH * predicted)) + 10
    path = [entry.w0]
    for _ in range(steps):
        path.append(path[-1] - process.step_size * model.gradient(path[-1]))
    points = np.array(path)
    distance = np.linalg.norm(points - geometry.limit_map(model, points), axis=1)
    time, error = _geometric_crossing(distance, entry.level * distance[0])
    return Measurement(time, error, predicted, steps)


def _geometric_crossing(distance: np.ndarray, level: float) -> tuple[float, float]:
    """Step, not whole, at which a decaying distance (K,) passes `level`: exact for a geometric decay."""
    below = distance <= level
    if not below.any():
        return np.inf, np.nan
    after = int(np.argmax(below))
    drop = np.log(distance[after - 1] / distance[after])
    return after - 1 + float(np.log(distance[after - 1] / level) / drop), 0.0


def _equilibration(entry: Passage, process: Any, settings: dict[str, Any]) -> Measurement:
    """Rise of E |w_k - Phi(w_k)|^2 from the set to its plateau; predicted from the Hessian there (derived).

    Across the set w is an Ornstein-Uhlenbeck process with gradient-noise covariance Q S Q, so that the mean square is
    tr C(1 - e^{-2 H step_size k}) with H C + C H = Q S Q.
    """
    from scipy.optimize import brentq

    model, point = process.model, geometry.limit_map(process.model, entry.w0)
    frame = geometry.frame(model, point)
    parts = [part for part in process.noise.components if np.isfinite(part.sigma)]
    covariance = sum(
        (part.sigma**2 * part.covariance(model, point, process.noise.batch) for part in parts),
        np.zeros((model.dimension, model.dimension)),
    )
    variances = np.diag(frame.normals.T @ covariance @ frame.normals) / (2 * frame.eigenvalues)
    if not variances.sum() > 0:
        raise InvalidInput(f"{entry.label} has no noise across the set at the start, so that nothing equilibrates")

    def rise(time: float) -> float:
        return float(variances @ (1 - np.exp(-2 * frame.eigenvalues * time)) / variances.sum()) - entry.level

    predicted = brentq(rise, 0.0, 50 / frame.eigenvalues.min()) / process.step_size
    steps = int(np.ceil(12 * predicted))
    looks = np.unique(np.rint(np.linspace(0, 2.5 * predicted, 60)).astype(np.int64))
    late = np.unique(np.rint(np.linspace(8 * predicted, steps, 40)).astype(np.int64))
    moved = replace(entry, w0=point)
    crowd = settings | {"paths": CROWD * settings["paths"]}
    squares = np.square(_simulated(process, moved, steps, np.union1d(looks, late), "distance", crowd))
    plateau = squares[:, -len(late) :].mean(axis=1)
    # The plateau's own sampling error moves the level: the difference holds both.
    relative = squares[:, : len(looks)] - entry.level * plateau[:, None]
    time, error = slow_motion.crossing(looks, *mean_and_error(relative), 0.0)
    return Measurement(time, error, predicted, steps)


def _moments_relaxation(entry: Passage, process: Any) -> Measurement:
    """Distance of the exact mean from the minimiser; predicted from the gradient flow, momentum included.

    With momentum mu the flow's time of a step is step_size / (1 - mu) to leading order (derived).
    """
    from scipy.optimize import brentq

    problem = process.problem
    modes = problem.eigenvectors.T @ (entry.w0 - problem.minimiser)
    moving = problem.curvatures > 1e-12 * problem.curvatures.max()
    modes, curvatures = modes[moving], problem.curvatures[moving]
    start = float(np.linalg.norm(modes))
    if not start > 0:
        raise InvalidInput(f"{entry.label} starts at the minimiser: a relaxation starts off it")

    def left(time: float) -> float:
        return float(np.linalg.norm(np.exp(-curvatures * time) * modes)) / start - entry.level

    time = brentq(left, 0.0, 2 * np.log(1 / entry.level) / curvatures.min() + 1e-9)
    predicted = time * (1 - getattr(process, "momentum", 0.0)) / process.step_size
    steps = int(np.ceil(3 * predicted)) + 20
    record = np.unique(np.rint(np.linspace(0, steps, min(steps, 2000) + 1)).astype(np.int64))
    mean = process.moments(entry.w0, steps, record=record)["mean"].values
    mean = (mean - problem.minimiser) @ problem.eigenvectors
    distance = np.linalg.norm(mean[:, moving], axis=1)
    below = distance <= entry.level * distance[0]
    if not below.any():
        return Measurement(np.inf, np.nan, predicted, steps)
    after = int(np.argmax(below))
    share = np.log(distance[after - 1] / (entry.level * distance[0])) / np.log(distance[after - 1] / distance[after])
    found = record[after - 1] + float(share) * (record[after] - record[after - 1])
    return Measurement(float(found), 0.0, predicted, steps)

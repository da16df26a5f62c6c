"""How the time of a time scale is measured over its ladders, and what theory predicts for it; all times in steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from sgdlimits.diffusions import ManifoldLimit
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems import geometry

from .. import rescaling
from ..estimates import mean_and_error
from ..rescaling import VARIABLES, Quantity
from ..stable_ladder import settling_sizes, stable_sizes
from ..standstill import motion_of, size_of
from .crossings import crossing, geometric_crossing
from .time_scale import TimeScale

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


@dataclass(frozen=True, eq=False)
class Case:
    """A time scale as it was measured.

    `regime`: of the limit that a drift follows, empty for other kinds. `size`: of the start's coordinates. `ladders`:
    variable -> pairs (step size, noise level), with their `runs`. `dropped`: a sentence on unstable rungs, or empty.
    """

    label: str
    kind: str
    level: float
    regime: str
    size: float
    ladders: Mapping[str, list[tuple[float, float]]]
    runs: Mapping[str, list[Measurement]]
    dropped: str


def measured(
    scale: TimeScale, index: int, step_sizes: Sequence[float] | None, noise_levels: Sequence[float] | None, rungs: int,
    settings: Mapping[str, Any],
) -> Case:  # fmt: skip
    """Measure a time scale over its ladders; `index` keeps its random numbers apart from those of others."""
    sizes, dropped = _stable(scale, step_sizes, rungs)
    limit = ManifoldLimit.of(scale.process, start=scale.w0) if scale.kind == "drift" else None
    regime = "" if limit is None else limit.regime
    common = cache(lambda: _passage(scale, limit))  # of one term: its clock takes up step size and noise level
    ladders = _ladders(scale, regime, sizes, noise_levels, rungs)
    # Every run has noise of its own, so that their errors are independent.
    runs = {
        variable: [
            _run(scale, *pair, common, {**settings, "seed": child_seed(settings["seed"], index, variable, number)})
            for number, pair in enumerate(pairs)
        ]
        for variable, pairs in ladders.items()
    }
    return Case(str(scale.label), str(scale.kind), scale.level, regime, size_of(scale.w0), ladders, runs, dropped)


def _stable(scale: TimeScale, step_sizes: Sequence[float] | None, rungs: int) -> tuple[np.ndarray, str]:
    """The ladder of step sizes, the scale's own before that of all, without unstable rungs; a sentence on those."""
    asked, process = step_sizes if scale.step_sizes is None else scale.step_sizes, scale.process
    sizes = rescaling.ladder("step_sizes", asked, float(process.step_size) * 0.5 ** np.arange(rungs))
    own = float(process.step_size) if asked is None else None
    if not hasattr(process, "noise"):
        return settling_sizes(process, sizes, own, stacklevel=5)
    if getattr(process, "rule", None) is not None:
        return sizes, ""  # the threshold is that of plain descent
    return stable_sizes(process.model, geometry.limit_map(process.model, scale.w0), sizes, own, stacklevel=5)


def _ladders(
    scale: TimeScale, regime: str, sizes: np.ndarray, noise_levels: Sequence[float] | None, rungs: int
) -> dict[str, list[tuple[float, float]]]:
    """Variable -> pairs (step size, noise level); the scale's own noise levels go before those of all."""
    halves, step_size = 0.5 ** np.arange(rungs), float(scale.process.step_size)
    level = rescaling.noise_level(scale.process.noise) if hasattr(scale.process, "noise") else np.nan
    ladders = {VARIABLES[0]: [(float(size), level) for size in sizes]}
    # Neither a relaxation nor the shape of an equilibration depends on the noise level.
    if np.isfinite(level) and level > 0 and scale.kind == "drift" and regime != "trivial":
        asked = noise_levels if scale.noise_levels is None else scale.noise_levels
        levels = rescaling.ladder("noise_levels", asked, level * halves)
        ladders[VARIABLES[1]] = [(step_size, float(at)) for at in levels]
    return ladders


def _run(
    scale: TimeScale, step_size: float, level: float, common: Callable[[], tuple[Quantity, float]],
    settings: Mapping[str, Any],
) -> Measurement:  # fmt: skip
    """One run, at one step size and noise level."""
    if not hasattr(scale.process, "noise"):
        return _moments_relaxation(scale, replace(scale.process, step_size=step_size))
    process = rescaling.rebuilt(scale.process, step_size, level)
    if scale.kind == "relaxation":
        return _relaxation(scale, process)
    if scale.kind == "equilibration":
        return _equilibration(scale, process, settings)
    return _drift(scale, process, common, settings)


def _simulated(
    scale: TimeScale, process: Any, w0: np.ndarray, record: np.ndarray, name: str, settings: Mapping[str, Any]
) -> np.ndarray:
    """Values (P, T, ...) of a built-in observable at the recorded steps."""
    options = {key: settings[key] for key in ("paths", "seed", "threads", "progress")}
    run = process.simulate(w0, int(record[-1]), observables={"found": name}, record=record, **options)
    values = run["found"].values
    if not np.isfinite(values).all():
        raise InvalidInput(f"paths of {scale.label} overflowed at step size {process.step_size:g}: lower it")
    return values


def _looks(steps: int) -> np.ndarray:
    """Steps from 0 to `steps`, dense in the logarithm near its end."""
    return np.unique(np.concatenate([[0], np.geomspace(max(1, steps // 8), steps, LOOKED_AT)]).astype(np.int64))


def _drift(
    scale: TimeScale, process: Any, common: Callable[[], tuple[Quantity, float]], settings: Mapping[str, Any]
) -> Measurement:
    limit = ManifoldLimit.of(process, start=scale.w0)
    if limit.regime == "trivial":
        return _standing(scale, process, settings)
    clock = float(limit.clock)
    if rescaling.is_deterministic(limit):
        alone = sum(term.rate > 0 for term in limit.terms) == 1
        quantity, predicted = common() if alone else _passage(scale, limit)
        steps = int(np.ceil(REACH * predicted * clock))
    else:
        if scale.quantity is None:
            raise InvalidInput(f"the limit of {scale.label} is random, so that it names no way: pass a quantity")
        quantity, predicted, steps = scale.quantity, np.nan, int(np.ceil(clock))
    for _ in range(EXTENSIONS):
        if steps > LONGEST:
            break
        record = _looks(steps)
        points = _simulated(scale, process, scale.w0, record, "limit_map", settings)
        values = _values(scale, quantity, points.reshape(-1, points.shape[2])).reshape(points.shape[:2])
        time, error = crossing(record, *mean_and_error(values), scale.level)
        if np.isfinite(time):
            return Measurement(time, error, predicted * clock, steps)
        steps *= 3
    raise InvalidInput(
        f"{scale.label} has not passed the level {scale.level:g} in {steps // 3} steps at step size "
        f"{process.step_size:g}: choose a level that its limit passes"
    )


def _values(scale: TimeScale, quantity: Quantity, points: np.ndarray) -> np.ndarray:
    return rescaling.values_of(f"the quantity of {scale.label}", quantity, points)


def _passage(scale: TimeScale, limit: Any) -> tuple[Quantity, float]:
    """The quantity, and the time on the limit's clock at which the limit passes the level."""
    origin = geometry.limit_map(limit.model, scale.w0)

    def far(point: np.ndarray) -> float:
        """Negative before the level is passed."""
        if scale.quantity is None:
            return float(np.linalg.norm(point - origin)) - scale.level
        value, start = (float(_values(scale, scale.quantity, x[None])[0]) for x in (point, origin))
        return (value - scale.level) * np.sign(scale.level - start)

    def followed(low: float, high: float, first: float) -> tuple[np.ndarray, np.ndarray]:
        """17 times from low to high, and how far past the level the limit is there; `first` at low."""
        grid = np.linspace(low, high, 17)
        return grid, np.array([first, *map(far, rescaling.limit_points(limit, scale.w0, grid[1:]))])

    times, gaps = followed(0.0, 0.08, far(origin))
    nearest = gaps.max()
    for _ in range(WIDENINGS):
        if (gaps >= 0).any() or np.ptp(gaps) <= STALLED * abs(gaps[-1]):
            break
        times, gaps = followed(times[-1], 4 * times[-1], gaps[-1])
        nearest = max(nearest, gaps.max())
    if not (gaps >= 0).any():
        raise InvalidInput(
            f"the limit of {scale.label} does not pass the level {scale.level:g} (it stays {-nearest:.3g} short): "
            "choose a level that it passes"
        )
    for _ in range(2):
        after = int(np.argmax(gaps >= 0))
        times, gaps = followed(times[after - 1], times[after], gaps[after - 1])
    after = int(np.argmax(gaps >= 0))
    time = float(np.interp(0.0, gaps[after - 1 : after + 1], times[after - 1 : after + 1]))
    if scale.quantity is not None:
        return scale.quantity, time
    passed = rescaling.limit_points(limit, scale.w0, np.array([time]))[0]
    return rescaling.displacement(origin, passed), time


def _standing(scale: TimeScale, process: Any, settings: Mapping[str, Any]) -> Measurement:
    """How far a process gets whose limit does not move."""
    steps = settings["steps"] or max(2, int(np.ceil(10 / process.step_size**2)))
    record = np.unique(np.array([0, steps // 2, 3 * steps // 4, steps]))
    points = _simulated(scale, process, scale.w0, record, "limit_map", settings)
    moved = np.linalg.norm(points[:, -1] - points[:, 0], axis=-1)
    late = motion_of(points[:, 1:])
    return Measurement(np.inf, np.nan, np.inf, steps, float(np.sqrt(np.square(moved).mean())), late)


def _relaxation(scale: TimeScale, process: Any) -> Measurement:
    """Distance to the set of the recursion without noise; predicted from the gradient flow of the loss."""
    from scipy.integrate import solve_ivp

    model = process.model
    end = geometry.limit_map(model, scale.w0)
    start = float(np.linalg.norm(scale.w0 - end))
    if not start > 1e-12 * (1 + np.linalg.norm(end)):
        raise InvalidInput(f"{scale.label} starts on the zero-loss set: a relaxation starts off it")

    def reached(_: float, w: np.ndarray) -> float:
        return float(np.linalg.norm(w - end)) - scale.level * start

    setattr(reached, "terminal", True)  # where solve_ivp looks
    slowest = geometry.frame(model, end).eigenvalues.min()
    horizon = 20 * (1 + np.log(1 / scale.level)) / slowest
    flow = solve_ivp(
        lambda _, w: -model.gradient(w), (0, horizon), scale.w0, "LSODA", events=reached, rtol=1e-9, atol=1e-12
    )
    if not flow.t_events[0].size:
        raise InvalidInput(f"the gradient flow of {scale.label} does not come near the set in time {horizon:.3g}")
    predicted = float(flow.t_events[0][0]) / process.step_size
    steps = int(np.ceil(REACH * predicted)) + 10
    path = [scale.w0]
    for _ in range(steps):
        path.append(path[-1] - process.step_size * model.gradient(path[-1]))
    points = np.array(path)
    distance = np.linalg.norm(points - geometry.limit_map(model, points), axis=1)
    crossed = geometric_crossing(np.arange(steps + 1), distance, scale.level * distance[0])
    return Measurement(*crossed, predicted, steps)


def _equilibration(scale: TimeScale, process: Any, settings: Mapping[str, Any]) -> Measurement:
    """Rise of E |w_k - Phi(w_k)|^2 from the set to its plateau; predicted from the Hessian there (derived).

    Across the set w is an Ornstein-Uhlenbeck process with gradient-noise covariance Q S Q, so that the mean square is
    tr C(1 - e^{-2 H step_size k}) with H C + C H = Q S Q. Where the recurrence has the same noise at every step, its
    own mean square follows as the noise goes to zero: of a mode, 1 - (1 - step_size h)^(2k) of its plateau.
    """
    model, noise, size = process.model, process.noise, process.step_size
    point = geometry.limit_map(model, scale.w0)
    frame = geometry.frame(model, point)
    parts = [part for part in noise.components if np.isfinite(part.sigma)]
    covariance = sum(
        (part.sigma**2 * part.covariance(model, point, noise.batch) for part in parts),
        np.zeros((model.dimension, model.dimension)),
    )
    pushed, rates = np.diag(frame.normals.T @ covariance @ frame.normals), frame.eigenvalues
    if not pushed.sum() > 0:
        raise InvalidInput(f"{scale.label} has no noise across the set at the start, so that nothing equilibrates")
    predicted = _rise_time(pushed / (2 * rates), 2 * size * rates, scale.level)
    if process.rule is None and noise.batch is None and not noise.anti_correlated:
        kept = np.maximum(np.square(1 - size * rates), np.finfo(float).tiny)
        time = _rise_time(pushed / (1 - kept), -np.log(kept), scale.level)
        return Measurement(time, 0.0, predicted, int(np.ceil(time)))
    steps = int(np.ceil(12 * predicted))
    looks = np.unique(np.rint(np.linspace(0, 2.5 * predicted, 60)).astype(np.int64))
    late = np.unique(np.rint(np.linspace(8 * predicted, steps, 40)).astype(np.int64))
    crowd = {**settings, "paths": CROWD * settings["paths"]}
    squares = np.square(_simulated(scale, process, point, np.union1d(looks, late), "distance", crowd))
    plateau = squares[:, -len(late) :].mean(axis=1)
    # The plateau's own sampling error moves the level: the difference holds both.
    relative = squares[:, : len(looks)] - scale.level * plateau[:, None]
    return Measurement(*crossing(looks, *mean_and_error(relative), 0.0), predicted, steps)


def _rise_time(plateaus: np.ndarray, rates: np.ndarray, level: float) -> float:
    """Steps, not whole, in which sum plateaus (1 - e^{-rates k}) rises to `level` of its end."""
    from scipy.optimize import brentq

    def rise(steps: float) -> float:
        return float(plateaus @ -np.expm1(-rates * steps) / plateaus.sum()) - level

    return float(brentq(rise, 0.0, -np.log1p(-level) / rates[plateaus > 0].min() * (1 + 1e-9)))


def _moments_relaxation(scale: TimeScale, process: Any) -> Measurement:
    """Distance of the exact mean from the minimiser; predicted from the gradient flow, momentum included.

    With momentum mu the flow's time of a step is step_size / (1 - mu) to leading order (derived).
    """
    from scipy.optimize import brentq

    problem = process.problem
    modes = problem.eigenvectors.T @ (scale.w0 - problem.minimiser)
    moving = problem.curvatures > 1e-12 * problem.curvatures.max()
    modes, curvatures = modes[moving], problem.curvatures[moving]
    with np.errstate(over="ignore"):
        start = float(np.linalg.norm(modes))
    if not start > 0:
        raise InvalidInput(f"{scale.label} starts at the minimiser: a relaxation starts off it")
    if not np.isfinite(start):
        raise InvalidInput(f"{scale.label} starts farther from the minimiser than numbers reach: start nearer")

    def left(time: float) -> float:
        return float(np.linalg.norm(np.exp(-curvatures * time) * modes)) / start - scale.level

    time = brentq(left, 0.0, 2 * np.log(1 / scale.level) / curvatures.min() + 1e-9)
    predicted = time * (1 - getattr(process, "momentum", 0.0)) / process.step_size
    steps = int(np.ceil(3 * predicted)) + 20
    record = np.unique(np.rint(np.linspace(0, steps, min(steps, 2000) + 1)).astype(np.int64))
    mean = process.moments(scale.w0, steps, record=record)["mean"].values
    mean = (mean - problem.minimiser) @ problem.eigenvectors
    distance = np.linalg.norm(mean[:, moving], axis=1)
    return Measurement(*geometric_crossing(record, distance, scale.level * distance[0]), predicted, steps)

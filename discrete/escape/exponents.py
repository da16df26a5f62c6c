"""Exponents of rates in small noise: the cheapest path out of a basin, of the discrete recurrence itself."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdlimits.exact.compiling import compiled
from sgdlimits.exact.errors import InvalidInput, OutOfReach, finite_array, points as positions, real_array
from sgdlimits.problems.landscapes import Basin

from .basins import basin_of, edge_points, line_ends
from .descent import LandscapeDescent
from .kramers import kramers_exponent
from .models import StepModel, model_of
from .paths import Cheapest, End, StepCost, cheapest
from .result import EscapeExponent

GRID = 500  # points of a line for the first guess
ROUNDS = 400
DECAYED = 16.0  # powers of e by which a path's ends have come near what they tend to
LONGEST = 6000  # steps of a path
SHORTER = 0.75


def exponent(process: Any, basin: Any = None) -> EscapeExponent:
    """The exponent of the rate of escape: -log(rate) to leading order in small noise, exact in the step size.

    The sum over the steps of a path of -log of a step's density, minimised over all paths from the minimum out of the
    basin: squares over twice the variance where the noise is Gaussian; Cramer's function of a batch for SGD on a
    stream, where small noise means a large batch. Global on a line without momentum, by dynamic programming; else the
    best of several local minima.

    Parameters
    ----------
    process : LandscapeDescent with Gaussian noise, or SGD on StreamingLeastSquares, plain or heavy ball
    basin : Basin, Landscape or pair (lower, upper), optional
        Default: the landscape's.

    Returns
    -------
    EscapeExponent

    Raises
    ------
    InvalidInput
        If there is no cost of a step, or an argument cannot be used.
    OutOfReach
        If no path converges.
    """
    model = _model(process)
    basin = basin_of(process, basin, model)
    cost = _step_cost(model)
    best, shorter = (_best(model, cost, basin, decayed) for decayed in (DECAYED, SHORTER * DECAYED))
    ratio = math.nan
    if isinstance(process, LandscapeDescent) and process.law is None:
        in_kramers = kramers_exponent(process)
        ratio = best.cost / in_kramers if in_kramers else math.nan
    note = "" if model.dimension == 1 and not model.momentum else "the best of several locally cheapest paths"
    return EscapeExponent(best.cost, abs(best.cost - shorter.cost) + 1e-12 * best.cost, best.path, ratio, note)


def quasi_potential(process: Any, points: Any) -> np.ndarray:
    """Cost of the cheapest path from the minimum to each point: -log of the stationary density, to leading order.

    For small step sizes 2 U / (step_size c) - |grad U|^2 / (2 c) + O(step_size), under isotropic noise of variance c.

    Parameters
    ----------
    process
        As in `exponent`.
    points : array (k, d), or (k,) on a line
        Inside the basin.

    Returns
    -------
    array (k,)
    """
    model = _model(process)
    given = real_array("points", points)
    given = positions("points", given[:, None] if model.dimension == 1 and given.ndim == 1 else given, model.dimension)
    given = finite_array("points", given, shape=(None, model.dimension))
    cost = _step_cost(model)
    found = []
    for target in given:
        if np.allclose(target, model.minimum, rtol=0, atol=1e-12):
            found.append(0.0)
            continue
        tries = _tries(model, cost, End(target), _steps(model, None))
        found.append(_least(tries).cost)
    return np.array(found)


def _model(process: Any) -> StepModel:
    model = model_of(process)
    if model is None or model.cost is None:
        raise InvalidInput(
            "the exponent needs the cost of a step, known of LandscapeDescent with Gaussian noise and of plain SGD or "
            "heavy ball on StreamingLeastSquares with label noise: for this process measure the rate, by escape.rate "
            'with method="splitting"'
        )
    if model.nesterov:
        raise InvalidInput(
            "the cheapest path is not known with Nesterov's momentum: ask escape.rate, or pass nesterov=False"
        )
    return model


def _step_cost(model: StepModel) -> StepCost:
    assert model.cost is not None
    own, mu = model.cost, model.momentum
    if not mu:
        return lambda before, now, after: own(now, after)
    return lambda before, now, after: own(now, after - mu * (now - before))


def _steps(model: StepModel, saddle: np.ndarray | None, decayed: float = DECAYED) -> int:
    """Steps of a path whose ends have settled."""
    d, mu = model.dimension, model.momentum

    def rates(matrix: np.ndarray) -> np.ndarray:
        whole = np.block([[matrix + mu * np.eye(d), -mu * np.eye(d)], [np.eye(d), np.zeros((d, d))]])
        sizes = np.abs(np.linalg.eigvals(whole)) if mu else np.abs(np.linalg.eigvals(matrix))
        return np.abs(np.log(np.maximum(sizes, 1e-8)))

    count = decayed / rates(model.transition).min()
    if saddle is not None:
        hessian = model.process.landscape.hessian(saddle)
        count += decayed / rates(np.eye(d) - model.step_size * hessian).min()
    if count > LONGEST:
        raise OutOfReach(
            f"the cheapest path takes about {count:.0f} steps, more than {LONGEST}: at so small a step size "
            "escape.kramers is exact to the digits that matter"
        )
    return int(count) + 3


def _best(model: StepModel, cost: StepCost, basin: Basin, decayed: float) -> Cheapest:
    landscape = getattr(model.process, "landscape", None)
    saddle = landscape.saddle if landscape is not None and basin is model.basin else None
    count = _steps(model, saddle, decayed)
    if saddle is not None:
        return _least(_tries(model, cost, End(saddle), count, decayed))
    if model.dimension == 1:
        ends = [np.array([end]) for end in line_ends(basin) if math.isfinite(end)]
        return _least([one for end in ends for one in _tries(model, cost, End(end), count)])
    tries: list[Cheapest] = []
    for point in edge_points(basin, model.minimum):
        tries += _tries(model, cost, End(point, lambda x: basin.scores(x) - basin.level), count)
    return _least(tries)


def _least(tries: list[Cheapest]) -> Cheapest:
    good = [one for one in tries if one.converged]
    if not good:
        raise OutOfReach("no cheapest path out of the basin was found: Newton's method does not settle")
    return min(good, key=lambda one: one.cost)


def _tries(model: StepModel, cost: StepCost, end: End, count: int, decayed: float = DECAYED) -> list[Cheapest]:
    """From the descent without noise run backwards, one that swings from side to side, and on a line one on a grid."""
    away = end.point - model.minimum
    slow = np.abs(np.linalg.eigvals(model.transition)).max()
    back = np.arange(count, -1, -1)[:, None]
    guesses = [_reversed(model, end.point, count, decayed)]
    if np.linalg.eigvals(model.transition).real.min() < 0:
        guesses.append(model.minimum + away * (-min(max(slow, 0.3), 0.97)) ** back)
    if model.dimension == 1 and not model.momentum and end.miss is None:
        guesses.append(_on_grid(cost, float(model.minimum[0]), float(end.point[0]), count))
    return [cheapest(cost, guess, end) for guess in guesses]


def _reversed(model: StepModel, end: np.ndarray, count: int, decayed: float) -> np.ndarray:
    """Descent without noise from `end`, or from beside it where it rests there, backwards: (count + 1, d)."""
    x = end.copy()
    landscape = getattr(model.process, "landscape", None)
    if landscape is not None and landscape.saddle is not None and np.array_equal(end, landscape.saddle):
        out = np.linalg.eigh(landscape.hessian(end))[1][:, 0]
        x = end + math.copysign(math.exp(-decayed), out @ (model.minimum - end)) * np.linalg.norm(
            model.minimum - end
        ) * out
    points, speed = [end], np.zeros_like(x)
    for _ in range(count):
        speed = model.drift(x[None])[0] - x + model.momentum * speed
        x = x + speed
        points.append(x)
    path = np.array(points[::-1])
    if not np.isfinite(path).all() or np.abs(path - model.minimum).max() > 10 * np.abs(end - model.minimum).max():
        return model.minimum + (end - model.minimum) * 0.8 ** np.arange(count, -1, -1)[:, None]
    path[0] = model.minimum
    return path


def _on_grid(cost: StepCost, start: float, end: float, count: int) -> np.ndarray:
    """The cheapest path over points of a grid, by dynamic programming, put at the end of one that rests first."""
    reach = 1.6 * abs(end - start)
    grid = np.unique(np.r_[np.linspace(start - reach, start + reach, GRID), start, end])
    first, last = np.searchsorted(grid, [start, end])
    now = np.repeat(grid, grid.size)[:, None]
    after = np.tile(grid, grid.size)[:, None]
    table = cost(now, now, after).reshape(grid.size, grid.size)
    parents, costs = _relaxed(np.ascontiguousarray(table), int(first), min(count, ROUNDS))
    place, path = int(last), [grid[int(last)]]
    for k in range(len(parents) - 1, -1, -1):
        place = int(parents[k, place])
        path.append(grid[place])
    path = path[::-1]
    return np.array([path[0]] * (count + 1 - len(path)) + path)[:, None]


@compiled
def _relaxed(table, first, rounds):
    """Best parents (rounds, n) of paths of that many steps from `first`, and their costs (n,)."""
    n = table.shape[0]
    costs = np.full(n, np.inf)
    costs[first] = 0.0
    parents = np.zeros((rounds, n), dtype=np.int64)
    for k in range(rounds):
        then = np.full(n, np.inf)
        for i in range(n):
            if costs[i] == np.inf:
                continue
            for j in range(n):
                value = costs[i] + table[i, j]
                if value < then[j]:
                    then[j] = value
                    parents[k, j] = i
        costs = then
    return parents, costs

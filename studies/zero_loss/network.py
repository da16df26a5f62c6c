"""What noise does to a two-layer network on real data: its test error along the slow phase, beside the limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, whole_number
from sgdlimits.exact.threads import thread_pool, threads_of

from .sparse_regression import Task, standardised

if TYPE_CHECKING:
    import xarray

    from sgdlimits.problems.tables import Table

DIGITS = 3, 8  # of the data set of digits, the two that are told apart
FARTHEST = 3.0  # standard deviations at which a feature is cut off: a pixel may hardly vary over few rows
SPREADS = 1.0, 0.3  # at the start: of the outer weights times sqrt(width), of what enters a unit
STABLE = 0.4  # step size times the largest curvature at the interpolator; 2 is the stability limit
DISTURBANCE = 0.05  # root mean square of what the noise does to a residual, in standard deviations of the target
PART = 0.3  # of a mechanism's regulariser, which a run at the limit's first pace would take away
LOOKS = 4  # at the end of a run, at half of it, at a quarter, ...
PRECISION = 1e-4  # of a step of the flow to Phi, relative to |w|; from so near the set the end is 1000 times better
QUANTITIES = ("test_error", "raw_test_error", "regulariser")  # at Phi(w_k), at w_k, at Phi(w_k)


def named_table(dataset: str) -> Table:
    """A named data set; of the digits, the rows of two, with targets -1 and 1.

    Raises
    ------
    InvalidInput
        If it is not known.
    """
    from sgdlimits.problems import datasets

    table = datasets.dataset(dataset)
    if dataset != "digits":
        return table
    kept = np.isin(table.targets, DIGITS)
    signs = np.where(table.targets[kept] == DIGITS[0], -1.0, 1.0)
    return replace(
        table, features=table.features[kept], targets=signs, target=f"a {DIGITS[0]} against a {DIGITS[1]}"
    )


def network_task(table: Table, rows: int, seed: int) -> Task:
    """A random subset of the rows of a table to be interpolated by a network.

    Raises
    ------
    InvalidInput
        If it has no more rows than that, targets of more than two texts or one value, or rows that contradict each
        other.
    """
    features, targets = table.features, table.targets
    if len(table.classes) > 2:
        raise InvalidInput(
            f"the target {table.target!r} has {len(table.classes)} different texts, and squares take numbers or two "
            "classes: take another column"
        )
    count = len(targets)
    if rows >= count:
        raise InvalidInput(
            f"network_rows is {rows}, but {table.name} has {count} rows, and at least one must be left for the test: "
            + (f"take from 4 to {count - 1}" if count > 4 else "take data of more rows")
        )
    rows = whole_number("network_rows", rows, 4)
    order = np.random.Generator(np.random.Philox(seed)).permutation(count)
    training, test = np.sort(order[:rows]), np.sort(order[rows:])
    varying = features[training].std(axis=0) > 1e-12 * np.abs(features[training]).max(axis=0)
    if not varying.any():
        raise InvalidInput(f"no column of {table.name} varies over the {rows} rows: take more rows, or another seed")
    features = np.clip(standardised(features[:, varying], training), -FARTHEST, FARTHEST)
    if np.ptp(targets[training]) <= 1e-12 * np.abs(targets[training]).max():
        raise InvalidInput(
            f"the target {table.target!r} has one value over the {rows} rows drawn: take more network_rows, or another "
            "seed"
        )
    labels = standardised(targets[:, None], training)[:, 0]
    _refuse_contradictions(table.name, features[training], labels[training])
    names = tuple(np.array(table.columns)[varying].tolist())
    preparation = (
        f"{rows} of {count} rows of {table.name} (target: {table.target}), drawn at random (seed {seed}), the "
        f"other {count - rows} for the test; {len(names)} columns, standardised and cut off at {FARTHEST:g} standard "
        "deviations; target standardised too. Means and standard deviations are those of the training rows, so that a "
        "test error of about 1 is that of predicting the mean."
    )
    sides = features[training], labels[training], features[test], labels[test]
    return Task(table.name, *sides, None, names, preparation)


def _refuse_contradictions(name: str, features: np.ndarray, labels: np.ndarray) -> None:
    """Refuse rows of the same features and different labels, which no network interpolates."""
    _, kinds = np.unique(features, axis=0, return_inverse=True)
    kinds = kinds.ravel()
    _, first = np.unique(kinds, return_index=True)
    wrong = int((np.abs(labels - labels[first][kinds]) > 1e-9).sum())
    if wrong:
        raise InvalidInput(
            f"{wrong} of the {len(labels)} rows drawn from {name} have the features of another row and a different "
            "target, so that no network interpolates them: give columns that tell them apart, take fewer "
            "network_rows, or another seed"
        )


def width_of(task: Task, weights: int) -> int:
    """Hidden units of a network of about so many weights on the task's columns.

    Raises
    ------
    InvalidInput
        If it cannot interpolate the rows with directions to spare.
    """
    rows, columns = task.features.shape
    width = max(1, round(weights / (columns + 1)))
    if width * (columns + 1) <= 2 * rows:
        raise InvalidInput(
            f"network_weights is {weights}, which makes {width} units of {columns + 1} weights: a network that "
            f"interpolates {rows} rows and can still move needs more than {2 * rows} weights; raise network_weights, "
            "or take fewer network_rows"
        )
    return width


def mechanisms(model: Any, origin: np.ndarray, frame: Any, disturbance: float) -> dict[str, Any]:
    """Name -> noise of equal strength at the interpolator `origin` (m,): levels to two digits; the slowest first.

    The mean square of what the noise does to a residual, 2 sigma^2 Reg for each mechanism, is the same. Minibatches
    (half of the rows) do nothing there.
    """
    from sgdlimits.problems import noise

    kinds: dict[str, Callable[[float], Any]] = {
        "label noise": noise.LabelNoise, "weight noise": noise.WeightNoise, "Dropout": noise.Dropout,
        "DropConnect": noise.DropConnect, "input noise": noise.InputNoise,
    }  # fmt: skip
    found: dict[str, Any] = {}
    for name, kind in kinds.items():
        regulariser = float(kind(1.0).regulariser_on_set(model, origin, frame))
        found[name] = kind(float(f"{disturbance / np.sqrt(2 * regulariser):.2g}"))
    return found | {"minibatch": noise.Minibatch(model.samples // 2)}


def run_network(
    task: Task, weights: int, starts: int, most: int, paths: int, seed: int, threads: int | None = None,
    progress: Any = None, disturbance: float = DISTURBANCE,
) -> xarray.Dataset:  # fmt: skip
    """Every mechanism at equal strength from the same interpolator: the recurrence and its limits.

    Parameters
    ----------
    task : Task
    weights : int
        About as many.
    starts : int
        Interpolators, where the gradient flow from random weights ends.
    most : int
        Steps of a run, at most; a shorter one ends where the limit's first pace would have taken 30 % of the
        mechanism's own regulariser.
    paths, seed, threads, progress
        As in `simulate`; the bits do not depend on `threads`.
    disturbance : float
        Root mean square of what the noise does to a residual at the interpolator.

    Returns
    -------
    xarray.Dataset
        Over (start, mechanism, look): step; test_error and regulariser at Phi(w_k), raw_test_error at w_k and cloud,
        what it has more than test_error, each a mean over paths with `..._error`; test_error and regulariser with
        `..._limit` and `..._finite_step`, of the limit and the limit at this step size. Over (start, mechanism):
        noise_level, regime, unit_steps (steps in a unit of the limit's time). Over start: step_size, relaxation (steps
        of the slowest direction across the set). zero_test_error: that of predicting the mean. The first look is the
        start, the finer ones are of the limits alone.
    """
    import xarray as xr

    from sgdlimits.problems.zero_loss import ShallowNetwork

    width = width_of(task, weights)
    model = ShallowNetwork(task.features, task.labels, width)
    test = ShallowNetwork(task.test_features, task.test_labels, width)
    settings = {"threads": 1, "progress": progress, "paths": paths}
    groups = [
        _from_start(model, test, child_seed(seed, "network", place), most, disturbance, threads, settings)
        for place in range(starts)
    ]
    names, axes = list(groups[0]["cells"]), ("start", "mechanism")
    cells = [[group["cells"][name] for name in names] for group in groups]
    variables: dict[str, Any] = {
        key: ((*axes, "look") if np.ndim(value) else axes, np.array([[cell[key] for cell in row] for row in cells]))
        for key, value in cells[0][0].items()
    }
    variables["regime"] = axes, variables["regime"][1].astype(object)
    for key in ("step_size", "relaxation"):
        variables[key] = "start", np.array([group[key] for group in groups])
    variables["zero_test_error"] = (), float(np.square(task.test_labels).mean())
    attributes = {
        "task": task.name, "preparation": task.preparation, "model": model.label, "weights": model.dimension,
        "rows": model.samples, "paths": paths, "seed": seed, "disturbance": disturbance, "most": most,
        "batch_size": model.samples // 2,
    }  # fmt: skip
    coordinates = {"start": np.arange(1, starts + 1), "mechanism": names}
    return xr.Dataset(variables, coordinates, attributes)


def draw_start(model: Any, seed: int) -> np.ndarray:
    """Random weights (m,) of a network: outer ones of size 1/sqrt(width), inner ones such that units get 0.3."""
    generator = np.random.Generator(np.random.Philox(seed))
    outer = SPREADS[0] / np.sqrt(model.width) * generator.standard_normal(model.width)
    size = SPREADS[1] / np.sqrt(model.input_size)
    return np.concatenate([outer, size * generator.standard_normal(model.dimension - model.width)])


def interpolator(model: Any, seed: int) -> np.ndarray:
    """Where the gradient flow from random weights ends, (m,).

    Raises
    ------
    InvalidInput
        If it does not reach zero loss.
    """
    from sgdlimits.problems import geometry

    try:
        return geometry.limit_map(model, draw_start(model, seed))
    except InvalidInput as reason:
        raise InvalidInput(
            f"a network of {model.dimension} weights does not interpolate the {model.samples} rows from its random "
            f"start: raise network_weights, take fewer network_rows, or another seed"
        ) from reason


def _from_start(
    model: Any, test: Any, seed: int, most: int, disturbance: float, threads: int | None, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """All mechanisms from one interpolator."""
    from sgdlimits.diffusions import ManifoldLimit
    from sgdlimits.problems import geometry

    origin = interpolator(model, seed)
    frame = geometry.frame(model, origin)
    step_size = float(f"{STABLE / frame.eigenvalues[0]:.2g}")
    noises = mechanisms(model, origin, frame, disturbance)
    pairs = {
        name: [ManifoldLimit(model, each, step_size, start=origin, finite_step=flag) for flag in (False, True)]
        for name, each in noises.items()
    }
    lengths = {name: run_length(pair[0], origin, most) for name, pair in pairs.items()}
    fast = [lengths[name] for name, pair in pairs.items() if pair[0].regime == "non-degenerate"]
    plans = [
        Cell(name, noises[name], tuple(pair), lengths[name] or max(fast, default=most)) for name, pair in pairs.items()
    ]
    options = {"seed": seed, **settings}
    with thread_pool(threads_of(threads)) as pool:
        found = list(pool.map(partial(run_cell, model, test, origin, step_size, options), plans))
    relaxation = 1 / (step_size * float(frame.eigenvalues[-1]))
    cells = {plan.name: cell for plan, cell in zip(plans, found)}
    return {"cells": cells, "step_size": step_size, "relaxation": relaxation}


def run_length(limit: Any, origin: np.ndarray, most: int) -> int:
    """Steps after which the limit's first pace would have taken `PART` of its regulariser; 0 if it stands still."""
    if limit.regime == "trivial":
        return 0
    slope = float(np.square(limit.drift(0.0, origin)).sum())
    time = PART * float(limit.regulariser(origin)) / slope if slope > 0 else np.inf
    return int(min(most, max(2**LOOKS, np.ceil(min(time * float(limit.clock), most)))))


@dataclass(frozen=True, eq=False)
class Cell:
    """One mechanism, its limit and its limit at this step size, and for how many steps they are followed."""

    name: str
    noise: Any
    limits: tuple[Any, ...]
    steps: int


def run_cell(
    model: Any, test: Any, origin: np.ndarray, step_size: float, options: Mapping[str, Any], cell: Cell
) -> dict[str, Any]:
    """Recurrence and limits of one mechanism from one interpolator.

    The recurrence is seen at Phi(w_k): the cloud about the set that noise of finite strength makes changes the test
    error at w_k from the first steps on, and is no slow motion.
    """
    from sgdlimits.compare.estimates import mean_and_error
    from sgdlimits.discrete import NoisyGradientDescent
    from sgdlimits.problems import geometry

    record = looks_of(cell.steps)
    run = NoisyGradientDescent(model, cell.noise, step_size).simulate(
        origin, cell.steps, observables={"w": "state"}, record=record, **options
    )
    w = run["w"].values
    phi = geometry.limit_map(model, w.reshape(-1, model.dimension), PRECISION).reshape(w.shape)
    paths = [points_along(limit, origin, record) for limit in cell.limits]
    limit = cell.limits[0]
    found: dict[str, Any] = {
        "step": record, "noise_level": float(cell.noise.sigma), "regime": limit.regime,
        "unit_steps": float(limit.clock), "steps": cell.steps,
    }  # fmt: skip
    error = partial(test_errors, test)
    still = limit.regime == "trivial"
    regulariser = (lambda points: np.zeros(points.shape[:-1])) if still else limit.regulariser
    seen: dict[str, np.ndarray] = {}
    for name, quantity, points in zip(QUANTITIES, (error, error, regulariser), (phi, w, phi)):
        # Of many weights a path is as much as is held at once.
        seen[name] = np.stack([quantity(path) for path in points])
        if points is phi:
            found |= {f"{name}_{key}": quantity(path) for key, path in zip(("limit", "finite_step"), paths)}
    seen["cloud"] = seen["raw_test_error"] - seen["test_error"]  # a path's two errors go together
    for name, each in seen.items():
        found[name], found[f"{name}_error"] = mean_and_error(each)
    return found


def looks_of(steps: int) -> np.ndarray:
    """The start, and steps that double up to the end."""
    return np.unique(np.rint([0, *(steps * 0.5**place for place in range(LOOKS))]).astype(int))


def points_along(limit: Any, origin: np.ndarray, record: np.ndarray) -> np.ndarray:
    """The limit (T, m) at steps (T,), by steps of the fourth order that halve the distance between two looks."""
    if limit.regime == "trivial":
        return np.tile(origin, (len(record), 1))
    times = record / float(limit.clock)
    return limit.solve(origin, times, solver="rk4", dt=float(np.diff(times).max()) / 4)["w"].values


def test_errors(test: Any, points: np.ndarray) -> np.ndarray:
    """Mean squared errors (...) on the test rows of the network at points (..., m), one after the other."""
    flat = points.reshape(-1, points.shape[-1])
    return np.array([2 * float(test.loss(w)) for w in flat]).reshape(points.shape[:-1])

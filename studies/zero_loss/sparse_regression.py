"""Which interpolator a noise mechanism selects: a diagonal network on a regression with more features than rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.threads import thread_pool, threads_of
from sgdlimits.exact.errors import InvalidInput, whole_number

from .finer_rung import Cell, finer
from .tried import QUANTITIES, Candidate, trials

if TYPE_CHECKING:
    import xarray

SYNTHETIC = (20, 40, 3)  # rows, features, non-zero coefficients
TEST_ROWS = 2000
STARTS = (0.4, 0.1)  # every u_j and v_j at the start; the first is the one that is drawn
STABLE = 0.4  # step size times the largest curvature where the flow from the first start ends
# Length of a run in the limit's time, which the noise level is chosen to reach; of label noise for each row.
TIMES = {"label noise": 2.0, "weight noise": 2.0, "Dropout": 12.0, "DropConnect": 3.0, "input noise": 12.0}
# Value of each regulariser on the set once it is minimised at given coefficients b; z_j = mean_i z_ij^2. Derived.
SELECTS = {
    "label noise": "smallest sum z_j |b_j|", "weight noise": "smallest sum z_j |b_j|",
    "Dropout": "smallest sum z_j b_j^2", "DropConnect": "smallest sum z_j b_j^2",
    "input noise": "smallest sum b_j^2", "minibatch": "none: that of its start",
}  # fmt: skip
SPARSE = 0.01  # a coefficient below this part of the largest counts as zero


@dataclass(frozen=True, eq=False)
class Task:
    """Rows to interpolate, rows to be judged by, and how both were made.

    Attributes
    ----------
    features, labels : (N, d) and (N,) arrays
    test_features, test_labels : (M, d) and (M,) arrays
    truth : (d,) array or None
        The coefficients that made the labels.
    columns : tuple of str
    """

    name: str
    features: np.ndarray
    labels: np.ndarray
    test_features: np.ndarray
    test_labels: np.ndarray
    truth: np.ndarray | None
    columns: tuple[str, ...]
    preparation: str

    def test_error(self, coefficients: np.ndarray) -> np.ndarray:
        """Mean squared error (...) on the test rows of coefficients (..., d)."""
        return np.square(coefficients @ self.test_features.T - self.test_labels).mean(axis=-1)


def synthetic_task(rows: int, features: int, nonzero: int, seed: int) -> Task:
    """Gaussian features; labels from a few coefficients +-1, without noise."""
    generator = np.random.Generator(np.random.Philox(seed))
    truth = np.zeros(features)
    truth[:nonzero] = (-1.0) ** np.arange(nonzero)
    x, test = generator.standard_normal((rows, features)), generator.standard_normal((TEST_ROWS, features))
    preparation = (
        f"Synthetic: {rows} rows of {features} independent N(0, 1) features, labels without noise from {nonzero} "
        f"coefficients of size 1 (seed {seed}); tested on {TEST_ROWS} fresh rows."
    )
    names = tuple(f"feature {j}" for j in range(features))
    return Task("synthetic", x, x @ truth, test, test @ truth, truth, names, preparation)


def real_task(dataset: str, rows: int, seed: int) -> Task:
    """A random subset of the rows of a data set, with squares and products of its columns as further features.

    Raises
    ------
    InvalidInput
        If the data set is not known, or the features are not more than the rows.
    """
    from sgdlimits.problems import datasets

    table = datasets.dataset(dataset)
    count, columns = table.features.shape
    rows = whole_number("rows", rows, 4, count - 1)
    order = np.random.Generator(np.random.Philox(seed)).permutation(count)
    training, test = np.sort(order[:rows]), np.sort(order[rows:])
    base = standardised(table.features, training)
    first, second = np.triu_indices(columns)
    two_valued = [len(np.unique(column)) < 3 for column in table.features.T]
    kept = [k for k, (a, b) in enumerate(zip(first, second)) if a != b or not two_valued[a]]
    features = np.column_stack([base, (base[:, first] * base[:, second])[:, kept]])
    features = standardised(features, training)
    names = [*table.columns, *(f"{table.columns[first[k]]} * {table.columns[second[k]]}" for k in kept)]
    if len(names) <= rows:
        raise InvalidInput(
            f"{dataset} has {len(names)} features with squares and products, not more than the {rows} rows: take fewer"
        )
    labels = standardised(table.targets[:, None], training)[:, 0]
    preparation = (
        f"Real: {rows} of the {count} rows of {dataset}, drawn at random (seed {seed}), the other {count - rows} for "
        f"the test. Features: the {columns} columns, standardised, their products and (of columns with more than two "
        f"values) squares, standardised again, {len(names)} in all; target {table.target}, standardised. Means and "
        "standard deviations are those of the training rows, so that a test error of about 1 is that of predicting "
        "the mean."
    )
    return Task(
        dataset, features[training], labels[training], features[test], labels[test], None, tuple(names), preparation
    )  # fmt: skip


def standardised(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Columns (n, d) less their means over some rows, over their standard deviations there; one must vary."""
    centre, scale = values[rows].mean(axis=0), values[rows].std(axis=0)
    if (scale <= 1e-12 * np.abs(values[rows]).max(axis=0)).any():
        raise InvalidInput("a column is constant over the training rows: take more rows, or another seed")
    return (values - centre) / scale


def selected(mechanism: str, task: Task) -> np.ndarray:
    """The interpolator (d,) that a mechanism's regulariser prefers; nan where it prefers none. Derived.

    On the set tr H = 4 sum z_j (u_j^2 + v_j^2), and the masks' regularisers are proportional to
    sum z_j (u_j^4 + v_j^4); at given b = u^2 - v^2 both are least where u_j v_j = 0.
    """
    features, labels = task.features, task.labels
    weights = np.square(features).mean(axis=0)
    if SELECTS[mechanism] == SELECTS["label noise"]:
        from scipy.optimize import linprog

        found = linprog(
            np.concatenate([weights, weights]), A_eq=np.hstack([features, -features]), b_eq=labels, method="highs"
        )
        return found.x[: weights.size] - found.x[weights.size :]
    if mechanism == "minibatch":
        return np.full(weights.size, np.nan)
    roots = np.ones(weights.size) if mechanism == "input noise" else np.sqrt(weights)
    return np.linalg.lstsq(features / roots, labels, rcond=1e-12)[0] / roots


def mechanisms(rows: int, step_size: float, steps: int) -> dict[str, Any]:
    """Name -> noise, at levels (to 2 digits) at which `steps` steps make `TIMES`; minibatches hold half the rows."""
    from sgdlimits.problems import noise

    kinds: dict[str, Callable[[float], Any]] = {
        "label noise": noise.LabelNoise, "weight noise": noise.WeightNoise, "Dropout": noise.Dropout,
        "DropConnect": noise.DropConnect, "input noise": noise.InputNoise,
    }  # fmt: skip
    found = {}
    for name, make in kinds.items():
        squared = TIMES[name] / (step_size * steps)
        if name == "label noise":
            squared *= rows / step_size
        found[name] = make(float(f"{np.sqrt(squared):.2g}"))
    return found | {"minibatch": noise.Minibatch(rows // 2)}


def run_task(
    task: Task, steps: int, looks: int, paths: int, seed: int, tolerance: float, confidence: float,
    threads: int | None = None, progress: Any = None,
) -> xarray.Dataset:  # fmt: skip
    """Every mechanism from every start: the recurrence, every limit tried against it, and what a regulariser selects.

    Parameters
    ----------
    task : Task
    steps, looks : int
        Length of a run, and at how many steps it is looked at.
    paths, seed, threads, progress
        As in `simulate`; the bits do not depend on `threads`.
    tolerance, confidence : float
        Of the verdicts; see `tried`.

    Returns
    -------
    xarray.Dataset
        test_error, regulariser (mechanism, start, step) with `..._error` and `..._limit`; coefficients (mechanism,
        start, feature) at the last step likewise; selected (mechanism, feature) and its test error; zero_test_error,
        that of predicting 0; regime, clock, noise_level. trial_verdict, and what else a `tried.Trial` holds, over
        (start, quantity, mechanism, tried), "tried" the mechanism whose limit it is; over (mechanism, start) what
        `finer_rung.finer` found at half the noise or step.
    """

    import xarray as xr

    from sgdlimits.problems import geometry
    from sgdlimits.problems.zero_loss import DiagonalLinearNetwork

    model = DiagonalLinearNetwork(task.features, task.labels)
    largest = np.full(model.dimension, STARTS[0])
    curvature = np.linalg.eigvalsh(model.hessian(geometry.limit_map(model, largest)))[-1]
    step_size = float(f"{STABLE / curvature:.2g}")
    record = np.unique(np.rint(np.concatenate([[0], np.geomspace(steps / 200, steps, looks)])).astype(int))
    noises = mechanisms(model.samples, step_size, steps)
    cells = [(mechanism, start) for mechanism in noises.values() for start in STARTS]
    settings = {"seed": seed, "threads": 1, "progress": progress}

    def error_of(w: np.ndarray) -> np.ndarray:
        return task.test_error(model.linear_coefficients(w))

    with thread_pool(threads_of(threads)) as pool:

        def run_all(asked: Sequence[Cell], record: np.ndarray, paths: int) -> list[dict[str, Any]]:
            options = settings | {"record": record, "paths": paths}
            return list(pool.map(lambda cell: run_cell(task, model, cell, options), asked))

        found = run_all([(*cell, step_size, None) for cell in cells], record, paths)
        shape = len(noises), len(STARTS)
        phi, limits = ([cell.pop(name) for cell in found] for name in ("phi", "points"))
        candidates = [
            Candidate(
                points, np.full(model.dimension, start), row["regime"] == "trivial",
                step_size * float(geometry.frame(model, points[0]).eigenvalues.min()), error_of,
            )
            for points, (_, start), row in zip(limits, cells, found)
        ]
        judged = []
        for place in range(len(STARTS)):
            measured, tried = (dict(zip(noises, sides[place :: len(STARTS)])) for sides in (phi, candidates))
            judged.append(trials(measured, tried, record, tolerance, confidence))
        own = {
            key: np.diagonal(np.stack([each[key] for each in judged]), axis1=2, axis2=3).transpose(2, 0, 1)
            for key in judged[0]
        }  # (mechanism, start, quantity)
        again = finer(
            noises, step_size, record, found, own, STARTS, candidates, run_all, max(4, paths // 4), tolerance,
            confidence,
        )  # fmt: skip
    axes = ("mechanism", "start")
    ends = {"coefficients": "feature", "coefficients_error": "feature", "coefficients_limit": "feature"}
    variables: dict[str, Any] = {
        key: ((*axes, ends.get(key, "step")), np.reshape([cell[key] for cell in found], (*shape, -1)))
        for key in found[0]
        if key not in ("clock", "regime")
    }
    variables |= {
        key: (("start", "quantity", "mechanism", "tried"), np.stack([each[key] for each in judged]))
        for key in judged[0]
    }
    variables |= {key: (axes, np.reshape(values, shape)) for key, values in again.items()}
    variables["clock"] = axes, np.reshape([cell["clock"] for cell in found], shape)
    variables["regime"] = "mechanism", np.array([cell["regime"] for cell in found[:: len(STARTS)]], dtype=object)
    variables["noise_level"] = "mechanism", np.array([mechanism.sigma for mechanism in noises.values()])
    chosen = np.array([selected(name, task) for name in noises])
    variables["selected"] = ("mechanism", "feature"), chosen
    variables["selected_test_error"] = "mechanism", task.test_error(chosen)
    variables["zero_test_error"] = (), float(task.test_error(np.zeros(len(task.columns))))
    if task.truth is not None:
        variables["truth"] = "feature", task.truth
    coordinates = {
        "mechanism": list(noises), "start": list(STARTS), "step": record, "feature": list(task.columns),
        "quantity": list(QUANTITIES), "tried": list(noises),
    }  # fmt: skip
    attributes = {
        "task": task.name, "preparation": task.preparation, "step_size": step_size, "paths": paths, "seed": seed,
        "curvature": float(curvature), "rows": model.samples, "batch_size": model.samples // 2,
        "tolerance": tolerance, "confidence": confidence,
    }  # fmt: skip
    return xr.Dataset(variables, coordinates, attributes)


def run_cell(
    task: Task, model: Any, cell: Cell, settings: dict[str, Any]
) -> dict[str, Any]:
    """Recurrence and limit of one mechanism from one start, at the recorded steps."""
    from sgdlimits.compare.estimates import mean_and_error
    from sgdlimits.compare.rescaling import limit_points
    from sgdlimits.diffusions import ManifoldLimit
    from sgdlimits.discrete import NoisyGradientDescent

    mechanism, start, step_size, points = cell
    record, w0 = settings["record"], np.full(model.dimension, start)
    process = NoisyGradientDescent(model, mechanism, step_size)
    limit = ManifoldLimit.of(process, start=w0)
    run = process.simulate(w0, int(record[-1]), observables={"phi": "limit_map"}, **settings)
    phi = run["phi"].values
    points = limit_points(limit, w0, record / float(limit.clock)) if points is None else points
    found: dict[str, Any] = {"clock": float(limit.clock), "regime": limit.regime, "phi": phi, "points": points}
    quantities = {
        "test_error": lambda w: task.test_error(model.linear_coefficients(w)),
        "regulariser": limit.regulariser,
    }
    for name, quantity in quantities.items():
        mean, error = mean_and_error(quantity(phi))
        found |= {name: mean, f"{name}_error": error, f"{name}_limit": quantity(points)}
    last = model.linear_coefficients(phi[:, -1])
    mean, error = mean_and_error(last)
    limited = model.linear_coefficients(points[-1])
    return found | {"coefficients": mean, "coefficients_error": error, "coefficients_limit": limited}


def random_subsets(dataset: str, rows: int, subsets: int, seed: int) -> dict[str, np.ndarray]:
    """Test errors (subsets,) of what each regulariser selects, and of the mean, on random subsets of the rows."""
    names = {SELECTS[name]: name for name in ("label noise", "Dropout", "input noise")}
    errors: dict[str, list[float]] = {key: [] for key in (*names, "the mean")}
    for subset in range(subsets):
        task = real_task(dataset, rows, child_seed(seed, "subset", subset))
        for key, name in names.items():
            errors[key].append(float(task.test_error(selected(name, task))))
        errors["the mean"].append(float(task.test_error(np.zeros(len(task.columns)))))
    return {key: np.array(values) for key, values in errors.items()}


def nonzero(coefficients: np.ndarray) -> np.ndarray:
    """How many of the coefficients (..., d) are not small against the largest."""
    sizes = np.abs(coefficients)
    return (sizes > SPARSE * sizes.max(axis=-1, keepdims=True)).sum(axis=-1)

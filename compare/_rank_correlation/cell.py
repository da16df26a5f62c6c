"""One cell of a grid of step sizes and batch sizes: tail indices of the last iterate, and the test error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles.random import Noise, Purpose
from sgdlimits.exact.errors import InvalidInput, flag, instance_of, positive, seed_number, whole_number
from sgdlimits.problems.tasks import Task

from .._last_iterates.driver import FEWEST_RUNS, GROUPS, estimator_of
from .._last_iterates.rows import groups_of, raw_shape, row_of
from .._last_iterates.runs import halves_and_ends
from .._last_iterates.samples import WEIGHTS, WHOLE, Sample, centre_and_scale, layers_of, samples_of
from .._last_iterates.standing import unsettled
from ..capabilities import one_blas_thread

ESTIMATORS = ("corrected_hill", "hill", "moment")
VALUES = 20_000  # weights of all runs that an estimator sees


@one_blas_thread
def index_and_test_error(
    task: Task,
    step_size: float,
    batch_size: int,
    seed: int = 0,
    *,
    steps: int | None = None,
    epochs: float | None = None,
    runs: int = 100,
    layer: str = WHOLE,
    estimators: Sequence[str] = ESTIMATORS,
    one_start: bool = False,
    resamples: int = 100,
    rule: Any = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Tail indices of the last iterate of a task and its test error: a cell of a sweep over step and batch size.

    Use it by `functools.partial(compare.index_and_test_error, task, steps=2000)` as the cell of `studies.sweep` over
    step_size and batch_size, and judge the grid by `rank_correlation`.

    Parameters
    ----------
    task : problems.tasks.Task
    step_size : float
    batch_size : int
        Drawn with replacement.
    seed : int
    steps, epochs : one of the two
        The same number of steps in all cells, or of samples: epochs * rows / batch_size steps, offline.
    runs : int
        Independent ones, at least 50.
    layer : str
        Whose weights are seen; default all.
    estimators : names of functions of `compare.tail_estimators`
    one_start : bool
        The same start for all runs; else a start of each.
    resamples : int
        Of runs, for the interval of the correlation over runs: of each the index and the test error.
    rule : name or object of discrete.rules, optional
    threads : int, optional

    Returns
    -------
    dict
        For each estimator E: index_E with index_E_lower and index_E_upper (as of `last_iterates`), shape_E (1 / index
        before doubts call it infinite; not above 0: light) and shape_E_resampled (resamples,). test_error (share of
        wrong classes, of a regression the test risk), test_risk, training_risk, means over runs; test_error_error, its
        standard error; test_error_resampled (resamples,), of the same runs; steps; unsettled, text.

    Raises
    ------
    InvalidInput
        If an argument cannot be used, or a run leaves the range of numbers: a sweep keeps the sentence.
    """
    instance_of("task", task, Task, "take one of problems.tasks, tasks.from_csv for a file of yours")
    runs, resamples = whole_number("runs", runs, FEWEST_RUNS), whole_number("resamples", resamples, 20)
    sgd = SGD(task.problem, step_size, whole_number("batch_size", batch_size, 1), rule=rule)
    steps, seed = _steps(task, steps, epochs, sgd.batch_size), seed_number(seed)
    places = layers_of(task.problem, None)
    if layer not in places:
        raise InvalidInput(f"layer is {layer!r}, but the task has {', '.join(map(repr, places))}")
    starts = task.starts(runs, seed)
    initial = starts[0] if flag("one_start", one_start) else starts
    half, ends = halves_and_ends(sgd, initial, steps, runs, seed, threads)
    found, _ = samples_of(ends, *centre_and_scale(ends), places[layer], VALUES)
    wrong = 1 - task.test_accuracy(ends) if task.loss.classifies else task.test_risk(ends)
    if not np.isfinite(wrong).all():
        raise InvalidInput(
            f"the test error of {int((~np.isfinite(wrong)).sum())} of {runs} runs of {sgd.label} left the range of "
            "floating-point numbers: lower the step size, or steps"
        )
    chosen = _resampled(seed, runs, resamples)
    place = places[layer]
    cell: dict[str, Any] = {
        "test_error": float(wrong.mean()), "test_error_error": float(wrong.std(ddof=1) / math.sqrt(runs)),
        "test_error_resampled": wrong[chosen].mean(axis=1), "test_risk": float(task.test_risk(ends).mean()),
        "training_risk": float(task.problem.risk(ends).mean()), "steps": steps,
        "unsettled": unsettled(half[:, place], ends[:, place], steps),
    }  # fmt: skip
    for name in estimators:
        cell |= _indices(name, found[WEIGHTS], runs, chosen)
    return cell


def _steps(task: Task, steps: Any, epochs: Any, batch: int) -> int:
    if (steps is None) == (epochs is None):
        raise InvalidInput("give one of steps and epochs")
    if epochs is None:
        return whole_number("steps", steps, 2)
    if task.online:
        raise InvalidInput("epochs count how often rows are used, and this task draws fresh samples: give steps")
    return max(2, round(positive("epochs", epochs) * task.problem.samples / batch))


def _resampled(seed: int, runs: int, resamples: int) -> np.ndarray:
    """Runs (resamples, runs) drawn with replacement."""
    uniforms = Noise(seed, np.arange(resamples)).child("runs").uniforms(Purpose.RESAMPLING, 0, runs)
    return (uniforms * runs).astype(int).clip(max=runs - 1)


def _indices(name: str, sample: Sample, runs: int, chosen: np.ndarray) -> dict[str, Any]:
    estimator = estimator_of(name)
    row = row_of(WHOLE, WEIGHTS, name, estimator, sample, groups_of(runs, GROUPS), 0.95, math.nan)
    by_run = sample.values.reshape(runs, -1)
    shapes = np.full(len(chosen), math.nan)
    whole = math.nan
    if not math.isnan(row.index):
        whole = raw_shape(estimator(sample.values))
        for place, rows in enumerate(chosen):
            try:
                shapes[place] = raw_shape(estimator(by_run[rows].ravel()))
            except InvalidInput:  # ties of runs that were drawn again and again; left out below
                continue
    return {
        f"index_{name}": row.index, f"index_{name}_lower": row.lower, f"index_{name}_upper": row.upper,
        f"shape_{name}": whole, f"shape_{name}_resampled": shapes,
    }  # fmt: skip

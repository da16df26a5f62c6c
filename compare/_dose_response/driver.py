"""compare.dose_response: runs of several batch sizes or step sizes beside those without noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles.progress import KeptOpen, Progress, open_progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, instance_of, positive, seed_number, whole_number
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.tasks import Task

from .._golden_path.arms import Runner
from ..drops import BATCH, SIZE
from ..estimates import fieller
from .._golden_path.driver import ROUNDING
from .._golden_path.plan import FEWEST, NEAR, check_samples, larger, told, whole_batch
from ..capabilities import one_blas_thread
from ..estimates import confidence_level
from ..results import labelled
from .result import AXES, DoseResponse

LOOKS = 16  # recorded steps, unless said otherwise
FINEST = 1000  # denominator of a ratio of step sizes


@one_blas_thread
def dose_response(
    task: Task,
    sgd: SGD,
    steps: int,
    *,
    batch_sizes: Sequence[int] | None = None,
    step_sizes: Sequence[float] | None = None,
    record: Sequence[int] | None = None,
    seeds: int = 16,
    seed: int = 0,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: bool | Progress | None = None,
) -> DoseResponse:
    """Loss relative to the run without noise, against batch size or step size, and against steps or epochs.

    Each dose is run from common starts with data of its own, and beside it the same without noise: the full batch
    offline, online the expectation by formula or large fresh batches. Step sizes are compared at equal sums of step
    sizes, each with its own noiseless run, so that what the discretisation does is no part of the response.

    Parameters
    ----------
    task : problems.tasks.Task
    sgd : discrete.SGD
        On the task's problem; all settings but the one that varies.
    steps : int
        Of sgd; a run of another step size takes as many as have the same sum of step sizes.
    batch_sizes, step_sizes : rising numbers
        One of the two ladders.
    record : steps of sgd, optional
        Where losses are compared; offline that is how often the rows were used. Default about 16, and the last.
    seeds : int
        Runs of each dose; at least 4.
    seed : int
    confidence : float
        With which the intervals of all doses hold at once, at one number of steps.
    threads : int, optional
    progress : bool or object with update(n) and close(), optional
        Path-steps; None: a line after ten seconds and each half minute, False: nothing.

    Returns
    -------
    DoseResponse

    Raises
    ------
    InvalidInput
        If an argument cannot be used.

    Notes
    -----
    Derived. The interval is Fieller's of a ratio of means over seeds, so that it counts the error of the noiseless
    loss too.
    """
    instance_of("task", task, Task, "take one of problems.tasks, or build a Task of your own problem")
    instance_of("sgd", sgd, SGD)
    if sgd.problem is not task.problem:
        raise InvalidInput("sgd descends another problem than the task's: use discrete.SGD(task.problem, ...)")
    steps = whole_number("steps", steps, 1)
    kind, doses, runs, shares = _ladder(sgd, batch_sizes, step_sizes)
    at = _looks(record, steps, shares)
    seeds, seed, confidence = whole_number("seeds", seeds, 1), seed_number(seed), confidence_level(confidence)
    if seeds < FEWEST:
        raise InvalidInput(f"seeds is {seeds}, and a mean with its error over seeds needs {FEWEST} at least")
    batch, longest = max(run.batch_size for run in runs), math.ceil(max(shares) * steps)
    check_samples(task, batch, longest)
    bar = open_progress(progress, math.inf, patient="dose and response")
    runner, starts = Runner(task, seeds, threads, KeptOpen(bar)), task.starts(seeds, seed)

    def losses(name: str, run: SGD, share: Fraction) -> np.ndarray:
        own = int(Noise(seed, np.arange(1)).child(name).seed)
        return runner.run(name, run, starts, [int(each * share) for each in at.tolist()], 0, own)[0].losses

    large = larger(task, batch, longest)
    alone = runs if kind == SIZE else runs[:1]  # one without noise beside all batch sizes
    quiet_runs = [replace(run, **task.noiseless(large)) for run in alone]
    try:
        noisy = np.array([losses(f"{kind} {dose:g}", run, share) for dose, run, share in zip(doses, runs, shares)])
        quiet = np.array([losses(f"noiseless {run.step_size}", run, share) for run, share in zip(quiet_runs, shares)])
    finally:
        bar.close()
    quiet = np.broadcast_to(quiet, noisy.shape)
    tail = (1 - confidence) / (2 * len(doses))
    found = np.array([[fieller(a - b, b, tail) for a, b in zip(one.T, other.T)] for one, other in zip(noisy, quiet)])
    found[quiet.mean(axis=1) < ROUNDING * noisy[:, :, 0].mean()] = math.nan
    rows = math.nan if task.online else task.problem.samples
    sizes = np.array([float(share) * run.batch_size for run, share in zip(runs, shares)])
    record_of = SimpleNamespace(
        loss=noisy, noiseless_loss=np.array(quiet), relative=found[..., 0], relative_lower=found[..., 1],
        relative_upper=found[..., 2], epochs=sizes[:, None] * at / rows, samples=sizes[:, None] * at,
    )  # fmt: skip
    attributes = {
        "task": repr(task.problem), "name": task.name, "kind": kind, "online": int(task.online), "seeds": seeds,
        "seed_of_runs": seed, "confidence": confidence, "steps": steps, "base": told(sgd),
        "noiseless": told(quiet_runs[0]), "silent": int(whole_batch(quiet_runs[0])), "about": task.about,
        "formula": int(task.population is not None), "rows": rows,
        "step_size": float(sgd.step_size) if not isinstance(sgd.step_size, StepSizes) else math.nan,
    }  # fmt: skip
    coordinates = {"dose": np.array(doses, dtype=float), "seed": np.arange(seeds), "step": at}
    return DoseResponse(labelled(record_of, AXES, coordinates, attributes))


def _ladder(sgd: SGD, batch_sizes: Any, step_sizes: Any) -> tuple[str, list[float], list[SGD], list[Fraction]]:
    """What varies, its values, the runs, and how many steps each takes for one of sgd."""
    if (batch_sizes is None) == (step_sizes is None):
        raise InvalidInput("give one ladder, batch_sizes or step_sizes")
    if batch_sizes is not None:
        batches = [whole_number("a batch size", each, 1) for each in _values("batch_sizes", batch_sizes)]
        _rising("batch_sizes", batches)
        runs = [replace(sgd, batch_size=each) for each in batches]
        return BATCH, [*map(float, batches)], runs, [Fraction(1)] * len(batches)
    if isinstance(sgd.step_size, StepSizes):
        raise InvalidInput("the step size follows a schedule, which no ladder of step sizes replaces: vary batch_sizes")
    sizes = [positive("a step size", each) for each in _values("step_sizes", step_sizes)]
    _rising("step_sizes", sizes)
    shares = [Fraction(sgd.step_size / each).limit_denominator(FINEST) for each in sizes]
    for each, share in zip(sizes, shares):
        if abs(float(share) * each / sgd.step_size - 1) > NEAR:
            raise InvalidInput(
                f"step size {each:g} is in no ratio of small whole numbers to {sgd.step_size:g}, so that sums of step "
                "sizes never meet: take halves, quarters, doubles"
            )
    return SIZE, sizes, [replace(sgd, step_size=each) for each in sizes], shares


def _values(name: str, given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Sequence | np.ndarray) or not len(given):
        raise InvalidInput(f"{name} must be a list of rising numbers, got {given!r}")
    return list(given)


def _rising(name: str, values: Sequence[float]) -> None:
    if any(b <= a for a, b in zip(values, values[1:])):
        raise InvalidInput(f"{name} must rise, got {list(values)}")


def _looks(record: Any, steps: int, shares: Sequence[Fraction]) -> np.ndarray:
    """Steps at which every run has the same sum of step sizes."""
    every = math.lcm(*(share.denominator for share in shares))
    if steps % every:
        raise InvalidInput(f"steps is {steps}; the sums of step sizes meet at multiples of {every} only: take one")
    if record is None:
        units = steps // every
        return every * np.unique(np.round(np.geomspace(1, units, min(LOOKS, units))).astype(int))
    given = sorted({whole_number("record", each, 1, steps) for each in _values("record", record)} | {steps})
    for each in given:
        if each % every:
            raise InvalidInput(f"record holds {each}; the sums of step sizes meet at multiples of {every} only")
    return np.array(given)

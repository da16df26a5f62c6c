"""What sweeping costs beyond its cells, and what a second worker gains."""

from __future__ import annotations

import tempfile
import time
from typing import Any

import numpy as np

from sgdlimits import discrete, problems, studies
from sgdlimits.exact.threads import one_thread
from sgdlimits.studies._sweep.executors import opened

CELLS = 1000
LENGTH = 0.1  # seconds of the cell by which the overhead is measured


def overhead(workers: int | None = None) -> float:
    """Wall time of a sweep of cells that do nothing, kept in a store, as a part of as many of `LENGTH` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        with opened(None, workers) as pool:
            studies.sweep(lambda a: a, {"a": list(range(8))}, executor=pool)
            began = time.perf_counter()
            studies.sweep(lambda a: {"x": a, "y": np.zeros(50)}, {"a": list(range(CELLS))}, folder, executor=pool)
            return (time.perf_counter() - began) / (CELLS * LENGTH / (workers or 1))


def two_workers(cells: int = 40) -> tuple[float, float, bool]:
    """Wall time of one worker over that of two that are ready, seconds until they are, and whether bits agree."""
    problem = problems.LeastSquares.gaussian(500, 50, 0.5, 0.5, seed=1)

    def cell(step_size: float, seed: int) -> Any:
        sgd = discrete.SGD(problem, step_size)
        return sgd.simulate(np.zeros(50), 4000, 4000, "risk", record=[4000], seed=seed).risk.mean().item()

    over = {"step_size": np.geomspace(1e-4, 1e-3, cells)}
    with one_thread():  # this process, too, with one thread
        studies.sweep(cell, {"step_size": [1e-4]})
        began = time.perf_counter()
        one = studies.sweep(cell, over)
        alone = time.perf_counter() - began
    began = time.perf_counter()
    with opened(None, 2) as pool:
        studies.sweep(cell, {"step_size": [1e-4, 2e-4, 3e-4, 4e-4]}, executor=pool)
        ready = time.perf_counter()
        two = studies.sweep(cell, over, executor=pool)
        return alone / (time.perf_counter() - ready), ready - began, bool(one.equals(two))

"""Ladders of doses, and samples to a loss, of the study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.compare import DoseResponse, NoiseCost, dose_response, noise_cost
from sgdlimits.discrete import SGD
from sgdlimits.problems import tasks

from .cases import QUICK

if TYPE_CHECKING:
    from sgdlimits.ensembles.progress import Progress

    from .study import GoldenPathStudy

NETWORK, NOISE, ROWS = "diagonal-network", 0.1, 40  # the labels' noise keeps the loss without noise above zero
STEPS, SIZE = 2000, 0.02
BATCHES, SIZES = (1, 2, 4, 8, 16), (0.005, 0.01, 0.02)
CURVES = {"linear-regression": (1, 2, 4, 8, 16, 64), "relu-regression": (1, 2, 4, 8, 16, 64)}
PART = 6  # of the steps, after which the run without noise has the level
EXACT = ", exact"


def titled(name: str) -> str:
    """A task's name in words."""
    return name.replace("-", " ").replace("relu", "ReLU")


def doses(study: GoldenPathStudy, threads: int | None, progress: Progress) -> dict[str, DoseResponse]:
    """Batch sizes and step sizes, online and offline, of the diagonal network."""
    found: dict[str, DoseResponse] = {}
    if NETWORK not in study.chosen:
        return found
    steps = STEPS // (QUICK if study.quick else 1)
    for where, rows in (("online", None), ("offline", ROWS)):
        task = tasks.diagonal_network(noise=NOISE, rows=rows, seed=study.seed)
        for kind, ladder in (("batch sizes", {"batch_sizes": BATCHES}), ("step sizes", {"step_sizes": SIZES})):
            found[f"{kind}, {where}"] = dose_response(
                task, SGD(task.problem, SIZE), steps, seeds=study.seeds, seed=study.seed, threads=threads,
                progress=progress, **ladder,
            )  # fmt: skip
    return found


def costs(study: GoldenPathStudy, threads: int | None, progress: Progress) -> dict[str, NoiseCost]:
    """Samples and steps to a loss: measured of two tasks, and exact of the linear one."""
    found = {}
    for name, sizes in CURVES.items():
        if name not in study.chosen:
            continue
        linear = name == "linear-regression"
        task = tasks.linear_regression(dimension=50, seed=study.seed) if linear else tasks.relu_regression(
            noise=0.3, seed=study.seed
        )  # fmt: skip
        step_size, steps = (0.05, 600) if linear else (0.02, 1200)
        least = 0.125 if linear else 0.045  # half the variance of the labels' noise
        steps //= QUICK if study.quick else 1
        sgd = SGD(task.problem, step_size)
        record = np.unique(np.geomspace(1, steps, 60).astype(int))
        curves = dose_response(
            task, sgd, steps, batch_sizes=sizes, record=record, seeds=study.seeds * (12 if linear else 2),
            seed=study.seed, threads=threads, progress=progress,
        )  # fmt: skip
        quiet = curves.dataset["noiseless_loss"][0].mean("seed").values
        level = float(quiet[np.searchsorted(record, steps // PART)])
        found[name] = curves.noise_cost(level, least)
        if linear:
            found[name + EXACT] = noise_cost(
                sgd, task.starts(1, study.seed)[0], excess=level - least, batch_sizes=list(sizes)
            )  # fmt: skip
    return found

"""How far apart arms are as functions, at equal loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.output_distances import residual_correlation, total_variation
from sgdlimits.problems.tasks import Task

from .arms import Arm

MINE = "snapped, low"
PAIRS = {
    MINE: ("snapped", "low"),
    "same start, new data": ("low", "low twin"),
    "different start": ("low", "low from elsewhere"),
    "snapped, snapped": ("snapped", "snapped twin"),
    "unsnapped, low": ("high", "low"),
}


@dataclass(frozen=True, eq=False)
class Functions:
    """Distances between the functions of arms.

    Attributes
    ----------
    target : float
        The loss at which they are compared: the largest of the last mean losses of the quiet arms.
    losses : dict
        Mean loss of each arm where it was seen, the recorded step nearest to it.
    steps : dict
        That step, after the drop.
    distances : dict
        Pair -> (R,) array: total variation, or one minus the correlation of residuals.
    """

    target: float
    losses: dict[str, float]
    steps: dict[str, float]
    distances: dict[str, np.ndarray]


def measurable(task: Task) -> str:
    """Why functions of a task cannot be compared; empty where they can."""
    if task.classifier:
        return ""
    outputs = task.problem.outputs(task.start.centre, task.test.inputs[:1]).shape[-1]
    return "" if outputs == 1 else f"the task has {outputs} real outputs, neither probabilities nor one residual"


def functions_at_equal_loss(task: Task, arms: Mapping[str, Arm], after: np.ndarray) -> Functions:
    """Of the pairs whose arms were run."""
    means = {name: arm.after.mean(axis=0) for name, arm in arms.items()}
    target = max(curve[-1] for name, curve in means.items() if name not in ("high", "noiseless"))
    places = {name: int(np.argmin(np.abs(curve - target))) for name, curve in means.items()}
    seen = {name: task.probabilities if task.classifier else task.residuals for name in arms}
    outputs = {name: seen[name](arm.positions[:, places[name]]) for name, arm in arms.items()}
    distances = {}
    for pair, (one, other) in PAIRS.items():
        if one not in outputs or other not in outputs:
            continue
        first, second = outputs[one], outputs[other]
        if task.classifier:
            distances[pair] = total_variation(first, second)
        else:
            distances[pair] = 1 - residual_correlation(first, second)
    return Functions(
        float(target), {name: float(means[name][place]) for name, place in places.items()},
        {name: float(after[place]) for name, place in places.items()}, distances,
    )  # fmt: skip

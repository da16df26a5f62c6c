"""How far apart arms are as functions, at equal loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sgdlimits.exact.output_distances import residual_correlation, total_variation
from sgdlimits.problems.tasks import Task

from .arms import Arm

EQUAL = 0.1  # relative difference of mean losses up to which they count as equal
TINY = np.finfo(float).tiny  # in place of a loss of zero
NEARLY = 0.02  # of a loss, by which a later look may miss it more than the nearest one
MINE, UNSNAPPED = "snapped, low", "unsnapped, low"
PAIRS = {
    MINE: ("snapped", "low"),
    "same start, new data": ("low", "low twin"),
    "different start": ("low", "low from elsewhere"),
    "snapped, snapped": ("snapped", "snapped twin"),
    UNSNAPPED: ("high", "low"),
}


@dataclass(frozen=True, eq=False)
class Functions:
    """Distances between the functions of arms.

    Attributes
    ----------
    target : float
        The loss at which they are compared: the largest of the last mean losses of the quiet arms, or a nearby one.
    losses : dict
        Mean loss of each arm where it was seen, the look nearest to the target.
    steps : dict
        That step, after the drop; below 0 before it. The later one of two, where a loss came down and rises again.
    distances : dict
        Pair -> (R,) array: total variation, or one minus the correlation of residuals.
    """

    target: float
    losses: dict[str, float]
    steps: dict[str, float]
    distances: dict[str, np.ndarray]

    def unequal(self, pair: str) -> str:
        """Why a pair was not seen at equal loss; empty where it was. Unsnapped runs are not meant to be."""
        one, other = (self.losses[name] for name in PAIRS[pair])
        if pair == UNSNAPPED or equal(one, other):
            return ""
        return f"no looks at equal loss: {PAIRS[pair][0]} at {one:.3g}, {PAIRS[pair][1]} at {other:.3g}"


def equal(one: float, other: float) -> bool:
    """Whether two mean losses count as one."""
    return max(one, other) <= (1 + EQUAL) * min(one, other)


def measurable(task: Task) -> str:
    """Why functions of a task cannot be compared; empty where they can."""
    if task.classifier:
        return ""
    outputs = task.problem.outputs(task.starts(1, 0), task.test.inputs[:1]).shape[-1]
    return "" if outputs == 1 else f"the task has {outputs} real outputs, neither probabilities nor one residual"


def functions_at_equal_loss(task: Task, arms: Mapping[str, Arm], looks: np.ndarray) -> Functions:
    """Of the pairs whose arms were run; `looks` (K,): all steps that were looked at, after the drop."""
    means = {name: arm.losses[:, -arm.positions.shape[1] :].mean(axis=0) for name, arm in arms.items()}
    target = _target(means)
    places = {name: _look(curve, target) for name, curve in means.items()}
    seen = task.probabilities if task.classifier else task.residuals
    needed = {name for pair in PAIRS.values() if set(pair) <= set(arms) for name in pair}
    outputs = {name: seen(arms[name].positions[:, places[name]]) for name in needed}
    distances = {}
    for pair, (one, other) in PAIRS.items():
        if one not in outputs or other not in outputs:
            continue
        first, second = outputs[one], outputs[other]
        if task.classifier:
            distances[pair] = total_variation(first, second)
        else:
            distances[pair] = 1 - residual_correlation(first, second)
    at = {name: looks[len(looks) - len(means[name]) :] for name in arms}
    return Functions(
        float(target), {name: float(means[name][place]) for name, place in places.items()},
        {name: float(at[name][place]) for name, place in places.items()}, distances,
    )  # fmt: skip


def _look(curve: np.ndarray, target: float) -> int:
    """The place where a loss is nearest to the target, in the last stretch in which it is about as near as ever."""
    misses = np.abs(curve - target)
    near = np.flatnonzero(misses <= misses.min() + NEARLY * target)
    last = near[int(np.max(np.flatnonzero(np.diff(near) > 1), initial=-1)) + 1 :]
    return int(last[np.argmin(misses[last])])


def _target(means: Mapping[str, np.ndarray]) -> float:
    """The largest of the last losses; where the low run had it between two looks, the loss at which both were seen."""
    target = max(curve[-1] for name, curve in means.items() if name in _QUIET)
    late = means["snapped"][len(means["snapped"]) // 2 :]
    tried = np.maximum([target, *late], TINY)
    misses = [np.abs(np.log(np.maximum(means["low"], TINY) / each)).min() for each in tried]
    return float(target if misses[0] <= np.log1p(EQUAL) else late[int(np.argmin(misses[1:]))])


_QUIET = {name for pair in PAIRS.values() for name in pair} - {"high"}

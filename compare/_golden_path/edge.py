"""Step size times largest Hessian eigenvalue where the noise drops, beside the edge of stability of the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD, sharpness
from sgdlimits.discrete.moment_equations import edge_of_stability
from sgdlimits.exact.errors import SgdlimitsError

from .arms import Arm
from .plan import Plan

SIDES = ("high", "low")
TOLERANCE = 1e-2  # of an eigenvalue, relative: seeds differ by more


@dataclass(frozen=True, eq=False)
class Edges:
    """What was found at the drop, of the high and the low run.

    Attributes
    ----------
    size, error : (2, P) arrays
        Step size times the largest eigenvalue at some seeds; the error counts that of a mean over a stream's samples.
    edge : (2,) array
        Of that product; nan where the rule has none.
    absent : (2,) array of str
        Why something is not known; empty where all is.
    """

    size: np.ndarray
    error: np.ndarray
    edge: np.ndarray
    absent: np.ndarray

    @property
    def mean(self) -> float:
        """Of the high run; nan where it was not asked for."""
        return float(self.size[0].mean()) if self.size.size else math.nan

    @property
    def variables(self) -> dict[str, Any]:
        """By their names in the dataset."""
        return {
            "scaled_sharpness": self.size, "scaled_sharpness_error": self.error, "edge": self.edge,
            "edge_absent": self.absent,
        }  # fmt: skip


def edges(asked: Plan, arms: Mapping[str, Arm], probes: int) -> Edges:
    """Of the first so many seeds, of what is descended: the rows, or the expectation, by formula where there is one."""
    task = asked.task
    plain = task.problem.quadratic or not task.online or task.population is None
    problem = task.problem if plain else task.population
    size, error = np.full((2, 2, probes), math.nan)
    edge, absent = np.full(2, math.nan), np.full(2, "", dtype=object)
    for side, (sgd, step) in enumerate(((asked.high, asked.drop_at), (asked.low, asked.met_at))):
        arm = arms[SIDES[side]]
        absent[side] = _absent(sgd)
        if not absent[side]:
            edge[side] = edge_of_stability(sgd)
        try:
            found = [sharpness(problem, x, TOLERANCE) for x in arm.positions[:probes, -len(asked.after)]]
        except SgdlimitsError as fault:
            absent[side] = f"the largest Hessian eigenvalue is not known: {fault}"
            continue
        scale = float(sgd.step_sizes(step, step + 1)[0])
        size[side] = [scale * one.value for one in found]
        error[side] = [scale * (one.error + 2 * one.sampling_error) for one in found]
    return Edges(size, error, edge, absent)


def _absent(sgd: SGD) -> str:
    """Why a rule has no edge; empty where it has one."""
    if sgd.update_rule.linear(1.0) is not None:
        return ""
    return f"{sgd.label} divides by what it keeps of the gradients, or cuts them: its edge is not that of the Hessian"

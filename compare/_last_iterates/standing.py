"""What can be said of the law of the last iterate beforehand: exact, bounded, or a transient one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.discrete.rules import Plain
from sgdlimits.problems.prediction import PredictionProblem
from sgdlimits.problems.predictors import TwoLayer

UNSETTLED = 1e-3  # probability by chance, from which the law at half the steps is called another


def transient(sgd: SGD, ends: np.ndarray) -> tuple[str, ...]:
    """Why the ends (runs, d) of a loss of bounded slope without a ridge are no sample of a stationary law."""
    problem = sgd.problem
    if not isinstance(problem, PredictionProblem) or problem.ridge or math.isinf(problem.loss.largest_slope):
        return ()
    said: tuple[str, ...] = (
        "the loss has a bounded slope and there is no ridge: nothing holds the weights back far out, and the law after "
        "so many steps is a transient one unless a stationary law is proved",
    )
    if problem.loss.classifies and not problem.endless and isinstance(problem.predictor, TwoLayer):
        perfect = int((problem.accuracy(ends) == 1.0).sum())
        if perfect:
            said += (
                f"{perfect} of {len(ends)} runs classify every training row: scaling their last layer up lowers the "
                "loss for ever, so that it attains no minimum",
            )
    bound = _largest_move(sgd, problem.predictor)
    if bound is not None:
        said += (
            f"a step moves the second layer by at most {bound:.4g}, whatever the weights are: its noise does not grow "
            "with them, and no Kesten tail can come from it",
        )
    return said


def _largest_move(sgd: SGD, predictor: Any) -> float | None:
    """The most that a step of plain descent moves the second layer; None where that is not bounded."""
    if not isinstance(predictor, TwoLayer) or predictor.largest_value is None or not isinstance(sgd.update_rule, Plain):
        return None
    size = float(sgd.step_sizes(0, 1).max())
    hidden = math.sqrt(predictor.width * predictor.largest_value**2 + predictor.bias)
    return size * float(sgd.problem.loss.largest_slope) * hidden


def unsettled(middle: np.ndarray, end: np.ndarray, steps: int) -> str:
    """That norms of positions (runs, d) had another law after half the steps; empty where that is not seen."""
    from scipy.stats import ks_2samp

    half, last = np.linalg.norm(middle, axis=1), np.linalg.norm(end, axis=1)
    cut = half.size // 2  # two halves of the runs, so that the two samples are independent
    test = ks_2samp(half[:cut], last[cut:])
    if test.pvalue >= UNSETTLED:
        return ""
    ratio = float(np.median(last) / np.median(half))
    return (
        f"not settled: after {steps // 2} steps the norm had another law (KS distance {test.statistic:.2g}, p = "
        f"{test.pvalue:.1g}), its median has become {ratio:.3g} times as large since"
    )

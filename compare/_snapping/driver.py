"""compare.snapping: the risk after a drop of the noise, beside the run without that noise, from exact moments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.ensembles.initial import moment_steps
from sgdlimits.exact.errors import InvalidInput, finite_array
from sgdlimits.exact.moment_states import MomentState
from sgdlimits.exact.noise_maps import RankOneNoise
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.problems.second_moments import start_moments

from ..capabilities import one_blas_thread
from ..drops import BATCH, SAME
from ..results import labelled
from .plan import Plan, plan
from .result import ARMS, AXES, CLAIMS, WINDOWS, Snapping
from .statistics import Numbers, numbers

SOON = 64  # steps after the drop that are kept besides, evenly in their logarithm


@one_blas_thread
def snapping(
    sgd: SGD,
    x0: Any,
    drop_at: int,
    *,
    batch_size: Any = SAME,
    step_size: Any = SAME,
    steps: int | None = None,
    fractions: Sequence[float] = (1 / 2, 1 / 10, 1 / 100),
    record: int | Sequence[int] | None = None,
) -> Snapping:
    """Drop the noise of SGD at a step, and say how the risk comes back to that of the run with little noise throughout.

    Exact moments only: nothing is sampled. Five curves: `high` (never dropped), `snapped`, `low` (little noise
    throughout), `noiseless` (gradient descent with the step sizes of `low`) and `gradient flow` (at the same sums of
    step sizes, over 1 - momentum). The gap is the risk of `snapped` less that of `low`, less the same of two runs of
    gradient descent with these step sizes. After a drop of the batch size runs are matched at equal steps: they have
    one mean path, and the gap is a linear recurrence of its own. After a drop of the step size they are matched at
    equal sums of step sizes; where no step of `low` falls on the drop, it takes one shorter step before. What momentum
    keeps from before the drop is kept.

    Parameters
    ----------
    sgd : SGD
        Before the drop. Least squares, batches independent from step to step, a rule that is linear in the gradient.
    x0 : array (d,), array (paths, d), Gaussian, or tuple (mean, covariance)
    drop_at : int
        The first step with less noise.
    batch_size : int, None, inf or "n"
        From the drop on; None, inf and "n": gradient descent, without any noise.
    step_size : float or function of the step
        From the drop on, instead of a batch size. A function is of the steps of the low run.
    steps : int, optional
        Of the run whose noise drops, those before the drop included; four times `drop_at` by default.
    fractions : sequence of float
        Of the gap at the drop, between 0 and 1: the first steps after the drop with at most so much are found, beyond
        `steps` too where the step size after it is one number.
    record : None, int or sequence of int
        Steps to keep, 0 and `drop_at` always among them: None for all of at most 1000, about 250 of more, densely
        after the drop.

    Returns
    -------
    Snapping

    Examples
    --------
    >>> import numpy as np
    >>> from sgdlimits import compare, discrete, problems
    >>> index = np.arange(1, 101)
    >>> stream = problems.StreamingLeastSquares(index**-1.5, 0.5, index**-0.5)
    >>> found = compare.snapping(discrete.SGD(stream, 0.3, batch_size=4), np.zeros(100), 300, batch_size=None)
    >>> found.dataset["time_to"].values.tolist()
    [3, 55, 611]

    Raises
    ------
    InvalidInput
        If moments do not close, or an argument cannot be used.
    NoStationaryLaw, InfiniteVariance
        If a step size is not below its threshold, `.threshold`: no gap would close.
    OutOfReach
        If steps must be walked, and take hours.
    """
    asked = plan(sgd, drop_at, batch_size, step_size, steps)
    wanted = _fractions(fractions)
    kept = np.union1d(moment_steps(record, asked.steps), asked.drop_at)
    if record is None:
        late = np.geomspace(1, asked.steps - asked.drop_at, SOON)
        kept = np.union1d(kept, asked.drop_at + np.rint(late).astype(np.int64))
    found = numbers(asked, _start(sgd, x0), kept, wanted)
    coordinates = {
        "arm": list(ARMS), "step": kept, "after": kept[kept >= asked.drop_at] - asked.drop_at, "fraction": wanted,
        "run": ["high", "low"], "window": list(WINDOWS),
    }  # fmt: skip
    return Snapping(labelled(found, AXES, coordinates, _attributes(asked, found)))


def _fractions(fractions: Sequence[float]) -> np.ndarray:
    wanted = np.atleast_1d(finite_array("fractions", fractions))
    if wanted.ndim != 1 or not wanted.size or wanted.min() <= 0 or wanted.max() >= 1:
        raise InvalidInput("fractions must be numbers between 0 and 1, of the gap at the drop: (1/2, 1/10) for example")
    return wanted


def _start(sgd: SGD, x0: Any) -> MomentState:
    """Moments of the modes at the start: variances alone where they close."""
    problem, equations = sgd.problem, sgd.second_moments.equations
    mean, covariance = start_moments(x0, problem.dimension)
    d, vectors = problem.dimension, problem.eigenvectors if covariance is not None else None
    alone = isinstance(equations.noise, RankOneNoise)
    spread = np.zeros(d) if alone else np.zeros((d, d))
    if covariance is not None and vectors is not None:
        spread = (vectors * (covariance @ vectors)).sum(axis=0) if alone else vectors.T @ covariance @ vectors
    return MomentState.at_rest(problem.to_modes(mean), spread, equations.numbers)


def _attributes(asked: Plan, found: Numbers) -> dict[str, Any]:
    high, low = asked.high, asked.low
    claims = [{"process": high.label, "assumptions": [], "source": "derived", "order": None, **each} for each in CLAIMS]
    return {
        "process": high.label, "problem": repr(high.problem), "drop": asked.kind,
        "change": _change(asked), "rises": _rises(asked), "matched": asked.matched,
        "drop_at": asked.drop_at, "met_at": asked.met_at, "cut": asked.cut, "steps": asked.steps,
        "step_size": _written(high.step_size), "step_size_after": _written(low.step_size),
        "batch_size": high.batch_size, "batch_size_after": 0 if asked.still else low.batch_size,
        "sampling": high.sampling, "momentum": high.momentum, "label_noise": high.label_noise,
        "falls_from": found.falls_from, "void": int(found.void), "power": found.power, "deviation": found.deviation,
        "claims": json.dumps(claims),
    }  # fmt: skip


def _change(asked: Plan) -> str:
    """What changes at the drop, from what to what."""
    if asked.kind == BATCH:
        return f"batch size {asked.high.batch_size} to {'no noise' if asked.still else asked.low.batch_size}"
    return f"step size {_written(asked.high.step_size)} to {_written(asked.low.step_size)}"


def _rises(asked: Plan) -> int:
    """Whether there is more noise afterwards: a smaller batch, or a larger step size."""
    if asked.kind == BATCH:
        return int(not asked.still and asked.low.batch_size < asked.high.batch_size)
    first, then = asked.high.step_size, asked.low.step_size
    return int(isinstance(first, float) and isinstance(then, float) and then > first)


def _written(step_size: float | StepSizes) -> float | str:
    return repr(step_size) if isinstance(step_size, StepSizes) else step_size

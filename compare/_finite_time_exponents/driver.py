"""compare.finite_time_exponents: vectors carried along runs, and the exact exponent beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from sgdlimits.discrete import SGD
from sgdlimits.discrete.tangents import Tangents, check_differentiable, positions_along
from sgdlimits.ensembles.initial import initial_state, recorded_steps
from sgdlimits.ensembles.progress import Progress, open_progress
from sgdlimits.ensembles.random import Noise
from sgdlimits.exact.errors import InvalidInput, instance_of, seed_number, whole_number

from .._singular_values.statistics import over_runs
from .._tails.rows import known_index
from ..capabilities import one_blas_thread
from ..estimates import confidence_level
from ..results import labelled
from .result import AXES, FiniteTimeExponents

LOOKS = 8  # recorded steps, unless said otherwise


@one_blas_thread
def finite_time_exponents(
    sgd: SGD,
    x0: Any,
    steps: int,
    *,
    exponents: int = 3,
    runs: int = 16,
    burn_in: int = 0,
    every: int = 1,
    record: int | Sequence[int] | None = None,
    exact: bool = True,
    seed: int = 0,
    confidence: float = 0.95,
    progress: bool | Progress | None = None,
) -> FiniteTimeExponents:
    """Growth rates, a step, of small differences between neighbouring paths under the same batches.

    Random vectors are carried by the derivatives of the steps, I - step_size (batch Hessian) for plain SGD, and made
    orthonormal again (Benettin et al. 1980): the i-th exponent is the mean growth of the volume of i vectors over that
    of i - 1. With momentum the vectors are those of the state, position and buffer, moved by the rule itself.

    Parameters
    ----------
    sgd : discrete.SGD
        With a rule that is linear in the gradient; others are refused. A schedule is followed.
    x0 : array (d,) or (runs, d)
    steps : int
    exponents : int
        How many of the largest.
    runs : int
        Independent ones, at least 2.
    burn_in : int
        Steps whose growth is not counted: the vectors find their directions, and the paths their law.
    every : int
        Steps between two orthonormalisations; the vectors must not become parallel in between.
    record : None, int or steps after burn_in
        Times over which exponents are taken.
    exact : bool
        Ask the descent for its exact Lyapunov exponent, where it knows one, and judge whether the interval holds it.
    seed : int
    confidence : float
        Of the interval of the mean over runs, Student's.
    progress : bool or object with update(n) and close(), optional
        In path-steps.

    Returns
    -------
    FiniteTimeExponents

    Raises
    ------
    InvalidInput
        If the rule is not linear, an argument cannot be used, or runs leave the range of numbers.
    """
    instance_of("sgd", sgd, SGD)
    check_differentiable(sgd)
    d = sgd.problem.dimension
    runs, burn_in = whole_number("runs", runs, 2), whole_number("burn_in", burn_in)
    steps = whole_number("steps", steps, burn_in + 1)
    size = (1 + sgd.update_rule.slots) * d
    exponents, every = whole_number("exponents", exponents, 1, size), whole_number("every", every, 1)
    at = _times(record, steps, burn_in)
    starts = initial_state(x0, d, runs)
    if not isinstance(starts, np.ndarray):
        raise InvalidInput(f"x0 must be an array ({d},) or ({runs}, {d}); draw the starts of a Gaussian first")
    level, seed = confidence_level(confidence), seed_number(seed)
    bar = open_progress(progress, float(runs * steps), patient="finite-time exponents")
    try:
        found = _carried(sgd, starts, runs, exponents, burn_in, every, at, seed, bar)
    finally:
        bar.close()
    mean, lower, upper = (np.moveaxis(part.reshape(at.size, exponents), 0, -1) for part in _means(found, level))
    known = known_index(sgd) if exact else None
    record_of = SimpleNamespace(
        exponent=found, mean=mean, lower=lower, upper=upper, spread=found.std(axis=0, ddof=1),
        positive=(found > 0).mean(axis=0),
    )  # fmt: skip
    attributes = {
        "process": sgd.label, "problem": repr(sgd.problem), "batch_size": sgd.batch_size, "sampling": sgd.sampling,
        "step_size": repr(sgd.step_size), "runs": runs, "steps": steps, "burn_in": burn_in, "every": every,
        "seed": seed, "confidence": level, "one_start": int(starts.ndim == 1), "state": size, "dimension": d,
        "exact": math.nan if known is None else known.lyapunov_exponent,
    }  # fmt: skip
    coordinates = {"run": np.arange(runs), "place": np.arange(1, exponents + 1), "step": at}
    return FiniteTimeExponents(labelled(record_of, AXES, coordinates, attributes))


def _times(record: Any, steps: int, burn_in: int) -> np.ndarray:
    """Recorded steps, after the burn-in, the last among them."""
    if record is None:
        spaced = np.geomspace(max(1, (steps - burn_in) // 64), steps - burn_in, LOOKS)
        return burn_in + np.unique(np.rint(spaced).astype(np.int64))
    at = recorded_steps(record, steps, burn_in)
    at = np.union1d(at[at > burn_in], steps)
    return at


def _carried(
    sgd: SGD, starts: np.ndarray, runs: int, count: int, burn_in: int, every: int, at: np.ndarray, seed: int,
    bar: Progress,
) -> np.ndarray:  # fmt: skip
    """Finite-time exponents (run, place, step)."""
    noise, d = Noise(seed, np.arange(runs)), sgd.problem.dimension
    place_at = positions_along(sgd, starts, runs, seed, at) if sgd.problem.sampled else None
    tangents, looks, found = Tangents(sgd, runs, count, seed), set(at.tolist()), []
    nowhere = np.zeros((runs, d))  # where the objective of a batch is a quadratic its Hessian is the same everywhere
    for k in range(int(at[-1])):
        if k == burn_in:
            tangents.orthonormalise()
            tangents.logs = np.zeros_like(tangents.logs)
        tangents.step(k, nowhere if place_at is None else place_at(k), noise)
        if (k + 1) % every == 0 or k + 1 in looks:
            tangents.orthonormalise()
        if k + 1 in looks:
            found.append(tangents.logs / (k + 1 - burn_in))
        bar.update(runs)
    if place_at is not None:
        place_at(int(at[-1]))
    return np.stack(found, axis=-1)


def _means(found: np.ndarray, level: float) -> list[np.ndarray]:
    """Mean over runs and its interval, each (step * place,)."""
    flat = np.moveaxis(found, -1, 1).reshape(len(found), -1)
    return list(over_runs(flat, level))

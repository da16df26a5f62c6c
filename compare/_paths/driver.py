"""compare.paths: paths of noisy gradient descent beside the gradient flow, then beside their limit on the set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, positive, real_number, seed_number, whole_number
from sgdlimits.problems import geometry

from .. import rescaling
from ..capabilities import one_blas_thread
from ..estimates import confidence_level
from ..rescaling import Quantity
from ..results import labelled
from ..stable_ladder import stable_sizes
from ..zero_loss_sides import checked_start
from .phases import Case, fast_phase, slow_phase
from .result import AXES, Paths
from .statistics import path_statistics

RELAXATIONS = 3.0  # of the slowest mode: the default length of the fast phase
ON_THE_SET = 1e-9  # relative distance of a start without a fast phase


@one_blas_thread
def paths(
    recurrence: Any,
    limit: Any,
    w0: Any,
    *,
    time: float | None = None,
    steps: int | None = None,
    paths: int = 1000,
    step_sizes: Sequence[float] | None = None,
    rungs: int = 4,
    looks: int = 32,
    coordinate: Quantity | None = None,
    exit_radius: float | None = None,
    exit_interval: tuple[float, float] | None = None,
    fast_time: float | None = None,
    control: Any = 2.0,
    seed: int = 0,
    tolerance: float = 0.1,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> Paths:
    """Measure how paths converge to the gradient flow and then to the limit on the set, as the step size goes to zero.

    Along the set Phi(w_k) is compared with the limit at the same looks of both, never w_k itself. Where the limit is
    deterministic the rows are errors with their order; where it is random, distances between laws: of values,
    increments and averages at several times jointly, of the largest value, of exit times. Before the set is reached,
    w_k is compared with the gradient flow at every step. Every row is judged a second time against a wrong limit.

    Parameters
    ----------
    recurrence : NoisyGradientDescent
    limit : ManifoldLimit
        On the same model; both sides are rebuilt at each rung.
    w0 : (m,) array
        Start of the recurrence; the limit starts at Phi(w0).
    time : float, optional
        End on the limit's clock.
    steps : int, optional
        The same in steps of the recurrence as given. Exactly one of the two.
    paths : int
        Of each rung, at least 4. A random limit is sampled with twice as many, once for all rungs.
    step_sizes : decreasing sequence, optional
        Default: that of the recurrence, halved `rungs` - 1 times.
    rungs : int
        Length of the default ladder, at least 2.
    looks : int
        Even number of evenly spaced times, in whole steps of the first rung, at which both sides are seen; a largest
        distance and an exit are those over the looks: on neither side is anything seen in between.
    coordinate : function of points (P, m) of the set with values (P,), optional
        Default: the displacement along the limit's way, or along the noise's first direction where it is random.
    exit_radius : float, optional
        A path leaves when |Phi(w_k) - Phi(w0)| reaches it. Default: half of the limit's way, or three quarters of its
        root mean square at the end.
    exit_interval : pair of floats, optional
        Instead: a path leaves when the coordinate leaves this interval.
    fast_time : float, optional
        Length of the fast phase in the gradient flow's time (step * step size). Default: three relaxation times.
    control : float or ManifoldLimit
        The wrong limit: the limit with this factor of its tangential drift, or at twice the speed where it has none
        to change; or one of your own.
    seed, threads, progress
        As in `simulate`.
    tolerance : float
        Of an order: absolute. Of a W1 distance: relative to the limit's own spread. Of a Kolmogorov-Smirnov distance
        and of a probability: absolute.
    confidence : float
        Of each row by itself; a row over several functionals shares it out by Bonferroni.

    Returns
    -------
    Paths

    Raises
    ------
    InvalidInput
        If the sides do not belong together or an argument does not fit.
    Unstable
        If the recurrence's step size is past the stability limit at Phi(w0), or fewer than two of `step_sizes` are
        below.
    """
    w0 = checked_start(recurrence, limit, w0)
    count, looks = whole_number("paths", paths, 4), whole_number("looks", looks, 2)
    if looks % 2:
        raise InvalidInput(f"looks must be even, so that every other one can be left out, got {looks}")
    if coordinate is not None and not callable(coordinate):
        raise InvalidInput(f"coordinate must be a function of points (P, m) with values (P,), got {coordinate!r}")
    tolerance, confidence, seed = positive("tolerance", tolerance), confidence_level(confidence), seed_number(seed)
    halves = 0.5 ** np.arange(whole_number("rungs", rungs, 2))
    sizes = rescaling.ladder("step_sizes", step_sizes, recurrence.step_size * halves)
    if len(sizes) < 2:
        raise InvalidInput(f"an order needs at least two step sizes, got {list(map(float, sizes))}")
    end = rescaling.end_of_run(time, steps, limit)
    origin = geometry.limit_map(recurrence.model, w0)
    own = recurrence.step_size if step_sizes is None else None
    sizes, dropped = stable_sizes(recurrence.model, origin, sizes, own)
    case = Case(
        recurrence, limit, w0, origin, sizes, end, looks, count, coordinate,
        None if exit_radius is None else positive("exit_radius", exit_radius), _interval(exit_interval, exit_radius),
        _wrong(control), confidence, {"threads": threads, "progress": progress}, child_seed(seed, "paths"),
    )  # fmt: skip
    label = case.wrong_label
    rows, notes, levels = [], [f"The limit: {limit.explanation}", *([dropped] if dropped else [])], {}
    if limit.regime == "trivial":
        notes.append("The limit stands still, so that there is no slow phase: only the fast phase is shown.")
    else:
        slow, said, levels["slow"], label = slow_phase(case)
        rows += slow
        notes += said
    if np.linalg.norm(w0 - origin) <= ON_THE_SET * (1 + np.linalg.norm(origin)):
        if not rows:
            raise InvalidInput(
                "w0 lies on the set and the limit stands still there, so that nothing is to be compared: start off it"
            )
        notes.append("The start lies on the set, so that there is no fast phase.")
    else:
        slowest = float(geometry.frame(recurrence.model, origin).eigenvalues.min())
        duration = RELAXATIONS / slowest if fast_time is None else positive("fast_time", fast_time)
        fast, said, levels["fast"] = fast_phase(case, duration)
        rows += fast
        notes += said
    numbers = path_statistics(rows, sizes, tolerance, confidence, count)
    unknown = np.full(len(sizes), np.nan)
    attributes = {
        "title": f"Paths of {recurrence.label} beside their limit", "model": recurrence.model.label,
        "regime": limit.regime, "notes": "\n".join(notes), "paths": count, "seed": seed, "tolerance": tolerance,
        "confidence": confidence, "looks": looks, "time": end, "control": label,
        "w0": np.array2string(w0, precision=4, threshold=8),
    }  # fmt: skip
    dataset = labelled(numbers, AXES, {"row": [row.name for row in rows], "step_size": sizes}, attributes)
    for phase in ("slow", "fast"):
        dataset[f"noise_level_{phase}"] = ("step_size",), levels.get(phase, unknown)
    return Paths(dataset)


def _interval(asked: Any, radius: Any) -> tuple[float, float] | None:
    if asked is None:
        return None
    if radius is not None:
        raise InvalidInput("exit_radius and exit_interval both say what is left: pass one of them")
    if not isinstance(asked, Sequence) or len(asked) != 2:
        raise InvalidInput("exit_interval must be two numbers, its lower and its upper end")
    low, high = (real_number("an end of exit_interval", value) for value in asked)
    if not low < high:
        raise InvalidInput(f"exit_interval must go from its lower to its upper end, got {low:g} and {high:g}")
    return low, high


def _wrong(control: Any) -> Any:
    """The factor of the drift, or the limit to try instead."""
    if hasattr(control, "simulate"):
        return control
    if isinstance(control, str) or control is None:
        raise InvalidInput(f"control must be a factor of the limit's drift or a ManifoldLimit, got {control!r}")
    factor = real_number("control", control)
    if factor == 1:
        raise InvalidInput("control is 1, the limit's own drift, which no verdict can refute: take another factor")
    return factor

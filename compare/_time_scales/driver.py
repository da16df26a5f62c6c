"""compare.time_scales: steps that processes need for a set motion, over ladders of step sizes and noise levels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sgdlimits.exact.errors import InvalidInput, positive, seed_number, whole_number

from ..capabilities import numbered, one_blas_thread
from ..estimates import confidence_level
from ..rescaling import VARIABLES
from ..results import labelled
from .cases import measured
from .result import AXES, TimeScales
from .statistics import time_statistics
from .time_scale import TimeScale


@one_blas_thread
def time_scales(
    scales: Sequence[Any],
    w0: Any = None,
    *,
    step_sizes: Sequence[float] | None = None,
    noise_levels: Sequence[float] | None = None,
    rungs: int = 4,
    paths: int = 1000,
    steps: int | None = None,
    seed: int = 0,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    threads: int | None = None,
    progress: Any = None,
) -> TimeScales:
    """Measure in steps how long processes need for a set motion, and fit how that scales.

    A time is when a mean over the paths passes a level, between the steps looked at by interpolation; it is no first
    passage of a path. A drift is measured on E of a quantity of Phi(w_k); the exponents are those as step size and
    noise level go to zero, the leading bias (in the step size, in the noise level squared) fitted along where a ladder
    has four rungs.

    Parameters
    ----------
    scales : sequence of TimeScale, or of processes that start at `w0`
    w0 : (m,) array, optional
        Start of the processes that come without one.
    step_sizes, noise_levels : decreasing sequences, optional
        Ladders of time scales without their own. Default: the process's step size and noise level, halved
        `rungs` - 1 times; a level that nothing depends on is not varied. Given step sizes past the stability limit are
        left out.
    rungs : int
    paths : int
        Of each run, at least 2.
    steps : int, optional
        Length of the run of a process whose limit does not move; default: 10 / step_size^2 at each step size.
    seed, threads, progress
        As in `simulate`.
    tolerance : float
        Of an exponent: agrees if its whole interval lies within it of the prediction.
    confidence : float
        Of each interval by itself.

    Returns
    -------
    TimeScales

    Raises
    ------
    InvalidInput
        If an argument does not fit, or a level is not reached.
    Unstable
        If a process is past its stability limit (on a zero-loss set that at Phi(w0)) at the step size that is asked, or
        fewer than two of the given ones are below; `.threshold` is that limit.

    Warns
    -----
    StabilityWarning
        If step sizes were left out.
    """
    entries = _entries(scales, w0)
    rungs, paths = whole_number("rungs", rungs, 2), whole_number("paths", paths, 2)
    tolerance, confidence = positive("tolerance", tolerance), confidence_level(confidence)
    steps = None if steps is None else whole_number("steps", steps, 2)
    threads, seed = None if threads is None else whole_number("threads", threads, 1), seed_number(seed)
    settings = {"paths": paths, "steps": steps, "seed": seed, "threads": threads, "progress": progress}
    cases = []  # by a loop: a comprehension is a frame of its own, and would move the place that warnings name
    for index, entry in enumerate(entries):
        cases.append(measured(entry, index, step_sizes, noise_levels, rungs, settings))
    coordinates = {"time_scale": numbered([case.label for case in cases]), "variable": list(VARIABLES)}
    attributes = {
        "title": "Time scales in steps", "tolerance": tolerance, "confidence": confidence, "paths": paths, "seed": seed,
        "dropped": "\n".join(f"{case.label}: {case.dropped}" for case in cases if case.dropped),
    }  # fmt: skip
    return TimeScales(labelled(time_statistics(cases, tolerance, confidence, paths), AXES, coordinates, attributes))


def _entries(scales: Sequence[Any], w0: Any) -> list[TimeScale]:
    if not isinstance(scales, Sequence) or not scales:
        raise InvalidInput("time_scales needs a list of processes or of TimeScale(process, w0, ...)")
    entries = []
    for item in scales:
        if isinstance(item, TimeScale):
            entries.append(item)
        elif w0 is None:
            raise InvalidInput(f"{type(item).__name__} comes without a start: pass w0, or TimeScale(process, w0)")
        else:
            entries.append(TimeScale(item, w0))
    return entries

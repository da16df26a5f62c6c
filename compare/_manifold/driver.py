"""compare.manifold: noisy gradient descent beside its limit on the set of zero loss, in Phi(w_k)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sgdlimits.diffusions.manifold.terms import NEXT_ORDER, NON_DEGENERATE
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, whole_number
from sgdlimits.problems import geometry

from .. import rescaling
from ..capabilities import one_blas_thread
from ..estimates import confidence_level
from ..rescaling import Quantity, rebuilt
from ..results import labelled
from ..stable_ladder import regimes_along, stable_sizes
from ..standstill import size_of
from ..verdicts import relative_tolerance
from ..zero_loss_sides import checked_start
from . import scales
from .result import AXES, Manifold
from .rungs import measured, warn_if_long
from .statistics import AGAINST, KINDS, LATE, manifold_statistics
from .traces import cleared

# Second noise level over the first, of limits of leading order in sigma^2: steps go as its square, or fourth power.
LOWER = {NON_DEGENERATE: 0.5, NEXT_ORDER: 0.5**0.5}


@one_blas_thread
def manifold(
    recurrence: Any,
    limit: Any,
    w0: Any,
    *,
    time: float | None = None,
    steps: int | None = None,
    paths: int = 1000,
    observables: Mapping[str, Quantity] | None = None,
    step_sizes: Sequence[float] | None = None,
    noise_levels: Sequence[float] | None = None,
    rungs: int = 4,
    times: int = 4,
    seed: int = 0,
    tolerance: float = 0.05,
    confidence: float = 0.95,
    quality: str = "float32",
    threads: int | None = None,
    progress: Any = None,
) -> Manifold:
    """Compare E Phi(w_k) with the limit at matched steps, over a ladder of step sizes and noise levels.

    w_k itself is never compared: it lies off the set by the noise of the last steps, Phi(w_k) on it. The error at the
    last time is separated into what remains as step size and noise go to zero (0 if the limit is right), a part in the
    step size, and a part in the noise level squared. Every rung has noise of its own, so errors are independent. The
    clock of the whole ladder is that of the mechanism that leads in the limit as given.

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
        Of each rung, at least 2.
    observables : mapping from names to functions of points (P, m) of the set with values (P,), optional
        Default: the displacement along the limit's way, or its square where the limit is random or does not move.
    step_sizes : decreasing sequence, optional
        Default: that of the recurrence, halved `rungs` - 1 times. Those past the stability limit at Phi(w0) are
        left out.
    noise_levels : decreasing sequence, optional
        Values of the largest standard deviation; others in a mixture go with it. Default: that of the recurrence, and
        in the non-degenerate regime also its half, in the next order its part of 0.71.
    rungs : int
        Length of the default ladder.
    times : int
        Evenly spaced times that are recorded, the end included.
    seed, quality, threads, progress
        As in `simulate`.
    tolerance : float
        At most 0.1. The verdict "agrees" needs what remains of the error to lie within `tolerance` times what the limit
        changes, at all recorded times; see `Manifold`.
    confidence : float
        Of the band about what remains, at all times together; of the plotted intervals each by itself.

    Returns
    -------
    Manifold

    Raises
    ------
    InvalidInput
        If the sides do not belong together or an argument does not fit.
    Unstable
        If the recurrence is past the stability limit at Phi(w0) and no step sizes are given, or fewer than two of them
        are stable; `.threshold` is that limit.

    Warns
    -----
    StabilityWarning
        If step sizes were left out, or the limit passes the stability limit later.
    """
    w0 = checked_start(recurrence, limit, w0)
    paths, times = whole_number("paths", paths, 2), whole_number("times", times, 1)
    tolerance, confidence = relative_tolerance(tolerance), confidence_level(confidence)
    halves = 0.5 ** np.arange(whole_number("rungs", rungs, 2))
    sizes = rescaling.ladder("step_sizes", step_sizes, recurrence.step_size * halves)
    origin = geometry.limit_map(recurrence.model, w0)
    own = recurrence.step_size if step_sizes is None else None
    sizes, dropped = stable_sizes(recurrence.model, origin, sizes, own)
    levels = _levels(recurrence.noise, noise_levels, limit.regime)
    end = rescaling.end_of_run(time, steps, limit)
    asked = end * np.arange(1, times + 1) / times
    limits = [[rebuilt(limit, size, level) for level in levels] for size in sizes]
    leading = limit.terms.index(limit.leading)
    clocks = np.array([[float(x.terms[leading].clock) for x in row] for row in limits])
    rescaling.held_countable(float(end * clocks.max()))
    first = limits[0][0]
    functions = _functions(observables, first, w0, origin, asked * clocks[0, 0] / float(first.clock))
    start = np.array([rescaling.values_of(f"observable {name!r}", f, origin[None])[0] for name, f in functions.items()])
    warn_if_long(recurrence, w0, end * clocks, paths, threads)
    settings = {"quality": quality, "threads": threads, "progress": progress}
    rungs_found = [
        [
            measured(
                rebuilt(recurrence, size, level), limits[row][column], w0, asked, clocks[row, column], functions,
                paths, settings | {"seed": child_seed(seed, row, column)},
            )
            for column, level in enumerate(levels)
        ]
        for row, size in enumerate(sizes)
    ]  # fmt: skip
    numbers, parts = manifold_statistics(
        rungs_found, sizes, levels, start, recurrence.noise, limit, tolerance, confidence,
        scales.moved_by(functions, origin), float(np.linalg.norm(w0 - origin)), size_of(w0),
    )  # fmt: skip
    coordinates = {
        "step_size": sizes, "noise_level": levels, "time": asked, "observable": list(functions),
        "part": parts, "kind": list(KINDS), "against": list(AGAINST), "late_part": list(LATE),
        "variable": list(rescaling.VARIABLES),
    }  # fmt: skip
    attributes = {
        "title": f"{recurrence.label} against its limit on the zero-loss set",
        "model": recurrence.model.label, "regime": limit.regime, "explanation": limit.explanation,
        "dropped": dropped, "regimes": regimes_along(limit, sizes, [row[0] for row in limits]),
        "paths": paths, "seed": seed, "tolerance": tolerance, "confidence": confidence,
        "w0": np.array2string(w0, precision=4, threshold=8),
    }  # fmt: skip
    return Manifold(labelled(numbers, AXES, coordinates, attributes))


def _levels(noise: Any, asked: Sequence[float] | None, regime: str) -> np.ndarray:
    """The ladder of noise levels; one nan where the noise has none."""
    level = rescaling.noise_level(noise)
    if level == 0 and asked is None:
        raise InvalidInput("the noise has standard deviation 0, so that nothing moves along the set: raise its sigma")
    if np.isfinite(level):
        lower = LOWER.get(regime)
        return rescaling.ladder("noise_levels", asked, [level] if lower is None else [level, lower * level])
    if asked is not None:
        raise InvalidInput("this noise has no standard deviation, so that noise_levels cannot be set")
    return np.array([np.nan])


def _functions(
    observables: Mapping[str, Quantity] | None, limit: Any, w0: np.ndarray, origin: np.ndarray, times: np.ndarray
) -> dict[str, Quantity]:
    if observables is not None:
        if not isinstance(observables, Mapping) or not observables or not all(map(callable, observables.values())):
            raise InvalidInput("observables must be a mapping from names to functions of points (P, m)")
        return dict(observables)
    if limit.regime != "trivial" and rescaling.is_deterministic(limit):
        end = rescaling.limit_points(limit, w0, times)[-1]
        if np.linalg.norm(end - origin) > 1e-12 * (1 + np.linalg.norm(origin)):
            return {"displacement": rescaling.displacement(origin, end)}
    return {"squared displacement": lambda points: cleared(np.square(points - origin).sum(axis=-1), origin)}

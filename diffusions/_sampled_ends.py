"""Values of an observable at the end of many paths: drawn on several threads, and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from sgdlimits.ensembles import PACK
from sgdlimits.ensembles.engine import Simulator, default_chunk
from sgdlimits.exact.threads import thread_pool, threads_of
from sgdlimits.exact.errors import InvalidInput, calling, real_number

from .solvers import Coefficients

Observable = Callable[[np.ndarray], np.ndarray]


def sample_paths(
    sample: Callable[[np.ndarray], np.ndarray],
    first: int,
    last: int,
    simulator: Simulator,
    threads: int | None,
) -> np.ndarray:
    """Values of paths first..last-1, sampled chunk by chunk on several threads; each chunk is whole packs."""
    threads = threads_of(threads)
    size = default_chunk(simulator.dimension, last - first, threads, float(not simulator.compiled))
    low = first // PACK * PACK
    starts = range(low, last, size)

    def chunk(start: int) -> np.ndarray:
        stop = min(start + size, -(-last // PACK) * PACK)
        values = sample(np.arange(start, stop, dtype=np.int64))
        return values[max(first - start, 0) : last - start]

    if threads == 1 or len(starts) == 1:
        return np.concatenate([chunk(start) for start in starts])
    with thread_pool(min(threads, len(starts))) as pool:
        return np.concatenate(list(pool.map(chunk, starts)))


def observed(observable: Observable, positions: np.ndarray) -> np.ndarray:
    """Values (P,) of an observable at the end, float64 or bool; they may be infinite or nan."""
    shown = positions.view()
    shown.flags.writeable = False
    name = getattr(observable, "__name__", type(observable).__name__)
    with calling(f"the observable {name!r}"), np.errstate(over="ignore", invalid="ignore"):  # paths may be far away
        values = np.asarray(observable(shown))
    if values.shape != (len(positions),):
        raise InvalidInput(
            f"the observable returned shape {values.shape} for x of shape {positions.shape}: it must return "
            f"({len(positions)},)"
        )
    if values.dtype.kind not in "fiub":
        raise InvalidInput(f"the observable returned {values.dtype} values: they must be real numbers or booleans")
    return values if values.dtype == np.bool_ else values.astype(np.float64)


def refuse_not_finite(values: np.ndarray, positions: np.ndarray) -> None:
    """Raise InvalidInput if a value, or the position that it was taken at, is not finite."""
    lost = int((~(np.isfinite(values) & np.isfinite(positions).all(axis=1))).sum())
    if lost:
        raise InvalidInput(
            f"the observable is not finite on {lost} of {len(values)} paths, which have overflowed or left its domain: "
            "lower dt, or take 'tamed_euler' or 'drift_implicit_euler'"
        )


def one_path(coefficients: Coefficients, t0: float, start: Any, positions: np.ndarray) -> bool:
    """Whether no noise moves the paths: none at their common start, and all ends are the same to the bit."""
    if np.ndim(start) != 1 or np.any(coefficients.diffusion(t0, np.atleast_2d(start)) != 0):
        return False
    return bool((positions == positions[:1]).all())


def checked_observable(observable: Any) -> Observable:
    """Return `observable` if it can be called."""
    if not callable(observable):
        raise InvalidInput(
            f"observable must be a function of a (P, d) array with values (P,), got {type(observable).__name__}"
        )
    return observable


def checked_confidence(value: Any) -> float:
    """Return a confidence between 0 and 1."""
    number = real_number("confidence", value)
    if not 0 < number < 1:
        raise InvalidInput(f"confidence must lie between 0 and 1, got {value!r}")
    return number

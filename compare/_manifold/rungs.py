"""One rung of compare.manifold: both sides at one step size and noise level, and what that will cost."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import InvalidInput, LongRun, SgdlimitsError

from .. import rescaling
from ..estimates import mean_and_influence
from ..rescaling import Quantity, values_of
from . import traces
from .traces import Traces, cleared

LONG = 60.0  # seconds: a longer comparison is announced
QUICKEST = 1e-9  # seconds a path and step: below this no pilot is worth its time
PILOT = 30  # steps from which the speed is measured


@dataclass(frozen=True, eq=False)
class Rung:
    """Both sides at steps (T,), each with its standard errors.

    estimate and limit (T, observables); mean_point and limit_point (T, m) of Phi(w_k) and W; spread (T, 2) of a path
    across and along the set. traces: what the verdict needs of single paths.
    """

    steps: np.ndarray
    estimate: np.ndarray
    estimate_error: np.ndarray
    limit: np.ndarray
    limit_error: np.ndarray
    mean_point: np.ndarray
    limit_point: np.ndarray
    spread: np.ndarray
    spread_error: np.ndarray
    traces: Traces


def measured(
    recurrence: Any, limit: Any, w0: np.ndarray, times: np.ndarray, clock: float, functions: Mapping[str, Quantity],
    paths: int, settings: dict[str, Any],
) -> Rung:  # fmt: skip
    """Both sides at the steps nearest to the times (T,), of `clock` steps a unit; the limit at the whole step."""
    record = np.rint(times * clock).astype(np.int64)
    if record[0] < 1 or (np.diff(record) < 1).any():
        raise InvalidInput(
            f"the times are less than a step apart at step size {recurrence.step_size:g} (steps {record}): "
            "lengthen the time, or lower the step size, the noise level or `times`"
        )
    still = limit.regime == "trivial"
    looks = np.union1d(record, record[-1] // 2) if still else record  # the last half tells what stands still
    run = recurrence.simulate(
        w0, int(record[-1]), paths, observables={"w": "state", "phi": "limit_map"}, record=looks, **settings
    )
    phi, w = run["phi"].values, run["w"].values
    if not np.isfinite(phi).all():
        raise InvalidInput(
            f"paths overflowed at step size {recurrence.step_size:g}, so that they have no mean: lower it"
        )
    late = traces.last_half(w, phi, looks, w0) if still else (np.zeros(paths), np.nan, np.nan)
    recorded = np.searchsorted(looks, record)
    w, phi = w[:, recorded], phi[:, recorded]
    fast = np.full((len(record), len(functions)), np.nan)  # a control, where the limit is deterministic
    if rescaling.is_deterministic(limit) or still:
        points, twice = _followed(limit, w0, record / float(limit.clock))
        exact = _of_points(functions, points)
        limits = exact, np.zeros_like(exact), np.empty((0, *exact.shape))
        if twice is not None:
            fast = _of_points(functions, twice)
    else:
        own = settings | {"seed": child_seed(settings["seed"], "limit")}
        sampled = limit.simulate(w0, int(record[-1]), paths, observables={"w": "state"}, record=record, **own)
        limits, points = _means(functions, sampled["w"].values), sampled["w"].values.mean(axis=0)
    mean, error, influence = _means(functions, phi)
    kept = Traces(influence, limits[2], fast, *late)
    return Rung(record, mean, error, limits[0], limits[1], phi.mean(axis=0), points, *_spread(w, phi, w0), kept)


def _of_points(functions: Mapping[str, Quantity], points: np.ndarray) -> np.ndarray:
    """Values (T, observables) at points (T, m)."""
    return np.stack([values_of(f"observable {name!r}", f, points) for name, f in functions.items()], axis=-1)


def _followed(limit: Any, w0: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The limit (T, m) at the times, and at twice the times: None where it stands still or leaves its range by then."""
    if limit.regime != "trivial":
        both = np.union1d(times, 2 * times)
        try:
            points = rescaling.limit_points(limit, w0, both)
            return points[np.searchsorted(both, times)], points[np.searchsorted(both, 2 * times)]
        except (SgdlimitsError, ArithmeticError):  # perhaps only past the times that are compared
            pass
    return rescaling.limit_points(limit, w0, times), None


def _means(functions: Mapping[str, Quantity], points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means (T, observables) over points (P, T, m), their standard errors, and what each path adds to those."""
    values = _of_points(functions, points.reshape(-1, points.shape[2])).reshape(*points.shape[:2], len(functions))
    pairs = [mean_and_influence(values[:, :, i]) for i in range(len(functions))]
    mean, influence = (np.stack(arrays, axis=-1) for arrays in zip(*pairs))
    return mean, np.sqrt(np.square(influence).sum(axis=0)), influence


def _spread(w: np.ndarray, phi: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squares (T, 2) of w - Phi(w) and of Phi(w) about their means, with standard errors."""
    squares = np.stack([cleared(np.square(x - x.mean(axis=0)).sum(-1), scale) for x in (w - phi, phi)], axis=-1)
    spread = np.sqrt(squares.mean(axis=0))
    return spread, squares.std(axis=0) / np.sqrt(len(squares)) / np.maximum(2 * spread, np.finfo(float).tiny)


def warn_if_long(recurrence: Any, w0: np.ndarray, steps: np.ndarray, paths: int, threads: int | None) -> None:
    """Warn before steps (step sizes, noise levels) that take more than a minute, from the speed of a few steps."""
    pilot = int(min(PILOT, steps.min()))
    if steps.sum() < LONG / QUICKEST / paths or pilot < 2:
        return
    spent = np.inf
    for _ in range(2):  # the first may compile
        began = time.perf_counter()
        recurrence.simulate(w0, pilot, paths, observables=("norm",), record=[pilot], threads=threads)
        spent = min(spent, time.perf_counter() - began)
    seconds = spent / pilot * steps.sum()
    if seconds > LONG:
        shorter = steps[:-1].sum() / steps.sum()
        hint = f"one rung less takes {100 * shorter:.0f} % of it" if len(steps) > 1 else "lower the time or the paths"
        warnings.warn(
            f"compare.manifold will take about {seconds / 60:.0f} minutes: {steps.sum():.3g} steps of {paths} paths, "
            f"{steps[-1].sum():.3g} of them at the smallest step size; {hint}",
            LongRun,
            stacklevel=4,  # below one_blas_thread
        )

"""One rung of compare.manifold: both sides at one step size and noise level, and what that will cost."""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.ensembles.random import child_seed
from sgdlimits.diffusions.manifold.stability import mean_threshold, past_threshold
from sgdlimits.exact.errors import InvalidInput, LongRun, StabilityWarning, Unstable
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR
from sgdlimits.problems import geometry

from .. import rescaling
from ..estimates import mean_and_error
from ..rescaling import ROUNDING, Quantity, values_of

LONG = 60.0  # seconds: a longer comparison is announced
QUICKEST = 1e-9  # seconds a path and step: below this no pilot is worth its time
PILOT = 30  # steps from which the speed is measured


@dataclass(frozen=True, eq=False)
class Rung:
    """Both sides at steps (T,), each with its standard errors.

    estimate and limit (T, observables); mean_point and limit_point (T, m) of Phi(w_k) and W; spread (T, 2) of a path
    across and along the set.
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
    run = recurrence.simulate(
        w0, int(record[-1]), paths, observables={"w": "state", "phi": "limit_map"}, record=record, **settings
    )
    phi, w = run["phi"].values, run["w"].values
    if not np.isfinite(phi).all():
        raise InvalidInput(
            f"paths overflowed at step size {recurrence.step_size:g}, so that they have no mean: lower it"
        )
    if rescaling.is_deterministic(limit) or limit.regime == "trivial":
        points = rescaling.limit_points(limit, w0, record / float(limit.clock))
        exact = np.stack([values_of(f"observable {name!r}", f, points) for name, f in functions.items()], axis=-1)
        limits = exact, np.zeros_like(exact)
    else:
        own = settings | {"seed": child_seed(settings["seed"], "limit")}
        sampled = limit.simulate(w0, int(record[-1]), paths, observables={"w": "state"}, record=record, **own)
        limits, points = _means(functions, sampled["w"].values), sampled["w"].values.mean(axis=0)
    means = _means(functions, phi)
    return Rung(record, *means, *limits, phi.mean(axis=0), points, *_spread(w, phi, w0))


def stable_sizes(model: Any, origin: np.ndarray, sizes: np.ndarray, own: float | None) -> tuple[np.ndarray, str]:
    """The step sizes below the stability limit at `origin` (m,), and a sentence on the others: empty without any.

    Parameters
    ----------
    own : float, optional
        The recurrence's step size, where the ladder is the one that goes down from it.

    Raises
    ------
    Unstable
        If that is past the limit, or fewer than two rungs are left.
    """
    frame = geometry.frame(model, origin)
    threshold = mean_threshold(frame)
    stable = sizes < threshold * (1 - THRESHOLD_ERROR)
    if stable.all():
        return sizes, ""
    if own is not None:
        raise past_threshold(own, origin, frame)
    lost = ", ".join(f"{size:g}" for size in sizes[~stable])
    said = f"past the stability limit {threshold:.6g} at Phi(w0) (2 over the largest eigenvalue of the Hessian)"
    if stable.sum() < 2:
        raise Unstable(
            f"the step sizes {lost} of the ladder are {said}, so that fewer than two rungs are left: give at least two "
            "below it",
            threshold,
        )
    sentence = f"The step sizes {lost} are {said}: their rungs were left out."
    warnings.warn(sentence, StabilityWarning, stacklevel=4)  # below one_blas_thread
    return sizes[stable], sentence


def regimes_along(limit: Any, sizes: np.ndarray, limits: Sequence[Any]) -> str:
    """A sentence on the mechanisms that lead in the limits of these step sizes; empty where `limit`'s leads in all.

    Every standard deviation goes along with the noise level, so that the step size alone decides.
    """
    leads = [f"{rung.leading.label} ({rung.regime})" for rung in limits]
    if {rung.leading.label for rung in limits} == {limit.leading.label}:
        return ""
    shown = "; ".join(
        f"{lead} at step size {', '.join(f'{size:g}' for size, other in zip(sizes, leads) if other == lead)}"
        for lead in dict.fromkeys(leads)
    )
    return (
        f"The mechanism that leads changes along the ladder: {shown}. Every rung runs to the same time on the clock of "
        f"{limit.leading.label}, {limit.leading.clock.unit} a step, and its limit for as many steps."
    )


def _means(functions: Mapping[str, Quantity], points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means (T, observables) over points (P, T, m), and their standard errors."""
    flat, shape = points.reshape(-1, points.shape[2]), points.shape[:2]
    values = [values_of(f"observable {name!r}", f, flat) for name, f in functions.items()]
    mean, error = (np.stack(arrays, axis=-1) for arrays in zip(*(mean_and_error(v.reshape(shape)) for v in values)))
    return mean, error


def _spread(w: np.ndarray, phi: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Root mean squares (T, 2) of w - Phi(w) and of Phi(w) about their means, with standard errors."""
    squares = np.stack([cleared(np.square(x - x.mean(axis=0)).sum(-1), scale) for x in (w - phi, phi)], axis=-1)
    spread = np.sqrt(squares.mean(axis=0))
    return spread, squares.std(axis=0) / np.sqrt(len(squares)) / np.maximum(2 * spread, np.finfo(float).tiny)


def cleared(squares: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Squared lengths, with 0 in place of what is rounding of positions of this scale: it has no order."""
    return np.where(squares > (ROUNDING * (1 + np.linalg.norm(scale))) ** 2, squares, 0.0)


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

"""The step sizes of a ladder on a zero-loss set: which are stable, and which mechanism leads at each."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from sgdlimits.diffusions.manifold.stability import mean_threshold, past_threshold
from sgdlimits.exact.errors import StabilityWarning, Unstable
from sgdlimits.exact.stationary_law import THRESHOLD_ERROR
from sgdlimits.problems import geometry


def stable_sizes(
    model: Any, origin: np.ndarray, sizes: np.ndarray, own: float | None, stacklevel: int = 3
) -> tuple[np.ndarray, str]:
    """The step sizes below the stability limit at `origin` (m,), and a sentence on the others: empty without any.

    Parameters
    ----------
    own : float, optional
        The recurrence's step size, where the ladder is the one that goes down from it.
    stacklevel : int
        Of the warning, counted from the caller's; the default fits a function below `one_blas_thread`.

    Raises
    ------
    Unstable
        If that is past the limit, or fewer than two rungs are left.
    """
    frame = geometry.frame(model, origin)
    threshold = mean_threshold(frame)
    said = f"past the stability limit {threshold:.6g} at Phi(w0) (2 over the largest eigenvalue of the Hessian)"
    refusal = None if own is None else past_threshold(own, origin, frame)
    return _below(threshold, sizes, said, refusal, stacklevel + 1)


def settling_sizes(process: Any, sizes: np.ndarray, own: float | None, stacklevel: int = 3) -> tuple[np.ndarray, str]:
    """The same on least squares: the step sizes at which the mean of the process settles, where it says which.

    Raises
    ------
    Unstable
        As `stable_sizes` does.
    """
    threshold = float(process.stability().mean_threshold) if hasattr(process, "stability") else np.inf
    said = f"past the stability limit {threshold:.6g} of the mean of {process.label}"
    refusal = None
    if own is not None:
        refusal = Unstable(f"step_size is {own:g}, {said}, which does not settle there: lower the step size", threshold)
    return _below(threshold, sizes, said, refusal, stacklevel + 1)


def _below(
    threshold: float, sizes: np.ndarray, said: str, refusal: Unstable | None, stacklevel: int
) -> tuple[np.ndarray, str]:
    """The sizes below the threshold, at least two where others are `said` to be past it, and a sentence on those.

    `refusal`: raised instead where no size may be left out.
    """
    stable = sizes < threshold * (1 - THRESHOLD_ERROR)
    if stable.all():
        return sizes, ""
    if refusal is not None:
        raise refusal
    lost = ", ".join(f"{size:g}" for size in sizes[~stable])
    if stable.sum() < 2:
        raise Unstable(
            f"the step sizes {lost} of the ladder are {said}, so that fewer than two rungs are left: give at least two "
            "below it",
            threshold,
        )
    sentence = f"The step sizes {lost} are {said}: their rungs were left out."
    warnings.warn(sentence, StabilityWarning, stacklevel=stacklevel + 1)
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

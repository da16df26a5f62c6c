"""Moments and the stationary law of anything whose second moments close on a quadratic problem: written once.

A process gives what is its own, the propagation of its modes' moments; this turns positions into modes and back,
names what was asked and says why a law does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.initial import initial_moments, moment_steps
from sgdlimits.ensembles.results import moments_dataset
from sgdlimits.exact.cost import check_moments_memory
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw, one_of, shown
from sgdlimits.exact.outcomes import Stability, StationaryLaw

from .quadratic import QuadraticProblem

if TYPE_CHECKING:
    import xarray

Propagation = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
QUANTITIES = ("mean", "covariance", "risk")


def moments_of(
    problem: QuadraticProblem, propagate: Propagation, x0: Any, steps: int, record: int | Sequence[int] | None,
    quantities: Sequence[str] | None, attributes: Mapping[str, Any], time: Callable[[np.ndarray], np.ndarray | None],
) -> xarray.Dataset:  # fmt: skip
    """Exact moments of a process that starts at `x0`, labelled.

    Parameters
    ----------
    propagate : (mean (d,), covariance (d, d), steps (K,)) -> (means (K, d), covariances (K, d, d))
        Of the modes.
    quantities : names among QUANTITIES, optional
        What the result holds; all of them by default.
    time : function of the recorded steps
        Their times on the process's clock, or None.
    """
    chosen = _chosen(quantities)
    problem.check_centre()
    mean, covariance = initial_moments(x0, problem.dimension)
    kept = moment_steps(record, steps)
    check_moments_memory(len(kept), problem.dimension, copies=3 if "covariance" in chosen else 2)
    vectors = problem.eigenvectors
    with np.errstate(over="ignore", invalid="ignore"):
        means, covariances = propagate(problem.to_modes(mean), vectors.T @ covariance @ vectors, kept)
    found = dict(zip(QUANTITIES, problem.moments_of_positions(means, covariances)))
    return moments_dataset(
        kept, *(found[name] if name in chosen else None for name in QUANTITIES), problem.coordinates, attributes,
        time(kept),
    )  # fmt: skip


def stationary_of(
    problem: QuadraticProblem, stability: Stability, covariance: Callable[[], np.ndarray], label: str
) -> StationaryLaw:
    """The stationary law whose modes have this covariance (d, d).

    Raises
    ------
    NoStationaryLaw
        If the mean does not settle.
    InfiniteVariance
        If the mean settles but the second moment does not.
    """
    size = f"step_size is {stability.step_size:g}"
    if problem.curvatures.min() < 0:
        raise NoStationaryLaw(
            f"the descended objective has the negative curvature {problem.curvatures.min():.6g}, so {label} runs away "
            "at every step size; raise the ridge",
            stability.mean_threshold,
        )
    if not stability.mean_stable:
        raise NoStationaryLaw(
            f"{size}, but the mean of {label} settles only below {stability.mean_threshold:.6g}; lower the step size",
            stability.mean_threshold,
        )
    if not stability.mean_square_stable:
        raise InfiniteVariance(
            f"{size}, but the variance of {label} is finite only below {stability.mean_square_threshold:.6g}; lower "
            "the step size or raise the batch size",
            stability.mean_square_threshold,
        )
    problem.check_centre()
    vectors, spread = problem.eigenvectors, covariance()
    risk = float(problem.expected_risk(np.zeros(problem.dimension), spread))
    return StationaryLaw(problem.minimiser.copy(), vectors @ spread @ vectors.T, risk, vectors[:, problem.frozen])


def _chosen(quantities: Sequence[str] | None) -> tuple[str, ...]:
    if quantities is None:
        return QUANTITIES
    if not isinstance(quantities, str | list | tuple) or not quantities:
        raise InvalidInput(f"quantities must be names among {', '.join(QUANTITIES)}, got {shown(quantities)}")
    names = (quantities,) if isinstance(quantities, str) else quantities
    return tuple(one_of("quantities", name, QUANTITIES) for name in names)

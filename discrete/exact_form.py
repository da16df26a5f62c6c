"""What stands for a descent where its exact moments are computed: an interface, and what its leaves share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.ensembles.results import moments_dataset
from sgdlimits.exact.errors import InfiniteVariance, InvalidInput, NoStationaryLaw, some_of
from sgdlimits.exact.schedules import StepSizes
from sgdlimits.exact.stationary_law import Stability, StationaryLaw, past
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems.quadratic import QuadraticProblem

if TYPE_CHECKING:
    import xarray

QUANTITIES = ("mean", "covariance", "risk")


class ExactForm(ABC):
    """Moments, stationary law, thresholds and tail index of a descent by a rule that is not plain or momentum."""

    @abstractmethod
    def moments(
        self, x0: Any, steps: int, record: Any, quantities: Any, attributes: Any, progress: Any
    ) -> xarray.Dataset:
        """As `SGD.moments`."""

    @abstractmethod
    def stationary(self, settled_only: bool) -> StationaryLaw:
        """As `SGD.stationary`."""

    @abstractmethod
    def stability(self) -> Stability:
        """As `SGD.stability`."""

    @abstractmethod
    def tail_index(self, **options: Any) -> TailIndex:
        """As `SGD.tail_index`."""


def asked(label: str, quantities: Sequence[str] | None) -> tuple[str, ...]:
    """The quantities that are asked for, mean, covariance and risk among them alone."""
    try:
        return some_of("quantities", quantities, QUANTITIES)
    except InvalidInput as error:
        raise InvalidInput(f"{error}; of {label} these are known") from None


def with_risk(problem: QuadraticProblem, found: xarray.Dataset) -> xarray.Dataset:
    """The dataset with the expected risk, from its mean and covariance; inf past the range of numbers."""
    with np.errstate(over="ignore", invalid="ignore"):
        risk = problem.risk_of_positions(found["mean"].values, found["covariance"].values)
    return found.assign(risk=("step", np.where(np.isnan(risk), np.inf, risk)))


def labelled(
    problem: QuadraticProblem, kept: np.ndarray, means: np.ndarray, covariances: np.ndarray, chosen: Sequence[str],
    attributes: Mapping[str, Any], clock: Callable[[np.ndarray], np.ndarray | None],
) -> xarray.Dataset:  # fmt: skip
    """Means (steps, d) and covariances (steps, d, d) of modes as a dataset of positions, with the expected risk."""
    vectors, given = problem.eigenvectors, {}
    with np.errstate(over="ignore", invalid="ignore"):
        given["mean"] = problem.from_modes(means)
        given["covariance"] = vectors @ covariances @ vectors.T
        given["risk"] = problem.expected_risk(means, covariances)
    mean, covariance, risk = (
        np.where(np.isnan(given[name]), np.inf, given[name]) if name in chosen else None for name in QUANTITIES
    )
    return moments_dataset(kept, mean, covariance, risk, problem.coordinates, attributes, clock(kept))


def refuse_schedule(step_size: Any) -> None:
    """Raise where the step size follows a schedule.

    Raises
    ------
    InvalidInput
    """
    if isinstance(step_size, StepSizes):
        raise InvalidInput(
            f"step_size is the schedule {step_size!r}, so there is no stationary law and no index: take a constant "
            "step size, dataclasses.replace(sgd, step_size=...)"
        )


def refuse_unsettled(label: str, stability: Stability) -> None:
    """Raise where mean or covariance do not settle.

    Raises
    ------
    NoStationaryLaw, InfiniteVariance
    """
    size = stability.step_size
    if not stability.mean_stable:
        raise NoStationaryLaw(
            f"{past(size, stability.mean_threshold, f'the mean of {label} settles')}; lower the step size",
            stability.mean_threshold,
        )
    if not stability.mean_square_stable:
        raise InfiniteVariance(
            f"{past(size, stability.mean_square_threshold, f'the variance of {label} is finite')}; lower the step size "
            "or raise the batch size",
            stability.mean_square_threshold,
        )


def law_of_modes(problem: QuadraticProblem, mean: np.ndarray, spread: np.ndarray, frozen: np.ndarray) -> StationaryLaw:
    """From the mean (d,) and covariance (d, d) of modes; `frozen` (d,) marks those in which nothing moves."""
    vectors = problem.eigenvectors
    risk = float(problem.expected_risk(mean, spread))
    return StationaryLaw(problem.from_modes(mean), vectors @ spread @ vectors.T, risk, vectors[:, frozen])

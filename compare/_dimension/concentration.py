"""compare.concentration: how the error of homogenized SGD, and the spread of the risk, fall with the dimension."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.diffusions import HomogenizedSGD
from sgdlimits.discrete import SGD
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import (
    InvalidInput, OutOfReach, OverflowedPaths, StabilityWarning, calling, kind, one_of, positive, seed_number, several,
    whole_number,
)  # fmt: skip
from sgdlimits.problems import LeastSquares
from sgdlimits.problems.quadratic import QuadraticProblem

from ..capabilities import claim_notes, one_blas_thread
from .concentration_result import Concentration

DIMENSIONS = (8, 16, 32, 64, 128)
THRESHOLDS = ("SGD", "homogenized SGD")
TRIAL = 1e-12  # a step size at which both can be asked for their thresholds
FEWEST_SIZES, FEWEST_DRAWS, FEWEST_PATHS = 3, 3, 100
EXACT_SGD, EXACT_LIMIT = 8, 64  # dimensions up to which standard deviations are computed, in seconds
MOST_STEPS = 10**10  # path-steps times dimension


@one_blas_thread
def concentration(
    make: Callable[[int, int], Any] | None = None,
    *,
    dimensions: Iterable[int] = DIMENSIONS,
    ratio: float = 2.0,
    fraction: float = 0.5,
    threshold: str = "SGD",
    epochs: float = 4.0,
    at: Iterable[float] | None = None,
    batch_size: int = 1,
    redraws: int = 10,
    paths: int = 1000,
    seed: int = 0,
    threads: int | None = None,
    progress: Any = None,
) -> Concentration:
    """How high must the dimension be for homogenized SGD? Its error, and the spread of the risk, over the dimension.

    At a fixed number of rows a dimension and a fixed fraction of the threshold, over a fixed number of epochs: the
    largest relative gap of expected risks up to there, exact; and the standard deviation of L(x_k) over its mean. Each
    with a power of the dimension that is fitted to every draw of the data, and its standard error over draws.

    Parameters
    ----------
    make : function (dimension, seed) that returns a quadratic problem, optional
        Default: isotropic Gaussian rows, LeastSquares.gaussian(ratio * dimension, dimension, seed=seed).
    dimensions : ascending whole numbers, at least 3
    ratio : float
        Rows a dimension; of a stream, samples that count as an epoch.
    fraction, threshold : float in (0, 1), "SGD" or "homogenized SGD"
        The step size is this fraction of the mean-square threshold of that process. That of homogenized SGD lies
        higher, by much in low dimension, so that at a fraction of it the gap falls faster with the dimension, and SGD
        itself may have no stationary second moment.
    epochs : float
        The horizon.
    at : epochs, optional
        Where the spread is looked at; default a quarter, half and all of the horizon.
    batch_size : int
    redraws : int
        Draws of the data in each dimension, at least 3.
    paths : int
        Of SGD for each, at least 100. In 8 dimensions and below nothing is sampled.
    seed : int
    threads : int, optional
        Never changes a number.
    progress : True, None, or object with update(n) and close()

    Returns
    -------
    Concentration

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    OutOfReach
        If the paths would take hours.

    Examples
    --------
    >>> from sgdlimits import compare
    >>> found = compare.concentration(dimensions=(4, 8, 16), redraws=3, paths=200)
    >>> found.slope("gap").value < 0
    True
    """
    from sgdlimits.ensembles.progress import open_progress

    sizes = [whole_number("a dimension", size, 1) for size in several("dimensions", dimensions)]
    if len(sizes) < FEWEST_SIZES or any(after <= before for before, after in zip(sizes, sizes[1:])):
        raise InvalidInput(f"dimensions must be ascending whole numbers, at least {FEWEST_SIZES}, got {sizes}")
    fraction = positive("fraction", fraction)
    if not fraction < 1:
        raise InvalidInput(f"fraction must lie in (0, 1), as a part of the threshold, got {fraction:g}")
    epochs = positive("epochs", epochs)
    places = [epochs / 4, epochs / 2, epochs] if at is None else [positive("at", place) for place in several("at", at)]
    if not places or max(places) > epochs or any(b <= a for a, b in zip(places, places[1:])):
        raise InvalidInput(f"at must be ascending epochs up to the horizon of {epochs:g}, got {places}")
    plan = Plan(
        _maker(make, positive("ratio", ratio)), fraction, one_of("threshold", threshold, THRESHOLDS), ratio, epochs,
        tuple(places), whole_number("batch_size", batch_size, 1), whole_number("paths", paths, FEWEST_PATHS),
        seed_number(seed), threads,
    )  # fmt: skip
    redraws = whole_number("redraws", redraws, FEWEST_DRAWS)
    work = float(sum(redraws * plan.paths * ratio * size * epochs * size for size in sizes))
    if work > MOST_STEPS * 10:
        raise OutOfReach(
            f"the paths are {work:.1e} steps times dimensions, and {10 * MOST_STEPS:.0e} are paid: take fewer paths, "
            "redraws or epochs, or smaller dimensions"
        )
    bar = open_progress(progress, len(sizes) * redraws, "draws")
    found: list[list[Measured]] = []
    try:
        for size in sizes:
            found.append([])
            for redraw in range(redraws):
                found[-1].append(plan.measured(size, redraw))
                bar.update(1)
    finally:
        bar.close()
    return _result(found, sizes, plan)


@dataclass(frozen=True)
class Measured:
    """One draw of the data: the largest relative gap, and relative standard deviations (places,)."""

    gap: float
    deviation: np.ndarray
    limit_deviation: np.ndarray
    step_size: float
    exact: bool
    past: bool


@dataclass(frozen=True)
class Plan:
    """Settings that have been checked; see `concentration`."""

    make: Callable[[int, int], Any]
    fraction: float
    threshold: str
    ratio: float
    epochs: float
    places: tuple[float, ...]
    batch_size: int
    paths: int
    seed: int
    threads: int | None

    def measured(self, dimension: int, redraw: int) -> Measured:
        """Make the problem and measure."""
        problem = self.make(dimension, child_seed(self.seed, "data", dimension, redraw))
        if not isinstance(problem, QuadraticProblem) or problem.dimension != dimension:
            raise InvalidInput(
                f"make({dimension}, seed) must return a quadratic problem in {dimension} dimensions, such as a "
                f"LeastSquares, got {kind(problem)}"
            )
        trial = SGD(problem, TRIAL, self.batch_size)
        asked: Any = trial if self.threshold == THRESHOLDS[0] else HomogenizedSGD.of(trial)
        sgd = SGD(problem, self.fraction * float(asked.stability().mean_square_threshold), self.batch_size)
        limit, start = HomogenizedSGD.of(sgd), np.zeros(dimension)
        rows = getattr(problem, "samples", None)  # a stream has none
        samples = self.ratio * dimension if rows is None else rows
        wanted = [max(1, round(place * samples / self.batch_size)) for place in (*self.places, self.epochs)]
        record, places = np.unique(wanted[:-1], return_inverse=True)  # few large batches: epochs on the same step
        last = max(wanted)
        exact, every = dimension <= EXACT_SGD, list(range(last + 1))
        with warnings.catch_warnings():
            # A fraction of the one's threshold may lie past the other's; what is told of it is `past`.
            warnings.simplefilter("ignore", StabilityWarning)
            warnings.simplefilter("ignore", OverflowedPaths)
            own, other = (
                process.moments(start, last, record=every, quantities=("risk",))["risk"].values
                for process in (sgd, limit)
            )
            if not own.min() > 0:
                raise InvalidInput(
                    f"make({dimension}, seed) gives a problem whose risk is 0 along the way, so nothing is relative to "
                    "it: start away from the minimiser, or give the labels noise"
                )
            if exact:
                deviation = _deviation(sgd, record)
            else:
                risk = sgd.simulate(
                    start, last, self.paths, observables=("risk",), record=record.tolist(), threads=self.threads,
                    seed=child_seed(self.seed, "paths", dimension, redraw),
                )["risk"]  # fmt: skip
                deviation = risk.sel(step=record).values.astype(float).std(axis=0, ddof=1) / own[record]
            limits = _deviation(limit, record) if dimension <= EXACT_LIMIT else np.full(len(record), math.nan)
        gap = float(np.abs(other / own - 1).max())
        past = not (sgd.stability().mean_square_stable and limit.stability().mean_square_stable)
        return Measured(gap, deviation[places], limits[places], sgd.step_size, exact, past)


def _deviation(process: Any, record: np.ndarray) -> np.ndarray:
    """Exact standard deviation of the risk over its mean."""
    found = process.moments(
        np.zeros(process.problem.dimension), int(record[-1]), record=record,
        quantities=("risk", "risk_standard_deviation"),
    ).sel(step=record)  # fmt: skip
    return np.asarray((found["risk_standard_deviation"] / found["risk"]).values)


def _maker(make: Any, ratio: float) -> Callable[[int, int], Any]:
    if make is None:
        return lambda dimension, seed: LeastSquares.gaussian(max(1, round(ratio * dimension)), dimension, seed=seed)
    if not callable(make) or isinstance(make, QuadraticProblem):
        raise InvalidInput(
            f"make must be a function (dimension, seed) that returns a problem, got {kind(make)}: one problem has one "
            "dimension; for its rows ask compare.delocalisation"
        )
    with calling("make"):
        inspect.signature(make)

    def called(dimension: int, seed: int) -> Any:
        with calling("make"):
            return make(dimension, seed)

    return called


def _result(found: list[list[Measured]], sizes: list[int], plan: Plan) -> Concentration:
    import xarray as xr

    import sgdlimits

    def gathered(name: str) -> np.ndarray:
        return np.array([[getattr(each, name) for each in row] for row in found])

    axes = ("dimension", "redraw", "epoch")
    variables = {
        "gap": (axes[:2], gathered("gap")), "deviation": (axes, gathered("deviation")),
        "limit_deviation": (axes, gathered("limit_deviation")), "step_size": (axes[:2], gathered("step_size")),
        "past": (axes[:2], gathered("past")),
        "exact": (axes[:1], np.array([row[0].exact for row in found])),
    }  # fmt: skip
    coordinates = {"dimension": sizes, "redraw": np.arange(len(found[0])), "epoch": list(plan.places)}
    attributes = {
        "fraction": plan.fraction, "threshold": plan.threshold, "ratio": plan.ratio, "epochs": plan.epochs,
        "batch_size": plan.batch_size, "paths": plan.paths, "seed": plan.seed, "version": sgdlimits.__version__,
        "claims": claim_notes([SGD, HomogenizedSGD], ["SGD", "homogenized SGD"]),
    }  # fmt: skip
    return Concentration(xr.Dataset(variables, coordinates, attributes))

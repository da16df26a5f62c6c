"""The table of the paper on homogenized SGD redone: bounds, exact indices of both sides, and what fits a sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits import compare, diffusions, discrete
from sgdlimits.compare.tail_estimators import GoodnessOfFit, TailEstimate, goodness_of_fit, student
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.tail_index import TailIndex
from sgdlimits.problems import LeastSquares

ROWS, COLUMNS = 500, 10  # of the synthetic data
FEATURES = 8  # random features of a data set
ACCEPTED = 0.05  # p-value below which a law is rejected
SGD, LIMIT = "SGD", "homogenized SGD"  # labels of the two sides


@dataclass(frozen=True)
class TableRow:
    """One data set, batch size and ridge.

    Attributes
    ----------
    data : str
    batch_size : int
    ridge, step_size : float
    lower, upper : float
        Bounds on the index of homogenized SGD.
    homogenized, sgd : TailIndex
        Exact, of both sides.
    student : TailEstimate
        Student's t fitted to ends of paths of SGD; its degrees of freedom are the index.
    student_fit, stable_fit : GoodnessOfFit
        Whether Student's t and the symmetric stable law describe the ends of SGD.
    notes : tuple of str
        What to know of the sample.
    """

    data: str
    batch_size: int
    ridge: float
    step_size: float
    lower: float
    upper: float
    homogenized: TailIndex
    sgd: TailIndex
    student: TailEstimate
    student_fit: GoodnessOfFit
    stable_fit: GoodnessOfFit
    notes: tuple[str, ...] = ()

    @property
    def one_index(self) -> bool:
        """Whether both sides may have one index, within the errors."""
        return abs(self.sgd.index - self.homogenized.index) <= math.hypot(self.sgd.error, self.homogenized.error)

    @property
    def sgd_inside(self) -> bool:
        """Whether SGD's own index may lie inside the bounds."""
        return self.lower <= self.sgd.upper and self.sgd.lower <= self.upper

    @property
    def fitted_inside(self) -> bool:
        """Whether the fitted degrees of freedom lie inside the bounds."""
        return self.lower <= self.student.index <= self.upper

    @property
    def fitted_is_index(self) -> bool:
        """Whether the interval of the fitted degrees of freedom meets SGD's index."""
        return self.student.lower <= self.sgd.upper and self.sgd.lower <= self.student.upper

    @property
    def student_accepted(self) -> bool:
        """Whether Student's t is not rejected."""
        return self.student_fit.p_value > ACCEPTED

    @property
    def stable_accepted(self) -> bool:
        """Whether the symmetric stable law is not rejected."""
        return self.stable_fit.p_value > ACCEPTED

    @property
    def verdict(self) -> str:
        """In words."""
        where = "inside" if self.fitted_inside else "outside"
        what = "SGD's index" if self.fitted_is_index else "not SGD's index"
        laws = {"t": self.student_accepted, "symmetric stable": self.stable_accepted}
        fits = ", ".join(f"{law} {'not rejected' if accepted else 'rejected'}" for law, accepted in laws.items())
        return f"fitted nu {where} the bounds, {what}; {fits}"


def data_sets(seed: int, ridge: float, names: Sequence[str]) -> Iterator[tuple[str, LeastSquares]]:
    """Synthetic Gaussian rows, the named data sets, and random features of the first of these."""
    yield "Gaussian rows", LeastSquares.gaussian(ROWS, COLUMNS, 0.5, 1.0, seed, ridge)
    for name in names:
        yield name, LeastSquares.from_dataset(name, ridge)
    yield f"random features of {names[0]}", random_features(LeastSquares.from_dataset(names[0], ridge), seed)


def random_features(problem: LeastSquares, seed: int, count: int = FEATURES) -> LeastSquares:
    """Least squares on sqrt(2) cos(W x + b) of its rows, W ~ N(0, 1 / d), b uniform (Rahimi and Recht 2007)."""
    generator = np.random.Generator(np.random.Philox(child_seed(seed, "random features")))
    directions = generator.standard_normal((problem.dimension, count)) / math.sqrt(problem.dimension)
    phases = generator.uniform(0, 2 * math.pi, count)
    features = math.sqrt(2) * np.cos(problem.features @ directions + phases)
    return LeastSquares.from_arrays(features, problem.targets, problem.ridge)


def table_row(
    name: str, problem: LeastSquares, batch_size: int, fraction: float, paths: int, resamples: int,
    populations: dict[str, Any], seed: int = 0, confidence: float = 0.95, threads: int | None = None,
    progress: Any = None,
) -> TableRow:  # fmt: skip
    """One row, at a fraction of SGD's exact mean-square threshold.

    Parameters
    ----------
    name : str
    problem : LeastSquares
    batch_size : int
    fraction : float
        Of the largest step size with a finite stationary variance.
    paths : int
        Of each sample.
    resamples : int
        Of each test of a fitted law.
    populations : dict
        Sizes of the populations that SGD's index is found with: options of `SGD.tail_index`.
    seed, confidence, threads, progress
        As in `compare.tails`.
    """
    threshold = discrete.SGD(problem, 1e-3, batch_size).stability().mean_square_threshold
    sgd = discrete.SGD(problem, fraction * threshold, batch_size)
    limit = diffusions.HomogenizedSGD.of(sgd)
    own = child_seed(seed, name, "populations", batch_size) % 2**32
    index = sgd.tail_index(seed=own, threads=threads, **populations)
    found = compare.tails(
        sgd, paths=paths, estimators=("hill",), indices={SGD: index}, seed=seed, confidence=confidence,
        threads=threads, progress=progress,
    )  # fmt: skip
    ends = found.dataset["sample"].values[0]
    lower, upper = limit.tail_index_bounds()
    fits = [goodness_of_fit(ends, law, resamples, seed) for law in ("student", "symmetric stable")]
    notes = [text for row in found.table() if row["kind"] == "estimate" for text in row["notes"].split("; ")]
    unsettled = [text for text in notes if text.startswith("not settled")]
    beware = tuple(dict.fromkeys([*unsettled, *(text for fit in fits for text in fit.warnings)]))
    return TableRow(
        name, batch_size, problem.ridge, sgd.step_size, lower, upper, limit.tail_index(threads=threads), index,
        student(ends, confidence=confidence), fits[0], fits[1], beware,
    )  # fmt: skip

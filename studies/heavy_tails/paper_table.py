"""The table of the paper on homogenized SGD redone: bounds, exact indices of both sides, and what fits a sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from sgdlimits import compare, diffusions, discrete
from sgdlimits.compare.tail_estimators import goodness_of_fit, student
from sgdlimits.ensembles.random import child_seed
from sgdlimits.exact.errors import SgdlimitsError
from sgdlimits.problems import LeastSquares

from .table_row import SGD, Bounds, TableRow
from .verdicts import estimate_of, fit_of, index_of

ROWS, COLUMNS = 500, 10  # of the synthetic data
FEATURES = 8  # random features of a data set


def data_sets(seed: int, ridge: float, chosen: Mapping[str, LeastSquares]) -> dict[str, LeastSquares]:
    """Synthetic Gaussian rows, the chosen data sets, and random features of the first of these."""
    found = {"Gaussian rows": LeastSquares.gaussian(ROWS, COLUMNS, 0.5, 1.0, seed, ridge)} | dict(chosen)
    first, problem = next(iter(chosen.items()))
    found[f"random features of {first}"] = random_features(problem, seed)
    return found


def described(problems: Mapping[str, LeastSquares]) -> tuple[str, ...]:
    """What each data set is, in a sentence: its rows and columns, and how it was made ready."""
    return tuple(
        f"{name}: n = {problem.samples}, d = {problem.dimension}; "
        f"{problem.preparation.removeprefix(f'{name}: {problem.samples} rows; ')}."
        for name, problem in problems.items()
    )


def random_features(problem: LeastSquares, seed: int, count: int = FEATURES) -> LeastSquares:
    """Least squares on sqrt(2) cos(W x + b) of its rows, W ~ N(0, 1 / d), b uniform (Rahimi and Recht 2007)."""
    generator = np.random.Generator(np.random.Philox(child_seed(seed, "random features")))
    directions = generator.standard_normal((problem.dimension, count)) / math.sqrt(problem.dimension)
    phases = generator.uniform(0, 2 * math.pi, count)
    features = math.sqrt(2) * np.cos(problem.features @ directions + phases)
    made = LeastSquares.from_arrays(features, problem.targets, problem.ridge)
    width = f"{count} random features sqrt(2) cos(W x + b) of its {problem.dimension} columns"
    return replace(made, preparation=f"{width}, W ~ N(0, 1 / {problem.dimension}), b uniform; not standardised")


def table_row(
    name: str, problem: LeastSquares, batch_size: int, step_size: float, threshold: float, paths: int, resamples: int,
    populations: dict[str, Any], seed: int = 0, confidence: float = 0.95, threads: int | None = None,
    progress: Any = None,
) -> TableRow:  # fmt: skip
    """One row; what cannot be known of it is missing with a sentence, and the rest is there.

    Parameters
    ----------
    name : str
    problem : LeastSquares
    batch_size : int
    step_size, threshold : float
        The largest step size with a finite stationary variance is the threshold.
    paths : int
        Of each sample.
    resamples : int
        Of each test of a fitted law.
    populations : dict
        Sizes of the populations that SGD's index is found with: options of `SGD.tail_index`.
    seed, confidence, threads, progress
        As in `compare.tails`.
    """
    sgd = discrete.SGD(problem, step_size, batch_size)
    limit = diffusions.HomogenizedSGD.of(sgd)
    own = child_seed(seed, name, "populations", batch_size) % 2**32
    index = index_of(sgd, seed=own, threads=threads, **populations)
    other = index_of(limit, threads=threads)
    bounds = bounds_of(limit) if other.settles else Bounds()  # of no law they mean nothing
    notes = [f"the index of {SGD}: {index.why_not}" * bool(index.why_not)]
    notes += [f"the index of {limit.label}: {other.why_not}" * bool(other.why_not), bounds.why_not]
    known = "" if index.index is None else index.index.note
    notes += [f"SGD: {text}" for text in known.split("; ") if "stairs" in text]
    ends, steps = np.empty(0), 0
    if index.settles:
        found = compare.tails(
            sgd, paths=paths, estimators=("hill",), indices={SGD: index.index}, seed=seed, confidence=confidence,
            threads=threads, progress=progress,
        )  # fmt: skip
        ends, steps = found.dataset["sample"].values[0], int(found.dataset.attrs["steps"])
        said = [text for row in found.table() if row["kind"] == "estimate" for text in row["notes"].split("; ")]
        notes += [text for text in said if text.startswith("not settled")]
        notes += [row["notes"] for row in found.table() if row["method"] == "none" and row["kind"] == "estimate"]
    fitted = estimate_of(student, ends, confidence)
    if math.isnan(fitted.index):
        why = fitted.warnings[0] if index.settles else "there is no stationary law to sample"
        notes.append(f"no law is fitted: {why}")
    fits = [fit_of(goodness_of_fit, ends, law, resamples, seed) for law in ("student", "symmetric stable")]
    notes += [text for fit in fits for text in fit.warnings]
    return TableRow(
        name, problem.samples, problem.dimension, batch_size, problem.ridge, step_size, step_size / threshold, bounds,
        other, index, ends.size, steps, fitted, fits[0], fits[1], tuple(dict.fromkeys(filter(None, notes))),
    )  # fmt: skip


def threshold_of(problem: LeastSquares, batch_size: int) -> float:
    """SGD's exact mean-square threshold: the largest step size with a finite stationary variance."""
    return float(discrete.SGD(problem, 1e-3, batch_size).stability().mean_square_threshold)


def bounds_of(limit: diffusions.HomogenizedSGD) -> Bounds:
    """The bounds of homogenized SGD, or why there are none."""
    try:
        found = limit.tail_index_bounds()
    except SgdlimitsError as error:
        return Bounds(why_not=f"no bounds: {error}")
    return Bounds(found.lower, found.upper, found.lower_proved, found.upper_proved, found.regime)

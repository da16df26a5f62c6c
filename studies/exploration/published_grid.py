"""A published grid of SGD on Gaussian data, rerun with what is exact of each cell beside it.

"The heavy-tail phenomenon in SGD" (Gurbuzbalaban, Simsekli and Zhu 2021) estimates tail indices of SGD on d = 100
Gaussian features over step size and batch size; protocol as in the notebook that the authors published. Of the law of
the features the Lyapunov exponent and the index of every cell are known by quadrature.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits import discrete
from sgdlimits.compare import tail_estimators
from sgdlimits.discrete.moment_exponents import moment_exponent
from sgdlimits.ensembles import Noise, WindowMean
from sgdlimits.ensembles.engine import run
from sgdlimits.ensembles.progress import Progress
from sgdlimits.exact.errors import (
    InvalidInput, NoStationaryLaw, OutOfReach, OverflowedPaths, finite_array, non_negative, positive,
    whole_number,
)  # fmt: skip
from sgdlimits.problems import LeastSquares, StreamingLeastSquares

if TYPE_CHECKING:
    import xarray

STEP_SIZES = tuple(round(0.02 * k, 2) for k in range(1, 11))
BATCH_SIZES = (1, 2, 3, 4, 5, 10, 20)
RUNS, FULL_RUNS = 200, 1600
BLOCKS = (2, 5, 10, 20, 50, 100, 40)  # of the published estimate, whose median counts
SPREAD, START = 3.0, 5.0  # standard deviations of the truth, and of starts
DATA = 98  # purpose of the random numbers of the data
ROUNDED = 1e-11  # of positions, differences of which are rounding
FAR = 46.0  # an index over it is counted apart: no sample tells such a tail from a light one
ESTIMATORS = (
    "hill", "corrected_hill", "moment", "pickands", "power_law", "stable_quantiles", "stable_blocks", "student",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class PublishedGrid:
    """What `published_grid` found.

    Attributes
    ----------
    cells : xarray.Dataset
        Over `batch_size` and `step_size`: `stationary` (1 or 0), `lyapunov_exponent` per step with its error, `index`
        (exact; nan without a law, inf where it is above what is looked for, from `index_above` on), `index_error`;
        `published`, the estimate of the published protocol; an estimate `NAME` and its interval `NAME_lower`,
        `NAME_upper` for each estimator of the package, of the first coordinate (nan where it refuses, `NAME_notes` says
        why); `log_distance`, mean log of the distance to the least-squares solution
        (-inf where only rounding is left of it); `seconds` of the processor.
    runs, steps : int
    dimension : int
    """

    cells: xarray.Dataset
    runs: int
    steps: int
    dimension: int

    @property
    def counts(self) -> dict[str, int]:
        """Cells, those without a stationary law, and those with an index over 46, between 2 and 46, and up to 2."""
        law, index = self.cells["stationary"].values == 1, self.cells["index"].values
        return {
            "cells": law.size, "no stationary law": int((~law).sum()), f"index over {FAR:g}": int((index > FAR).sum()),
            f"index from 2 to {FAR:g}": int(((index > 2) & (index <= FAR)).sum()),
            "index up to 2": int((index <= 2).sum()),
        }  # fmt: skip

    @property
    def finding(self) -> str:
        """The result in a few sentences, computed from the cells."""
        counts, law = self.counts, self.cells["stationary"].values == 1
        said = (
            f"{counts['no stationary law']} of {counts['cells']} cells have no stationary law, "
            f"{counts[f'index over {FAR:g}']} an index over {FAR:g}, {counts[f'index from 2 to {FAR:g}']} one from 2 "
            f"to {FAR:g}, and {counts['index up to 2']} one up to 2. "
        )
        if not self.runs:
            return said + "Nothing was simulated."
        seen, heavy = self.cells["published"].values, self.cells["index"].values <= 2
        below = seen < self.below
        if not np.isfinite(seen).any():
            return said + "In no cell did all runs stay in the range of numbers, and off the solution."
        return said + (
            f"The published estimate ({self.runs} runs of {self.steps} steps) is at most {np.nanmax(seen):.3g}; it is "
            f"below {self.below:.3g}, two of its standard errors under 2, in {int(below.sum())} cells, of which "
            f"{int((below & ~law).sum())} have no "
            f"stationary law and {int((below & heavy).sum())} an index up to 2."
        )

    @property
    def below(self) -> float:
        """What counts as below 2: two standard errors of the estimate, as its cells of index over 46 show them."""
        light = self.cells["published"].values[self.cells["index"].values > FAR]
        spread = float(np.sqrt(np.mean((light - 2) ** 2))) if light.size > 2 and np.isfinite(light).all() else 0.05
        return 2 - 2 * spread

    def __repr__(self) -> str:
        return f"PublishedGrid(d={self.dimension}: {self.finding})"


def published_grid(
    step_sizes: Sequence[float] = STEP_SIZES,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    *,
    dimension: int = 100,
    variance: float = 1.0,
    noise: float = 3.0,
    samples: int = 10_000,
    runs: int | None = None,
    steps: int = 1000,
    full: bool = False,
    store: str | os.PathLike[str] | None = None,
    workers: int | None = None,
    seed: int = 0,
    progress: bool | Progress | None = None,
) -> PublishedGrid:
    """The synthetic experiment of "The heavy-tail phenomenon in SGD", or another grid, beside what is exact of it.

    Each run starts at 5 N(0, 1), makes `steps` - 1 steps on batches without replacement of fixed Gaussian data, and
    gives the average of its last `steps` / 2 positions less the least-squares solution. The published estimate is the
    median over blocks m of log m / (mean log |sums of m runs| - mean log |runs|), Mohammadi's in norms: of every law
    with a variance it tends to 2 as blocks grow, so that it never shows an index above 2. Exact numbers are of fresh
    Gaussian features, the law that the data are drawn from.

    Parameters
    ----------
    step_sizes, batch_sizes : sequences
        The published grid by default: 0.02 to 0.2 in tenths, and 1, 2, 3, 4, 5, 10, 20.
    dimension : int
    variance : float
        Of a feature.
    noise : float
        Standard deviation of the labels.
    samples : int
    runs : int, optional
        200; 0 leaves the simulation out.
    steps : int
    full : bool
        The published number of runs, 1600: some eight times as long.
    store, workers, progress
        As in `sweep`.
    seed : int

    Returns
    -------
    PublishedGrid

    Raises
    ------
    InvalidInput
        If an argument cannot be used.
    """
    from sgdlimits.studies import sweep

    sizes = finite_array("step_sizes", step_sizes, ndim=1)
    if not sizes.size or sizes.min() <= 0 or not len(batch_sizes):
        raise InvalidInput("step_sizes must be above zero and batch_sizes hold at least one number")
    dimension, samples = whole_number("dimension", dimension, 1), whole_number("samples", samples, 2)
    runs = whole_number("runs", (FULL_RUNS if full else RUNS) if runs is None else runs, 0)
    if 0 < runs < 100:
        raise InvalidInput(f"runs is {runs}: estimators need at least 100; 0 leaves the simulation out")
    steps = whole_number("steps", steps, 4)
    batches = [whole_number("batch_sizes", batch, 1, samples if runs else None) for batch in batch_sizes]
    if runs and samples <= dimension:
        raise InvalidInput(
            f"samples is {samples}, and of {dimension} features that leaves no one least-squares solution, and "
            "directions in which runs stay where they start: give more samples than features, or runs=0"
        )
    cell = partial(
        _cell, dimension, positive("variance", variance), non_negative("noise", noise), samples, runs, steps, seed
    )
    cells = sweep(
        cell, {"batch_size": batches, "step_size": sizes.tolist()}, store, workers=workers, progress=progress
    )
    return PublishedGrid(cells, runs, steps, dimension)


def published_estimate(vectors: np.ndarray, blocks: Sequence[int] = BLOCKS) -> float:
    """Median over blocks of Mohammadi's estimate in norms, of vectors (n, d); as in the published notebook."""
    found = []
    logs = np.log(np.linalg.norm(vectors, axis=1)).mean()
    for block in blocks:
        count = len(vectors) // block
        if count < 2:
            continue
        sums = vectors[: count * block].reshape(count, block, -1).sum(axis=1)
        found.append(math.log(block) / (np.log(np.linalg.norm(sums, axis=1)).mean() - logs))
    return float(np.median(found))


def _cell(
    dimension: int, variance: float, noise: float, samples: int, runs: int, steps: int, seed: int, batch_size: int,
    step_size: float,
) -> dict[str, float | str]:  # fmt: skip
    start = time.process_time()
    stream = StreamingLeastSquares(np.full(dimension, variance), noise, np.zeros(dimension))
    found = _exact(discrete.SGD(stream, float(step_size), int(batch_size)))
    if runs:
        problem = _data(dimension, variance, noise, samples, seed)
        sgd = discrete.SGD(problem, float(step_size), int(batch_size), sampling="without_replacement")
        law = np.zeros(dimension), START**2 * np.eye(dimension)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OverflowedPaths)
            # Not by `simulate`, which seeks the threshold of the data for seconds: what is exact stands in the cell.
            ensemble = run(
                sgd.simulator(), law, steps=steps - 1, paths=runs, record=[steps - 1], seed=seed,
                observables={"average": WindowMean("state", steps // 2)},
            )  # fmt: skip
        ends = ensemble.values["average"][:, -1]
        found |= _estimates(ends - problem.minimiser, START + float(np.abs(problem.minimiser).max()))
    return found | {"seconds": time.process_time() - start}


def _exact(sgd: discrete.SGD) -> dict[str, float | str]:
    """Whether there is a law, the Lyapunov exponent, and the index."""
    found: dict[str, float | str] = {"index": math.nan, "index_error": math.nan, "index_above": math.nan}
    exponent, error = moment_exponent(sgd, 0.0)[:2]
    try:
        index = sgd.tail_index()
        found |= {"index": index.index, "index_error": index.error}
    except NoStationaryLaw:
        pass
    except OutOfReach as beyond:
        found |= {"index": math.inf, "index_above": beyond.above}
    return found | {"stationary": float(exponent < 0), "lyapunov_exponent": exponent, "lyapunov_error": error}


@lru_cache(maxsize=2)
def _data(dimension: int, variance: float, noise: float, samples: int, seed: int) -> LeastSquares:
    """Gaussian rows and labels about a truth N(0, 9)."""
    numbers = Noise(seed, np.arange(samples), "float64").normals(DATA, 0, dimension + 1)
    truth = SPREAD * Noise(seed, np.array([samples]), "float64").normals(DATA, 0, dimension)[0]
    features = math.sqrt(variance) * numbers[:, :dimension]
    return LeastSquares.from_arrays(features, features @ truth + noise * numbers[:, dimension])


def _estimates(ends: np.ndarray, size: float) -> dict[str, float | str]:
    """What each estimator would have reported of the runs (n, d), of differences of numbers of some size."""
    found: dict[str, float | str] = {"published": math.nan, "log_distance": math.inf}
    finite, unseen = bool(np.isfinite(ends).all()), "paths left the range of numbers"
    if finite and np.abs(ends).max() <= ROUNDED * size:
        finite, unseen = False, "paths have come to the solution, and what is left of them is rounding"
        found["log_distance"] = -math.inf
    if finite:
        # Squares of what has run away may not be numbers; a scale does not matter to any estimate.
        scale = float(np.abs(ends).max())
        ends = ends / scale
        norms = np.linalg.norm(ends, axis=1)
        found["log_distance"] = float(np.log(norms).mean()) + math.log(scale)
        if (norms > 0).all():
            found["published"] = published_estimate(ends)
    for name in ESTIMATORS:
        value, lower, upper, note = math.nan, math.nan, math.nan, unseen
        if finite:
            try:
                own = {"block": max(2, min(8, len(ends) // 40))} if name == "stable_blocks" else {}
                seen = getattr(tail_estimators, name)(ends[:, 0], independent=True, **own)
                value, lower, upper, note = seen.index, seen.lower, seen.upper, "; ".join(seen.warnings)
            except InvalidInput as error:
                note = str(error)
        found |= {name: value, f"{name}_lower": lower, f"{name}_upper": upper, f"{name}_notes": note}
    return found

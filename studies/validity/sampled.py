"""Ends of validity from paths beside the exact ones: where both are known, does the interval cover?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import OutOfReach

if TYPE_CHECKING:
    from sgdlimits.compare import Validity

PATHS, MOST_PATHS = 1000, 64_000  # of SGD to begin with, and at most
FINER = 8  # times as many where the sampled error is too uncertain
PROCESSES = ("gradient flow", "Ornstein-Uhlenbeck", "homogenized SGD")
SCANNED = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)  # step sizes over the exact end
DEAREST = 3e9  # multiplications: steps times paths times what a step costs
SCALE = "no end is sampled where errors are relative to the part that noise makes, which needs exact moments"


@dataclass(frozen=True)
class SampledEnd:
    """One end, exact and sampled; `missing` says why there is no sampled one, else it is empty."""

    process: str
    batch_size: int
    exact: float
    sampled: float = np.nan
    low: float = np.nan
    high: float = np.nan
    paths: int = 0
    missing: str = ""

    @property
    def verdict(self) -> str:
        """Whether the interval covers the exact end."""
        return self.missing or ("covers" if self.low <= self.exact <= self.high else "does not cover")


def sampled_ends(problem: Any, found: Validity, seed: int, threads: int | None) -> list[SampledEnd]:
    """An end of each of some limits, at the batch size at which paths to its horizon cost least.

    Parameters
    ----------
    found : compare.Validity
        The exact map of the problem over batch sizes, relative to the excess.
    """
    if found.dataset.attrs["scale"] == "noise":
        return []
    ends = []
    for process in PROCESSES:
        one = found.dataset.sel(process=process)
        costs = one["steps"].values * one["batch_size"].values.astype(float)
        known = (one["status"].values == "") & (one["others"].values == "[]")
        if known.any():
            place = int(np.where(known, costs, np.inf).argmin())
            end = SampledEnd(process, int(one["batch_size"][place]), float(one["boundary"][place]))
            ends.append(_sampled(problem, end, costs[place] * problem.dimension, found.dataset.attrs, seed, threads))
    return ends


def _sampled(
    problem: Any, end: SampledEnd, cost: float, told: dict[Any, Any], seed: int, threads: int | None
) -> SampledEnd:
    from sgdlimits import compare, diffusions, discrete

    every: tuple[Any, ...] = (diffusions.GradientFlow, diffusions.OrnsteinUhlenbeck, diffusions.HomogenizedSGD)
    limit = every[PROCESSES.index(end.process)]

    def make(step_size: float) -> tuple[Any, Any]:
        sgd = discrete.SGD(problem, step_size, end.batch_size)
        return sgd, limit.of(sgd)

    options = {name: told[name] for name in ("within", "scale", "horizon", "unit")}
    paths, words = PATHS, ""
    while paths <= MOST_PATHS and paths * cost <= DEAREST:
        try:
            (row,) = compare.validity(
                make, values=end.exact * np.array(SCANNED), paths=paths, seed=seed, threads=threads, **options
            ).table()
        except OutOfReach as error:
            words, paths = str(error), FINER * paths
            continue
        return SampledEnd(
            end.process, end.batch_size, end.exact, row["boundary"], row["low"], row["high"], paths
        )  # fmt: skip
    return SampledEnd(end.process, end.batch_size, end.exact, missing=words or "paths to its horizon take minutes")

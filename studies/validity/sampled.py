"""Ends of validity from paths beside the exact ones: where both are known, does the interval cover?"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.text_table import NOTHING, TextTable, number
from sgdlimits.exact.errors import OutOfReach

if TYPE_CHECKING:
    from sgdlimits.compare import Validity

PATHS, MOST_PATHS = 1000, 64_000  # of SGD to begin with, and at most
FINER = 8  # times as many where the sampled error is too uncertain
PROCESSES = ("gradient flow", "Ornstein-Uhlenbeck", "homogenized SGD")
SCANNED = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0)  # step sizes over the exact end
DEAREST = 2.5e9  # multiplications: steps times paths times what a step costs
FIELDS = ("process", "batch_size", "exact", "sampled", "low", "high", "paths", "verdict")


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
        The exact map of the problem over batch sizes; relative to the part that noise makes, which needs exact
        moments, nothing is sampled.
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
        if row["status"]:
            words, paths = f"from {paths} paths its interval reaches past the scan", FINER * paths
            continue
        return SampledEnd(
            end.process, end.batch_size, end.exact, row["boundary"], row["low"], row["high"], paths
        )  # fmt: skip
    return SampledEnd(end.process, end.batch_size, end.exact, missing=words or "paths to its horizon take minutes")


def ends_table(ends: Sequence[SampledEnd]) -> TextTable:
    """A row an end."""
    heads = ("exact", "sampled", "95 %", "paths", "the interval", "limit, batch size")
    rows = tuple(
        (number(end.exact), NOTHING, NOTHING, NOTHING, NOTHING, _named(end))
        if end.missing
        else (
            number(end.exact), number(end.sampled, 3), f"{number(end.low, 3)} to {number(end.high, 3)}",
            str(end.paths), end.verdict, _named(end),
        )
        for end in ends
    )  # fmt: skip
    return TextTable(heads, (("", rows),), "Ends by sampling SGD, where the exact ones are known")


def ends_notes(ends: Sequence[SampledEnd]) -> list[str]:
    """How they are sampled, and why one is not."""
    told = [
        "Sampled on step sizes from 0.35 to 2 of the exact end, at the batch size at which paths to the horizon cost "
        f"least; from {PATHS} paths on, {FINER} times as many where an error is too uncertain beside the allowance. At "
        "most one interval of twenty is expected not to cover."
    ]
    return told + [f"{_named(end)}: {end.missing}." for end in ends if end.missing]


def ends_csv(ends: Sequence[SampledEnd], path: Path) -> Path:
    """Write a row an end."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows([[getattr(end, name) for name in FIELDS] for end in ends])
    return path


def _named(end: SampledEnd) -> str:
    return f"{end.process}, {end.batch_size}"

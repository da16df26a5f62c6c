"""Standard deviations of the risk, exact and over the paths: whether Monte Carlo errors of a mean risk can be believed.

At every finite step the exact one is finite, past the tail index too, where it grows and few paths show it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput
from sgdlimits.problems.risk_deviations import FURTHER, deviations

from ..capabilities import has_moments, is_local
from ..text_table import number
from .gathered import Gathered
from .means import ENOUGH
from .sides import Run, Sample, Side

if TYPE_CHECKING:
    import xarray

LONGEST = 10 / 3600  # hours that a report spends on one side
TOO_SMALL = 0.8  # part of the exact deviation from which on errors over the paths are too small to use
SURE = 5.0  # standard errors by which they fall short: few paths show too little by chance, and tell it badly


@dataclass(frozen=True, eq=False)
class Deviations:
    """Over (process, step), nan where unknown; the exact ones are of the processes, not of a scheme.

    Attributes
    ----------
    exact : array
        Standard deviation of the risk.
    sampled, error : arrays
        That of the paths, and its standard error.
    """

    exact: np.ndarray
    sampled: np.ndarray
    error: np.ndarray

    def variables(self) -> dict[str, Any]:
        """Name -> (axes, array)."""
        named = {"deviation": self.exact, "deviation_sampled": self.sampled, "deviation_error": self.error}
        return {name: (("process", "step"), values) for name, values in named.items()}



def short(exact: Any, sampled: Any, error: Any) -> Any:
    """Where the paths show too little of the standard deviation; arrays of one shape."""
    with np.errstate(invalid="ignore"):
        return (sampled < TOO_SMALL * exact) & (exact - sampled > SURE * error)


def deviations_of(found: Gathered) -> Deviations:
    """The standard deviations of every side."""
    shape = (len(found.sides), len(found.run.record))
    exact, sampled, error = (np.full(shape, np.nan) for _ in range(3))
    for index, (side, sample) in enumerate(zip(found.sides, found.samples)):
        exact[index] = exact_deviation(side, found.run)
        sampled[index], error[index] = deviation_of_paths(sample)
    return Deviations(exact, sampled, error)


def exact_deviation(side: Side, run: Run) -> np.ndarray:
    """Standard deviation (steps,) of the risk; nan where it does not close or would take long."""
    unknown = np.full(len(run.record), np.nan)
    if not has_moments(side.process) or side.scheme or is_local(side.process):
        return unknown
    name = FURTHER[1]
    try:
        return deviations(side.process.second_moments, run.x0, run.record, (name,), None, LONGEST)[name]
    except InvalidInput:
        return unknown


def deviation_of_paths(sample: Sample | None) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviation (steps,) of the risk over paths, with its standard error; nan without enough of them."""
    if sample is None or "risk" not in sample.values or len(sample.values["risk"]) < ENOUGH:
        return np.array(np.nan), np.array(np.nan)
    risks = sample.values["risk"]
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        squares = np.square(risks - risks.mean(axis=0))
        variance = squares.sum(axis=0) / max(1, len(risks) - 1)
        error = squares.std(axis=0) / np.sqrt(len(risks))
        deviation = np.sqrt(variance)
        return deviation, np.where(variance > 0, error / (2 * deviation), 0.0)


def spread(dataset: xarray.Dataset) -> list[str]:
    """Standard errors of a mean risk over the paths, as parts of the exact ones; marked where they are too small."""
    if "deviation" not in dataset:
        return []
    loud, quiet = [], []
    for process in dataset["process"].values.tolist():
        ratios = spread_ratios(dataset, process)
        if not ratios.size:
            continue
        least, most = ratios.min("step"), ratios.max("step")
        if bool(ratios["short"].any()):
            step = int(ratios["step"][int(ratios.argmin("step"))])
            loud.append(
                f"SPREAD: at step {step} the paths of {process} show {number(100 * float(least), 2)} % of the exact "
                "standard deviation of the risk: rare paths carry the rest, and Monte Carlo errors of a mean risk are "
                "that much too small."
            )
        else:
            quiet.append(f"{number(float(least), 3)} to {number(float(most), 3)} ({process})")
    said = f"Standard errors of the risk over the paths, as parts of the exact ones: {'; '.join(quiet)}."
    return loud + ([said] if quiet else [])


def spread_ratios(dataset: xarray.Dataset, process: str) -> xarray.DataArray:
    """Standard deviation of the risk over the paths in parts of the exact one (steps,), where there are both.

    Its coordinate `short` says where it is too small.
    """
    here = dataset.sel(process=process)
    exact, sampled = here["deviation"], here["deviation_sampled"]
    kept = (exact > 0) & np.isfinite(exact) & np.isfinite(sampled)
    ratios = (sampled[kept] / exact[kept]).astype(float)
    return ratios.assign_coords(short=("step", short(exact, sampled, here["deviation_error"]).values[kept.values]))

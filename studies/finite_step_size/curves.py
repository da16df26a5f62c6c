"""One panel of the study: what theory says along an axis, exactly and as a limit, and what paths do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray

    from sgdlimits.discrete import SGD

EXACT = "exact"
BETWEEN = 4  # places of a line for one of paths


@dataclass(frozen=True)
class Scale:
    """How much of everything is done.

    Attributes
    ----------
    points : int
        Of a curve, at which paths are simulated.
    paths : int
        Of a simulated point.
    batch_size : int
        On data.
    seed : int
    quick : bool
    threads : int, optional
    longest : float
        Steps to stationarity beyond which paths are left out.
    """

    points: int
    paths: int
    batch_size: int
    seed: int
    quick: bool
    threads: int | None = None
    longest: float = 1e6

    def grid(self, first: float, last: float) -> np.ndarray:
        """Places from `first` to `last`, evenly spread: of lines, and every fourth of paths."""
        return np.linspace(first, last, BETWEEN * (self.points - 1) + 1)

    def seen(self, made: Sequence[Any], look: Callable[[Any], tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
        """Values and errors (n,) of what `look` sees of every fourth thing made for the places of `grid`; else nan."""
        found = np.full((len(made), 2), np.nan)
        for index in range(0, len(made), BETWEEN):
            found[index] = look(made[index])
        return found[:, 0], found[:, 1]


@dataclass(frozen=True, eq=False)
class Curve:
    """Values along an axis.

    Attributes
    ----------
    name : str
        For files and tables.
    title : str
        What is shown, in a line.
    x_label, y_label : str
    x : (n,) array
    lines : mapping from labels to (n,) arrays
        "exact" is what the recurrence does, without sampling, where that is known; others are limits and closures. inf:
        there is no such law; nan: not known.
    simulated, error : (n,) arrays, or None
        Mean over paths, with its standard error; nan where none is meaningful.
    against : str
        The line that paths are judged by.
    log : str
        Which axes are logarithmic: "", "x", "y" or "xy".
    note : str
        What must be known to read it.
    marks : mapping from names to places on the x axis
    spreads : mapping from labels of lines to (n,) arrays
        Standard errors of lines that are themselves simulated.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    x: np.ndarray
    lines: Mapping[str, np.ndarray]
    simulated: np.ndarray | None = None
    error: np.ndarray | None = None
    against: str = EXACT
    log: str = "y"
    note: str = ""
    marks: Mapping[str, float] = field(default_factory=dict)
    spreads: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def deviations(self) -> np.ndarray:
        """(paths - line) / standard error (n,); nan where one of them is missing."""
        if self.simulated is None or self.error is None or self.against not in self.lines:
            return np.full(self.x.size, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            found = (self.simulated - self.lines[self.against]) / self.error
        return np.where(np.isfinite(found), found, np.nan)

    @property
    def worst(self) -> float:
        """Largest deviation in standard errors; nan where nothing is compared."""
        found = np.abs(self.deviations)
        return float(np.nanmax(found)) if np.isfinite(found).any() else np.nan

    def off(self, label: str) -> float:
        """Largest relative distance of a line from the one that paths are judged by, where both are finite."""
        if self.against not in self.lines:
            return np.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.abs(np.asarray(self.lines[label]) / np.asarray(self.lines[self.against]) - 1)
        return float(np.max(found, where=np.isfinite(found), initial=0.0))

    def dataset(self) -> xarray.Dataset:
        """`lines(line, x)`, `simulated(x)`, `error(x)`."""
        import xarray

        nothing = np.full(self.x.size, np.nan)
        return xarray.Dataset(
            {
                "lines": (("line", "x"), np.array([np.asarray(line, float) for line in self.lines.values()])),
                "simulated": ("x", nothing if self.simulated is None else self.simulated),
                "error": ("x", nothing if self.error is None else self.error),
            },
            {"line": list(self.lines), "x": self.x},
            {"title": self.title, "x_label": self.x_label, "y_label": self.y_label, "note": self.note},
        )


def variance_of_paths(positions: np.ndarray) -> tuple[float, float]:
    """Trace of the covariance of positions (P, d) over paths, and its standard error."""
    centred = positions - positions.mean(axis=0)
    squares = np.square(centred).sum(axis=1)
    count = len(squares)
    return float(squares.sum() / (count - 1)), float(squares.std(ddof=1) / np.sqrt(count))


def end_of_paths(sgd: SGD, x0: Any, steps: int, paths: int, seed: int, threads: int | None) -> np.ndarray:
    """Positions (P, d) after so many steps."""
    import warnings

    from sgdlimits.exact.errors import OverflowedPaths, StabilityWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)
        warnings.simplefilter("ignore", OverflowedPaths)
        found = sgd.simulate(x0, steps, paths, ("state",), [steps], seed, threads=threads)
    return found.state.values[:, -1]


def trace_or_inf(law: Any) -> float:
    """Trace of the covariance of what `law` gives, or inf where there is none."""
    from sgdlimits.exact.errors import Unstable

    try:
        return float(np.trace(law().covariance))
    except Unstable:
        return np.inf

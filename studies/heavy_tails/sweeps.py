"""The index against each parameter, where both sides are exact: streams in the plane, and isotropic ones."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits import compare, diffusions, discrete
from sgdlimits.compare.style import GREY, SMALL, direct_labels, dress, panels, styles
from sgdlimits.exact.errors import StabilityWarning
from sgdlimits.problems import StreamingLeastSquares

from .paper_table import LIMIT, SGD

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOISE = 0.3  # of the labels; no index depends on it
STEP, ISOTROPIC_STEP = 0.5, 0.15
PLANE = (1.0, 0.36)
HIGHEST = 100.0  # index that a panel shows at most
BAND = "\n(band: bounds)"
SIDES = {"sgd": SGD, "homogenized": LIMIT}


@dataclass(frozen=True)
class Axis:
    """One parameter that is varied alone.

    Attributes
    ----------
    name, label : str
        Of the swept argument, and for a picture.
    setting : str
        What is held.
    values : tuple of numbers
    settings : function of a value
        Eigenvalues, step size, batch size, ridge.
    """

    name: str
    label: str
    setting: str
    values: tuple[float, ...]
    settings: Callable[[Any], tuple[tuple[float, ...], float, int, float]]


def axes() -> dict[str, Axis]:
    """Every parameter, by name."""
    plane = f"eigenvalues {PLANE[0]:g} and {PLANE[1]:g}"
    found = (
        Axis(
            "step_size", "step size", f"{plane}, batch size 1, no ridge", (0.2, 0.3, 0.4, 0.5, 0.6, 0.7),
            lambda value: (PLANE, value, 1, 0.0),
        ),
        Axis(
            "batch_size", "batch size", f"{plane}, step size {STEP:g}, no ridge", (1, 2, 3, 4, 6),
            lambda value: (PLANE, STEP, int(value), 0.0),
        ),
        Axis(
            "ridge", "ridge", f"{plane}, step size {STEP:g}, batch size 1", (0.0, 0.2, 0.5, 1.0, 1.5, 2.0),
            lambda value: (PLANE, STEP, 1, value),
        ),
        Axis(
            "spread", "spread s of eigenvalues 1 + s, 1 − s", "step size 0.4, batch size 1, no ridge",
            (0.0, 0.2, 0.4, 0.6, 0.8, 0.9), lambda value: ((1 + value, 1 - value), 0.4, 1, 0.0),
        ),
        Axis(
            "dimension", "dimension", f"eigenvalues 1, step size {ISOTROPIC_STEP:g}, batch size 1, no ridge",
            (1, 2, 3, 4, 6, 8), lambda value: ((1.0,) * int(value), ISOTROPIC_STEP, 1, 0.0),
        ),
    )  # fmt: skip
    return {axis.name: axis for axis in found}


def sweep_axis(axis: Axis, paths: int, seed: int, values: tuple[float, ...] | None = None) -> xarray.Dataset:
    """Indices of both sides, bounds and estimates along one parameter.

    Returns
    -------
    xarray.Dataset
        Over the parameter: sgd, homogenized (exact; nan without a stationary law), lower and upper bounds of
        homogenized SGD, and estimate, estimate_lower and estimate_upper: corrected_hill's of SGD from `paths` ends.
    """
    from sgdlimits.studies import sweep

    chosen = axis.values if values is None else values
    return sweep(partial(_cell, axis.name, paths), {"value": list(chosen)}, seed=seed).rename(value=axis.name)


def _cell(name: str, paths: int, value: Any, seed: int) -> dict[str, float]:
    eigenvalues, step_size, batch_size, ridge = axes()[name].settings(value)
    problem = StreamingLeastSquares(np.array(eigenvalues), NOISE, np.ones(len(eigenvalues)), ridge)
    sgd = discrete.SGD(problem, step_size, batch_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # infinite variance is looked for
        found = compare.tails(sgd, paths=paths, estimators=("corrected_hill",), seed=seed)
        beside = compare.tails(diffusions.HomogenizedSGD.of(sgd), sample=False)  # its sample is dear, its index exact
    rows = {row["kind"]: row for row in found.table()}
    others = {row["kind"]: row for row in beside.table()}
    estimate: Mapping[str, Any] = rows.get("estimate", {})
    return {
        "sgd": rows["exact"]["index"], "homogenized": others["exact"]["index"],
        "lower": others["bounds"]["lower"], "upper": others["bounds"]["upper"],
        "estimate": estimate.get("index", math.nan), "estimate_lower": estimate.get("lower", math.nan),
        "estimate_upper": estimate.get("upper", math.nan),
    }  # fmt: skip


def plot(found: Mapping[str, xarray.Dataset]) -> Figure:
    """A panel each parameter: lines exact, band bounds of homogenized SGD, markers estimates of SGD's."""
    known = axes()
    figure, places = panels(len(found), 2.5 * len(found))
    for place, (name, data) in zip(places, found.items()):
        _panel(place, data, known[name])
    return figure


def _panel(ax: Axes, data: xarray.Dataset, axis: Axis) -> None:
    looks, ends = styles(list(SIDES.values())), []
    x = data[axis.name].values.astype(float)
    top = min(HIGHEST, 1.15 * float(np.nanmax([data[short].values for short in SIDES])))
    colour = looks[LIMIT]["color"]
    ax.fill_between(x, data["lower"], data["upper"].clip(max=10 * top), color=colour, alpha=0.15, linewidth=0)
    for short, side in SIDES.items():
        look, exact = looks[side], data[short].values
        ax.plot(x, exact, color=look["color"], linestyle=look["linestyle"], linewidth=1.3)
        last = np.flatnonzero(np.isfinite(exact))
        if last.size:
            ends.append((x[last[-1]], float(exact[last[-1]]), side + BAND * (side == LIMIT), look["color"]))
    estimate, low, high = (data[f"estimate{end}"].values for end in ("", "_lower", "_upper"))
    shown = np.isfinite(estimate)
    bars = np.array([estimate - low, np.minimum(high, 10 * top) - estimate])[:, shown]
    look = looks[SGD]
    ax.errorbar(
        x[shown], estimate[shown], bars, fmt=look["marker"], color=look["color"], markersize=3.5, linewidth=0.8
    )
    ax.axhline(2, color=GREY, linewidth=0.7, linestyle=":")
    ax.set_ylim(0, top)
    dress(ax, "tail index", axis.label)
    ax.set_title(axis.setting, fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)

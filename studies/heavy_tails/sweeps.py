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
from sgdlimits.compare.style import GREY, SMALL, beyond, direct_labels, dress, panels, styles
from sgdlimits.exact.errors import StabilityWarning
from sgdlimits.problems import StreamingLeastSquares
from sgdlimits.studies.summaries import joined

from .paper_table import bounds_of
from .table_row import LIMIT, SGD

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOISE = 0.3  # of the labels; no index depends on it
STEP, ISOTROPIC_STEP = 0.5, 0.15
PLANE = (1.0, 0.36)
HIGHEST = 100.0  # index that a panel shows at most
APART = 0.006  # of the width of a panel, by which the markers of the two sides are moved apart
BAND = "\n(band: bounds)"
SIDES = {"sgd": SGD, "homogenized": LIMIT}
NUMBERS = {  # column -> long name
    f"{short}{ending}": words.format(side)
    for short, side in SIDES.items()
    for ending, words in (
        ("", "exact index of {}"), ("_error", "numerical error of the exact index of {}"),
        ("_estimate", "corrected Hill estimate of the index of {}"), ("_estimate_lower", "lower end of its interval"),
        ("_estimate_upper", "upper end of its interval"),
    )
} | {
    f"{end}{ending}": words.format(end)
    for end in ("lower", "upper")
    for ending, words in (
        ("", "{} bound on the index of homogenized SGD"), ("_proved", "1 where the {} bound is proved"),
    )
}  # fmt: skip
WARNINGS = {f"{short}_warning": f"what to know of the numbers of {side}" for short, side in SIDES.items()}


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


def sweep_axis(
    axis: Axis, paths: int, seed: int, values: tuple[float, ...] | None = None, confidence: float = 0.95,
    threads: int | None = None,
) -> xarray.Dataset:  # fmt: skip
    """Indices of both sides, bounds and estimates along one parameter.

    Parameters
    ----------
    axis : Axis
    paths : int
        Of each side, one end each.
    seed : int
    values : tuple of numbers, optional
        Instead of all of the axis.
    confidence : float
        Of the estimates' intervals.
    threads : int, optional

    Returns
    -------
    xarray.Dataset
        Over the parameter: `NUMBERS` (exact indices are nan without a stationary law), and `WARNINGS`, which say why a
        number is missing or not to be trusted.
    """
    from sgdlimits.studies import sweep

    cell = partial(_cell, axis.name, paths, confidence, threads)
    chosen = axis.values if values is None else values
    return sweep(cell, {"value": list(chosen)}, seed=seed).rename(value=axis.name)


def _cell(
    name: str, paths: int, confidence: float, threads: int | None, value: Any, seed: int
) -> dict[str, float | str]:
    eigenvalues, step_size, batch_size, ridge = axes()[name].settings(value)
    problem = StreamingLeastSquares(np.array(eigenvalues), NOISE, np.ones(len(eigenvalues)), ridge)
    sgd = discrete.SGD(problem, step_size, batch_size)
    limit = diffusions.HomogenizedSGD.of(sgd)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # infinite variance is looked for
        tails = compare.tails(
            sgd, limit, paths=paths, estimators=("corrected_hill",), seed=seed,
            confidence=confidence, threads=threads,
        )  # fmt: skip
    rows = {(row["process"], row["kind"]): row for row in tails.table()}
    bounds = bounds_of(limit)
    found: dict[str, float | str] = {"lower": bounds.lower, "upper": bounds.upper}
    found |= {"lower_proved": float(bounds.lower_proved), "upper_proved": float(bounds.upper_proved)}
    for short, side in SIDES.items():
        exact, estimate = rows[side, "exact"], rows.get((side, "estimate"), {})
        error = 0.0 if math.isinf(exact["index"]) else (exact["upper"] - exact["lower"]) / 2
        found |= {short: exact["index"], f"{short}_error": error}
        found |= {f"{short}_estimate": estimate.get("index", math.nan)}
        found |= {f"{short}_estimate_{end}": estimate.get(end, math.nan) for end in ("lower", "upper")}
        missing = exact["notes"] if math.isnan(exact["index"]) else ""
        unbounded = bounds.why_not if side == LIMIT else ""
        said = estimate.get("notes", "no ends of paths to estimate from")
        found[f"{short}_warning"] = joined(missing, said, unbounded)
    return found


def plot(found: Mapping[str, xarray.Dataset]) -> Figure:
    """A panel each parameter: lines exact, with a dot where it was computed; band bounds of homogenized SGD, dashed
    where a bound is not proved; markers estimates, open with a warning. What lies above a panel has an arrowhead."""
    known = axes()
    figure, places = panels(len(found), 2.5 * len(found))
    for place, (name, data) in zip(places, found.items()):
        _panel(place, data, known[name])
    return figure


def _panel(ax: Axes, data: xarray.Dataset, axis: Axis) -> None:
    looks, ends = styles(list(SIDES.values())), []
    x = data[axis.name].values.astype(float)
    known = np.concatenate([data[short].values for short in SIDES])
    top = min(HIGHEST, 1.15 * max(known[np.isfinite(known)], default=HIGHEST))
    colour = looks[LIMIT]["color"]
    for end in ("lower", "upper"):
        guessed = (data[f"{end}_proved"].values == 0) & np.isfinite(data[end].values)
        values = np.where(guessed, data[end].values, np.nan)
        ax.plot(x, values, "--", color=colour, linewidth=1, marker="_", markersize=6)
    ax.fill_between(x, data["lower"], data["upper"].clip(max=10 * top), color=colour, alpha=0.15, linewidth=0)
    for sign, (short, side) in zip((-1, 1), SIDES.items()):
        look, exact = looks[side], data[short].values
        shown = np.where(exact <= top, exact, np.nan)
        ax.plot(
            x, shown, color=look["color"], linestyle=look["linestyle"], linewidth=1.3, marker=".", markersize=5,
            gid="exact",
        )  # fmt: skip
        for place in np.flatnonzero(exact > top):
            beyond(ax, float(x[place]), top, look["color"], upward=True)
        last = np.flatnonzero(np.isfinite(shown))
        if last.size:
            ends.append((x[last[-1]], float(exact[last[-1]]), side + BAND * (side == LIMIT), look["color"]))
        estimate, low, high = (data[f"{short}_estimate{end}"].values for end in ("", "_lower", "_upper"))
        middle = np.minimum(estimate, 10 * top)  # an infinite one stands beyond the frame, its interval reaches in
        bars = np.array([middle - low, np.minimum(high, 10 * top) - middle])
        for place in np.flatnonzero((estimate > top) | (high > top)):
            beyond(ax, float(x[place] + sign * APART * np.ptp(x)), top, look["color"], upward=True)
        moved, doubted = x + sign * APART * np.ptp(x), data[f"{short}_warning"].values != ""
        for chosen, face in ((~doubted, look["color"]), (doubted, "white")):
            ax.errorbar(
                moved[chosen], middle[chosen], bars[:, chosen], fmt=look["marker"], color=look["color"], markersize=3.5,
                markerfacecolor=face, linewidth=0.8,
            )  # fmt: skip
    ax.axhline(2, color=GREY, linewidth=0.7, linestyle=":")
    ax.set_ylim(0, top)
    ax.set_xticks(x, [f"{value:g}" for value in x])  # where it was computed
    dress(ax, "tail index", axis.label)
    ax.set_title(axis.setting, fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)

"""The report of the study of heavy tails: its page, figures and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits import diffusions, discrete
from sgdlimits.compare.html_page import Picture, note, wide
from sgdlimits.compare.html_page import figures as figures_of
from sgdlimits.compare.reports import Report
from sgdlimits.compare.results import csv_text
from sgdlimits.compare.style import COLOURS, SMALL, dress, panels, styles
from sgdlimits.studies.results import study_page

from . import sweeps, tables
from .paper_table import LIMIT, SGD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import HeavyTailsResult

TITLE = "How heavy are the tails of SGD, and are they those of homogenized SGD?"
OPENING = (
    "A step of SGD on least squares multiplies the distance to the minimiser by a random matrix, so that its "
    "stationary law has a power tail (Kesten 1973). Homogenized SGD has one too. The table asks on data whether the "
    "two are one, whether bounds on the limit's index hold for SGD, and what a fitted Student's t or stable law says "
    "of it; the panels vary one parameter at a time where both indices are exact."
)


def report(result: HeavyTailsResult) -> Report:
    """Everything that goes into the folder."""

    files: dict[str, Callable[[Path], Any]] = {
        "table.csv": lambda path: path.write_text(csv_text(tables.rows(result), tables.ROW), encoding="utf-8"),
        "table.tex": lambda path: path.write_text(tables.grid(result).latex(), encoding="utf-8"),
    }
    for name, data in result.sweeps.items():
        files[f"index-{name.replace('_', '-')}.csv"] = partial(_write_sweep, name, data)
    return Report(files, result.study.to_toml, figures(result), partial(_page, result))


def _write_sweep(name: str, data: Any, path: Path) -> None:
    columns = (name, "sgd", "homogenized", "lower", "upper", "estimate", "estimate_lower", "estimate_upper")
    rows = [{column: data[column].values[i].item() for column in columns} for i in range(data.sizes[name])]
    path.write_text(csv_text(rows, columns), encoding="utf-8")


def figures(result: HeavyTailsResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    level = f"{100 * result.study.confidence:g} %"
    return [
        (
            "table", "Every row of the table: bounds of homogenized SGD (band) and its exact index (bar), the exact "
            f"index of SGD with its error (square), and the degrees of freedom fitted to SGD with their {level} "
            "intervals (circle).", partial(plot_rows, result),
        ),
        (
            "sweeps", "Tail index against one parameter, all else held. Lines: exact, of both sides; band: bounds of "
            "homogenized SGD; markers: corrected Hill estimates of SGD with 95 % intervals. Below the dotted line the "
            "variance is infinite.", partial(sweeps.plot, result.sweeps),
        ),
    ]  # fmt: skip


def plot_rows(result: HeavyTailsResult) -> Figure:
    """A line a row of the table: band of bounds, exact indices of both sides, fitted degrees of freedom."""
    found = result.rows
    pictured, (ax,) = panels(height=1.2 + 0.3 * len(found))
    looks = styles([SGD, LIMIT])
    black, orange, blue = looks[SGD]["color"], looks[LIMIT]["color"], COLOURS[2]
    top = 1.05 * max(max(row.upper, min(row.student.upper, 2 * row.upper)) for row in found)
    for place, row in enumerate(found):
        ax.plot([row.lower, row.upper], [place] * 2, color=orange, linewidth=8, alpha=0.25, solid_capstyle="butt")
        ax.plot(row.homogenized.index, place, "|", color=orange, markersize=12)
        ax.errorbar(row.sgd.index, place - 0.12, xerr=row.sgd.error, fmt="s", color=black, markersize=4, linewidth=1)
        nu = row.student
        middle = min(nu.index, top)  # an infinite one stands at the edge
        ends = np.array([[max(0.0, middle - nu.lower)], [max(0.0, min(nu.upper, top) - middle)]])
        ax.errorbar(middle, place + 0.12, xerr=ends, fmt="o", color=blue, markersize=4, linewidth=1)
    first = found[0]
    left = first.sgd.index <= first.student.index
    for x, text, colour, side in (
        (first.sgd.index, f" {SGD} ", black, "right" if left else "left"),
        (min(first.student.index, top), " fitted nu ", blue, "left" if left else "right"),
        (first.homogenized.index, LIMIT, orange, "center"),
    ):
        height = -0.85 if text == LIMIT else -0.35
        ax.annotate(text, (x, height), fontsize=SMALL, color=colour, ha=side, va="bottom")
    ax.set_yticks(range(len(found)), [f"{row.data}, batch {row.batch_size}" for row in found])
    ax.set_ylim(len(found) - 0.4, -1.5)
    ax.set_xlim(0, top)
    dress(ax, "", "tail index")
    ax.tick_params(axis="y", length=0)
    return pictured


def _page(
    result: HeavyTailsResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]
) -> str:
    unsettled = [f"{row.data}, batch size {row.batch_size}: {text}." for row in result.rows for text in row.notes]
    sections = {
        "Bounds, exact indices and fitted laws": [
            wide(tables.grid(result)), note(tables.READING), *map(note, unsettled), *figures_of(pictures, "table"),
        ],
        "The index against each parameter": figures_of(pictures, "sweeps"),
    }  # fmt: skip
    kinds = {SGD: discrete.SGD, LIMIT: diffusions.HomogenizedSGD}
    return study_page(result, TITLE, OPENING, sections, kinds, failed, now)

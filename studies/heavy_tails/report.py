"""The report of the study of heavy tails: its page, figures and files."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits import diffusions, discrete
from sgdlimits.compare.html_page import Picture, bullets, note, wide
from sgdlimits.compare.html_page import figures as figures_of
from sgdlimits.compare.reports import Report
from sgdlimits.compare.results import csv_text
from sgdlimits.exact.tail_claims import OPTIMISER_TAILS
from sgdlimits.studies.results import study_page

from . import plots, sweeps, tables
from .optimisers import DEPTHS
from .table_row import LIMIT, SGD

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

    files: dict[str, Callable[[Path], Any]] = {}
    for name, rows, columns in (
        ("table", tables.rows(result), tables.ROW), ("sweeps", tables.sweep_rows(result), tables.SWEEP_ROW),
        ("optimisers", tables.optimiser_rows(result), tables.OPTIMISER_ROW),
    ):  # fmt: skip
        files[f"{name}.csv"] = partial(_put, csv_text(rows, columns))
    for name, grid in (("table", tables.grid(result)), ("optimisers", tables.optimiser_grid(result))):
        files[f"{name}.tex"] = partial(_put, grid.latex())
    return Report(files, result.study.to_toml, figures(result), partial(_page, result))


def setting(result: HeavyTailsResult) -> list[str]:
    """What the table is about: data, samples, the scalar that laws are fitted on, and which bounds are proved."""
    rows, study = result.rows, result.study
    steps = sorted({row.steps for row in rows if row.steps})
    lengths = " to ".join(f"{end}" for end in dict.fromkeys([*steps[:1], *steps[-1:]])) or "no"
    proved = [row.bounds.proved for row in rows if not math.isnan(row.bounds.lower)]
    regimes = Counter(row.bounds.regime for row in rows if row.bounds.regime)
    where = ", ".join(f"{count} {regime}" for regime, count in regimes.items())
    return [
        *result.data,
        f"Samples: in each row {study.paths} independent paths of SGD at {study.step_size_in_words}, from the "
        f"minimiser, of {lengths} steps (ten relaxations of the slowest mode, fewer where that is too much work); one "
        "end each.",
        "Fitted scalar: nu and the p-values are of the end less the minimiser, along the eigenvector of the largest "
        "eigenvalue of the Hessian. All directions that the noise reaches have one index, but flat ones show it later.",
        f"Bounds on the index of homogenized SGD: both are proved in {sum(proved)} of {len(proved)} rows that have "
        f"them (of its own mean-square threshold: {where or 'none'}); formulas under Theory. They say nothing of SGD.",
    ]


def _depths() -> str:
    *inner, last = (f"{100 * depth:g}" for depth in DEPTHS)
    return f"{', '.join(inner)} and {last} %"


def _put(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def figures(result: HeavyTailsResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    level = f"{100 * result.study.confidence:g} %"
    return [
        (
            "table", "Every row of the table: bounds of homogenized SGD (band; a dashed end is not proved) and its "
            "exact index (bar), the exact index of SGD (square, mostly wider than its error), and degrees of freedom "
            f"fitted to SGD with their {level} intervals (circle). An arrowhead at the edge: infinite, or beyond the "
            "frame; a dotted line: somewhere on it, where a search ends; open: a guess without an interval.",
            partial(plots.plot_rows, result),
        ),
        (
            "sweeps", "Tail index against one parameter, all else held. Lines: exact, of both sides, a dot at each "
            "value that was computed; band: bounds of homogenized SGD, dashed where one is not proved; markers: "
            f"corrected Hill estimates of both with {level} intervals, open where the estimator warns that an index so "
            "high is beyond what the sample shows (sweeps.csv says it of each). An arrowhead: above the panel. Below "
            "the dotted line the variance is infinite.", partial(sweeps.plot, result.sweeps),
        ),
        (
            "optimisers", f"Hill's estimate from the outer {_depths()} of the sample (filled, grey, open; {level} "
            "intervals) under each optimiser. Black: theory has a power, whose index is the bar; blue: theory says "
            "lighter than every power, and the estimates rise outward.", partial(plots.plot_optimisers, result),
        ),
    ]  # fmt: skip


def _page(
    result: HeavyTailsResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]
) -> str:
    unsettled = [f"{row.data}, batch size {row.batch_size}: {text}." for row in result.rows for text in row.notes]
    sections = {
        "The data and the samples": [bullets(setting(result))],
        "Bounds, exact indices and fitted laws": [
            wide(tables.grid(result)), note(tables.reading(result)), *map(note, unsettled),
            *figures_of(pictures, "table"),
        ],
        "The index against each parameter": [*figures_of(pictures, "sweeps"), note(tables.sweep_reading(result))],
        "Light or heavy: which optimisers have a power tail, and why": [
            wide(tables.optimiser_grid(result)), note(tables.optimiser_reading(result)),
            bullets(tables.optimiser_reasons(result)), *figures_of(pictures, "optimisers"),
        ],
    }  # fmt: skip
    claims = {
        SGD: discrete.SGD.tail_claims,
        LIMIT: (*diffusions.HomogenizedSGD.tail_claims, *diffusions.HomogenizedSGD.claims),
        "optimisers": OPTIMISER_TAILS,
    }
    return study_page(result, TITLE, OPENING, sections, claims, failed, now)

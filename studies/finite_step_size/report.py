"""The report of the study: its page, figures and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits import diffusions, discrete
from sgdlimits.compare.html_page import Picture, bullets, note, wide
from sgdlimits.compare.html_page import figures as figures_of
from sgdlimits.compare.reports import Report
from sgdlimits.compare.results import csv_text
from sgdlimits.studies.results import study_page

from . import plots, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import FiniteStepSizeResult

TITLE = "What does a finite step size do?"
OPENING = (
    "At a constant step size SGD does not settle at a point but in a law. Here that law is computed exactly from the "
    "recurrence, put beside paths, and beside what continuous limits say in its place."
)
LINES = "Black: exact, by which paths are judged. Open points: no interval, as the fourth moment is not finite."
GROUPS = (
    ("Variance against step size", "variance", ("additive", "heavy-ball", "Nesterov", "minibatch", "finite"), LINES),
    ("Second-order methods", "second", ("Newton", "natural gradient"),
     "Black: exact (Newton), or the closure of a frozen matrix (natural gradient)."),
    ("Sampling", "sampling", ("posterior",), "Black: of SGD's own law; dotted: its best step size."),
    ("Escape", "escape", ("escape",), "Logarithmic; black: exact. Points: measured by splitting."),
    ("Weight decay", "decay", ("decay-",), "Dotted: the best ridge."),
    ("On data", "data", ("excess-",), LINES),
    ("Where the law does not close", "general", ("logistic regression", "tanh network", "widths"),
     "Black: theory of the quadratic whose samples are expanded at the minimum, exact for that, not for the loss."),
)  # fmt: skip


def report(result: FiniteStepSizeResult) -> Report:
    """Everything that goes into the folder."""
    files: dict[str, Callable[[Path], Any]] = {
        "curves.csv": partial(_put, csv_text(tables.rows(result), tables.ROW)),
        "claims.tex": partial(_put, tables.claims(result).latex()),
        "curves.tex": partial(_put, tables.grid(result).latex()),
    }
    for name, curve in result.curves.items():
        files[f"{_file(name)}.nc"] = curve.dataset().to_netcdf
    for name, (table, _) in result.tables.items():
        files[f"methods-{_file(name)}.tex"] = partial(_put, tables.methods(table).latex())
    return Report(files, result.study.to_toml, figures(result), partial(_page, result))


def _file(name: str) -> str:
    return "".join(mark if mark.isalnum() else "-" for mark in name)


def _put(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def figures(result: FiniteStepSizeResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    found: list[tuple[str, str, Callable[[], Figure]]] = []
    for title, name, starts, words in GROUPS:
        shown = [curve for curve in result.curves.values() if curve.name.startswith(starts)]
        if shown:
            found.append((name, f"{title}. {words}", partial(plots.curves, shown)))
    shape = result.curves["anisotropy"]
    found.append(("ellipses", "95 % ellipses of the exact law and of its limit, over the ends of paths.",
                  partial(plots.ellipses, result.ellipses)))  # fmt: skip
    found.append(("shape", f"{shape.title}. {LINES}", partial(plots.curves, [shape])))
    return found


def _page(
    result: FiniteStepSizeResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]
) -> str:
    sections: dict[str, list[str]] = {
        "All curves": [
            wide(tables.grid(result)),
            note("Paths off theory: largest deviation over a curve, in standard errors. Errors of limits: the "
                 "largest relative distance from the exact line along the curve."),
        ],
        "Variance against step size": figures_of(pictures, "variance"),
        "The shape of fluctuations": figures_of(pictures, "ellipses", "shape"),
    }  # fmt: skip
    if result.tables:
        shown: list[str] = figures_of(pictures, "data")
        for name, (table, size) in result.tables.items():
            words = f"{name}, step size {size:.4g} (momentum: a tenth): exact excess loss, and errors of limits."
            shown += [note(words), wide(tables.methods(table))]
        dash = "A dash: no limit of that method, or one taken in other coordinates; fluctuation.table says which."
        sections["On data"] = [*shown, note(dash)]
    sections["Second-order methods"] = figures_of(pictures, "second")
    sections["Sampling"] = figures_of(pictures, "sampling")
    sections["Escape"] = figures_of(pictures, "escape")
    sections["Published claims"] = [bullets(tables.told(result))]
    sections["Weight decay"] = figures_of(pictures, "decay")
    sections["Where the law does not close"] = [
        *figures_of(pictures, "general"),
        bullets([curve.note for curve in result.curves.values() if curve.note]),
    ]
    claims = {"SGD": discrete.SGD.claims, "Ornstein-Uhlenbeck": diffusions.OrnsteinUhlenbeck.claims}
    return study_page(result, TITLE, OPENING, sections, claims, failed, now)

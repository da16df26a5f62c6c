"""The report of the study: its page, figures and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits import diffusions, discrete
from sgdlimits.compare.html_page import Picture, note, wide
from sgdlimits.compare.html_page import figures as figures_of
from sgdlimits.compare.reports import Report
from sgdlimits.studies.results import study_page

from .sampled import ends_csv, ends_notes, ends_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import ValidityResult

TITLE = "For step sizes small enough: how small?"
OPENING = (
    "Every limit of SGD holds for step sizes that are small enough. Here is the number: the largest step size up to "
    "which the expected risk of a limit stays within an allowance of that of SGD at every step up to a horizon, from "
    "exact moments, over batch sizes."
)


def report(result: ValidityResult) -> Report:
    """Everything that goes into the folder."""
    files: dict[str, Callable[[Path], Any]] = {}
    for name, found in result.maps.items():
        files[f"{_file(name)}.csv"] = found.to_csv
        files[f"{_file(name)}.nc"] = found.save
    for name, resolvent in result.resolvents.items():
        if not isinstance(resolvent, str):
            files[f"resolvent-{_file(name)}.csv"] = resolvent.to_csv
    for name, ends in result.ends.items():
        if ends:
            files[f"sampled-{_file(name)}.csv"] = partial(ends_csv, ends)
    return Report(files, result.study.to_toml, figures(result), lambda *shown: _page(result, *shown))


def _file(name: str) -> str:
    return "".join(mark if mark.isalnum() else "-" for mark in name)


def figures(result: ValidityResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    drawn: list[tuple[str, str, Callable[[], Figure]]] = []
    within = f"{100 * result.study.within:g} %"
    for name, found in result.maps.items():
        about = (
            f"{name}: regions are named after the coarsest limit within {within} of SGD's {result.study.scale} at "
            "every step up to the horizon; lines: ends of validity, and thresholds."
        )
        drawn.append((f"map-{_file(name)}", about, found.plot))
        about = (
            f"{name}, batch size {found.dataset['batch_size'].values[0]}: the largest error against the step size; "
            f"dotted: the allowance, {within}; grey: the mean-square threshold."
        )
        drawn.append((f"errors-{_file(name)}", about, found.plot_errors))
    return drawn


def _page(result: ValidityResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]) -> str:
    sections: dict[str, list[str]] = {}
    for name, found in result.maps.items():
        (table,) = found.tables()
        notes = [note(sentence) for sentence in found.notes()]
        sections[f"On {name}"] = [
            *figures_of(pictures, f"map-{_file(name)}", f"errors-{_file(name)}"),
            wide(table),
            *notes,
        ]
        if result.ends[name]:
            told = [note(sentence) for sentence in ends_notes(result.ends[name])]
            sections[f"By sampling: {name}"] = [wide(ends_table(result.ends[name])), *told]
        resolvent = result.resolvents[name]
        if isinstance(resolvent, str):
            sections[f"High dimension: {name}"] = [note(resolvent)]
            continue
        (table,) = resolvent.tables()
        told = [note(sentence) for sentence in (*resolvent.heading()[1:], *resolvent.notes())]
        sections[f"High dimension: {name}"] = [told[0], wide(table), *told[1:]]
    claims = {
        "SGD": discrete.SGD.claims, "homogenized SGD": diffusions.HomogenizedSGD.claims,
        "Ornstein-Uhlenbeck": diffusions.OrnsteinUhlenbeck.claims, "gradient flow": diffusions.GradientFlow.claims,
        "modified equation": diffusions.ModifiedEquation.claims,
    }  # fmt: skip
    return study_page(result, TITLE, OPENING, sections, claims, failed, now)

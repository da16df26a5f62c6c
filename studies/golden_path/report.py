"""The report of the study of the golden path: its page, figures and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits import discrete
from sgdlimits.compare.html_page import Picture, bullets, note, wide
from sgdlimits.compare.html_page import figures as figures_of
from sgdlimits.compare.reports import Report
from sgdlimits.compare.results import csv_text, fold
from sgdlimits.studies.results import study_page

from . import plots, tables
from .ladders import EXACT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import GoldenPathResult

TITLE = "Does SGD follow the path of its noiseless counterpart?"
OPENING = (
    "On fresh samples, says the golden path hypothesis (Vyas et al. 2023), the noise of SGD is only noise about the "
    "path of a run without it: take the noise away and the run snaps onto that path. Here the noise of many runs is "
    "taken away in each setting, and four ways in which this could fail are tested one by one."
)
ONLINE, OFFLINE = "diagonal network, online", "diagonal network, 40 rows"


def report(result: GoldenPathResult) -> Report:
    """Everything that goes into the folder."""
    files: dict[str, Callable[[Path], Any]] = {
        "verdicts.csv": partial(_put, csv_text(tables.rows(result), tables.ROW)),
        "verdicts.tex": partial(_put, tables.grid(result).latex()),
        "claims.tex": partial(_put, tables.claims(result).latex()),
        "doses.csv": partial(_put, csv_text(tables.dose_rows(result), tables.DOSE_ROW)),
    }
    for place, drop in enumerate(result.drops.values(), start=1):
        files[f"drop-{place:02d}.nc"] = drop.save
    return Report(files, result.study.to_toml, figures(result), partial(_page, result))


def _put(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def figures(result: GoldenPathResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    found: list[tuple[str, str, Callable[[], Figure]]] = [
        (
            "losses", "Mean losses with 95 % intervals over seeds; at the dotted line the noise of the run 'snapped' "
            "drops. Low-noise runs are drawn at the step at which they are compared.",
            partial(plots.losses, result.drops),
        ),
        (
            "gaps", "Gap of the snapped to the low-noise run on logarithmic axes, 95 % intervals. Triangles: the "
            "snapped run is ahead; open: the sign is not known, and the upper end is drawn. Dashed: exact.",
            partial(plots.gaps, result.drops),
        ),
    ]  # fmt: skip
    seen = {name: drop for name, drop in result.drops.items() if drop.dataset.sizes["pair"]}
    found.append((
        "functions", "Distances between functions at equal loss, mean with 95 % interval, a dot a seed; orange: the "
        "snapped and the low-noise run. Grey: baselines, and as a control the run whose noise stayed.",
        partial(plots.functions, seen),
    ))  # fmt: skip
    if {ONLINE, OFFLINE} <= set(result.drops):
        found.append((
            "contrast", "One model, one noise drop: on fresh samples (left) the gap closes, on 40 rows used again and "
            "again (right) the run with noise keeps its lead.",
            partial(plots.side_by_side, result.drops[ONLINE], result.drops[OFFLINE]),
        ))  # fmt: skip
    if result.doses:
        found.append((
            "doses", "Loss relative to that without noise at the last step, against batch size and step size (at equal "
            "sums of step sizes), and along the way; below zero noise helps. Intervals hold for all doses at once.",
            partial(plots.responses, result.doses),
        ))  # fmt: skip
    if result.costs:
        found.append((
            "samples", "Samples that reach a loss, against the batch size, online: what noise costs. Intervals hold "
            "at all batch sizes at once; dashed: exact.", partial(plots.samples, result.costs, EXACT),
        ))  # fmt: skip
    return found


def _page(
    result: GoldenPathResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]
) -> str:
    sections: dict[str, list[str]] = {
        "Verdicts": [
            wide(tables.grid(result)), note(tables.reading(result)), wide(tables.claims(result)),
            bullets(tables.regimes(result)),
        ],
        "The noise drop": figures_of(pictures, "losses", "gaps"),
        "The same function?": figures_of(pictures, "functions"),
    }  # fmt: skip
    if shown := figures_of(pictures, "contrast"):
        sections["Online against offline"] = shown
    if result.doses:
        folded = [fold(dose.tables()[0], name) for name, dose in result.doses.items()]
        sections["Dose and response"] = [*figures_of(pictures, "doses"), *folded]
    if result.costs:
        sections["Loss against samples"] = [*figures_of(pictures, "samples"), bullets(tables.cost_rows(result))]
    return study_page(result, TITLE, OPENING, sections, {"SGD": discrete.SGD.claims}, failed, now)

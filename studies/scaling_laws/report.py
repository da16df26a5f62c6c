"""The report of the study: exponents, losses with their frontier, terms, and the gap of continuous time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits import diffusions, discrete
from sgdlimits.compare.html_page import Picture, note, wide
from sgdlimits.compare.html_page import figures as figures_of
from sgdlimits.compare.reports import Report
from sgdlimits.compare.results import fold
from sgdlimits.studies.results import study_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import ScalingLawsResult

TITLE = "Scaling laws of SGD, and continuous time"
OPENING = (
    "Linear regression on random features of data with power laws, the model of compute-optimal scaling: exact "
    "expected losses of SGD over steps and dimension, given the features, for many draws of them. Exponents are "
    "measured where the derived terms say that one of them rules, and stand beside the derived ones; a phase that is "
    "not reached is said to be so. The gap to homogenized SGD is split into what continuous time does and what its "
    "noise does."
)


def report(result: ScalingLawsResult) -> Report:
    """Everything that goes into the folder."""
    files: dict[str, Callable[[Path], Any]] = {}
    for name, found in result.models.items():
        files[f"exponents-{_file(name)}.csv"] = found.to_csv
        files[f"losses-{_file(name)}.nc"] = found.save
    return Report(files, result.study.to_toml, figures(result), lambda *shown: _page(result, *shown))


def _file(name: str) -> str:
    """alpha-1-beta-0.75"""
    return "-".join(name.replace("=", " ").replace(",", " ").split())


def figures(result: ScalingLawsResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    drawn: list[tuple[str, str, Callable[[], Figure]]] = []
    for name, found in result.models.items():
        drawn.append((
            f"frontier-{_file(name)}",
            f"{name}: exact expected losses, means over draws of the features, a line a dimension.",
            found.plot,
        ))  # fmt: skip
        drawn.append((
            f"terms-{_file(name)}",
            f"{name}: the loss at the largest dimension beside the derived terms with their constants; nothing is "
            "fitted.",
            found.plot_terms,
        ))  # fmt: skip
        drawn.append((
            f"gap-{_file(name)}",
            f"{name}: expected losses of SGD whose steps fall at the times of a Poisson process, and of homogenized "
            "SGD, above that of SGD at the same step; exact.",
            found.plot_gap,
        ))  # fmt: skip
    return drawn


def _page(result: ScalingLawsResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]) -> str:
    sections: dict[str, list[str]] = {}
    for name, found in result.models.items():
        first, gaps = found.tables()
        names = [f"{kind}-{_file(name)}" for kind in ("frontier", "terms", "gap")]
        notes = [note(sentence) for sentence in found.notes()]
        sections[f"At {name}"] = [wide(first), *notes, *figures_of(pictures, *names), fold(gaps)]
    claims = {"SGD": discrete.SGD.claims, "homogenized SGD": diffusions.HomogenizedSGD.claims}
    return study_page(result, TITLE, OPENING, sections, claims, failed, now)

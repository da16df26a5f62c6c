"""A comparison written to a folder: page, figures, tables, numbers and settings."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import sgdlimits

from ._laws import Laws, plots, wording
from ._laws.page import laws_page
from ._orders import Orders
from ._orders import plots as order_plots
from .folders import check_folder, write_folder
from .pages import Picture
from .style import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Every file that a report may hold; a folder with any other is never replaced.
OWN_FILES = re.compile(
    r"report\.html|table\.(csv|tex)|(result|orders|time-scales|(trajectories|regression)-[\w-]+)\.nc|"
    r"orders\.csv|study\.toml|((means|laws|trajectories|regression)-[\w-]+|"
    r"budget|orders|time-scales|regularisers)\.(png|svg)"
)
LIBRARIES = ("numpy", "scipy", "numba", "xarray", "h5netcdf", "matplotlib")


def write_report(
    folder: str | os.PathLike[str] | None,
    laws: Laws,
    orders: Orders | None = None,
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    stem: str = "laws",
    overwrite: bool = False,
    study_toml: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write report.html, its figures as PNG and SVG, table.csv, table.tex, result.nc and study.toml.

    Parameters
    ----------
    folder : path or None
        None: results/`stem`-001, -002, ... An existing folder is refused unless `overwrite`.
    laws : Laws
    orders : Orders, optional
        Adds its section, orders.nc and a figure.
    settings : mapping, optional
        Shown under "To run it again".
    notes : sequence of str
        Sentences on how the study was set up, shown on top.
    stem : str
    overwrite : bool
    study_toml : str, optional
        Content of study.toml; no such file without it.
    progress : callable, optional
        Called with what is being written.

    Returns
    -------
    Path
        The folder. It appears complete or not at all.

    Raises
    ------
    InvalidInput
        If the folder exists or cannot be written.
    """
    def page(pictures: Sequence[Picture], now: Mapping[str, str], rerun: str) -> str:
        return laws_page(laws, orders, pictures, settings or {}, now, notes, rerun)

    files: dict[str, Callable[[Path], Any]] = {
        "table.csv": laws.to_csv,
        "table.tex": lambda path: path.write_text(laws.to_latex(), encoding="utf-8"),
        "result.nc": laws.save,
    }
    if orders is not None:
        files |= {"orders.nc": orders.save, "orders.csv": orders.to_csv}
    return write(folder, Report(figures(laws, orders), page, files), stem, overwrite, study_toml, progress)


@dataclass(frozen=True, eq=False)
class Report:
    """What goes into a folder.

    Attributes
    ----------
    figures : sequence of (file name, caption, figure)
    page : function of (pictures, versions, the command to run it again)
        Gives the text of report.html.
    files : mapping of names to functions that write to a path
        Tables and numbers; every name must match `OWN_FILES`.
    """

    figures: Sequence[tuple[str, str, Figure]]
    page: Callable[[Sequence[Picture], Mapping[str, str], str], str]
    files: Mapping[str, Callable[[Path], Any]]


def write(
    folder: str | os.PathLike[str] | None,
    report: Report,
    stem: str,
    overwrite: bool = False,
    study_toml: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Write a report's page, its figures as PNG and SVG, its files and study.toml; see `write_report`."""
    tell = progress or (lambda _: None)
    check_folder(folder, overwrite, OWN_FILES)
    pictures = []
    for name, caption, figure in report.figures:
        tell(f"figure {name}")
        pictures.append(Picture(name, caption, *render(figure, "svg", "png")))
    tell("report")
    rerun = "sgdlimits study --from study.toml" if study_toml is not None else "no settings were given"
    text = report.page(pictures, versions(), rerun)

    def fill(partial: Path) -> None:
        (partial / "report.html").write_text(text, encoding="utf-8")
        for picture in pictures:
            (partial / f"{picture.name}.svg").write_bytes(picture.svg)
            (partial / f"{picture.name}.png").write_bytes(picture.png)
        for name, put in report.files.items():
            put(partial / name)
        if study_toml is not None:
            (partial / "study.toml").write_text(study_toml, encoding="utf-8")

    return write_folder(folder, stem, fill, overwrite, OWN_FILES)


def figures(laws: Laws, orders: Orders | None = None) -> list[tuple[str, str, Figure]]:
    """(file name, caption, figure) of every picture in a report."""
    dataset = laws.dataset
    reference, first = dataset["process"].values.tolist()[:2]
    tolerance = f"{100 * dataset.attrs['tolerance']:g} %"
    level = f"{100 * dataset.attrs['confidence']:g} %"
    found = []
    for observable in dataset["observable"].values.tolist():
        name = wording.label(dataset, observable)
        predicted = np.isfinite(dataset["predicted"].sel(observable=observable).values)
        caption = (
            f"{name[0].upper()}{name[1:]} against the step (above), its difference to {reference} (below). "
            f"Lines without markers are exact; markers are sampled, with {level} intervals. "
            f"Shaded: within {tolerance} of the scale."
            + (" Thick dots: the leading term of theory." if predicted.any() else "")
        )
        figure = plots.means_and_differences(dataset, observable)
        found.append((f"means-{file_name(observable)}", caption, figure))
    for observable in dataset["observable"].values.tolist():
        caption = (
            f"Laws of {observable} over paths. Above: 5, 25, 50, 75 and 95 % quantiles of {first} (lines), "
            f"and of {reference} (bands; grey line: median). Below: Kolmogorov-Smirnov and Wasserstein-1 "
            f"distance to {reference} with {level} intervals, drawn side by side; an interval that leaves "
            "the frame reaches zero."
        )
        found.append((f"laws-{file_name(observable)}", caption, plots.laws(dataset, observable)))
    budget = plots.budgets(dataset)
    if budget is not None:
        caption = (
            "Parts of the difference of expected risk against the step, with their signs. Lines are exact; "
            f"markers are Monte Carlo errors with {level} intervals. The scale is linear near zero and "
            "logarithmic beyond."
        )
        found.append(("budget", caption, budget))
    if orders is not None:
        caption = (
            f"Error against {reference} at fixed time over a ladder of step sizes, from exact moments. "
            "Filled markers: positive; open: negative. Thick dots: the leading term of theory."
        )
        found.append(("orders", caption, order_plots.all_orders(orders.dataset)))
    return found


def file_name(observable: str) -> str:
    """An observable's name as part of a file name; what had to be changed is told apart by a checksum."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "-_") else "-" for c in observable)[:60]
    return plain if plain == observable else f"{plain}-{hashlib.sha256(observable.encode()).hexdigest()[:8]}"


def versions() -> dict[str, str]:
    """Versions of this package, Python and the libraries that the numbers depend on."""
    import platform

    found = {"sgdlimits": sgdlimits.__version__, "python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            found[library] = "unknown"
    return found

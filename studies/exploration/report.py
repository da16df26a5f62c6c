"""The report of the study: its page, figures and files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits import diffusions, discrete
from sgdlimits.compare.html_page import Picture, bullets, figure, note, wide
from sgdlimits.compare.reports import Report
from sgdlimits.compare.results import claims_of, csv_text
from sgdlimits.studies import verdicts
from sgdlimits.studies.results import study_page

from . import plots, tables

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import ExplorationResult

TITLE = "What does multiplicative noise really do?"
OPENING = (
    "Multiplicative noise is said to explore better, to prefer wide minima and to generalise better for its heavy "
    "tails. Here each of these is computed: exactly where the law of a step is known, else from paths with intervals."
)
PLACEHOLDERS = (
    "Landscapes and noise are placeholders of this package's own choice: those of the published experiments were not "
    "available in full. Rates and spreads are those of the well of the start under its quasi-stationary law."
)
CELLS = (
    "Lyapunov exponent (per step) and exact index: by quadrature, of the law of the features; above: as far as was "
    "looked. published: the estimate of the published protocol, of all coordinates. Others: of the first coordinate, "
    "with 95 % intervals; light: no power is seen; –: the estimator refuses, or runs left the range of numbers, as "
    "published-grid.csv says."
)
THRESHOLDS = (
    "Step sizes above which there is no law, or a moment is infinite: of an order where moments close with a numerical "
    "error, else with half a 95 % interval; none: at no step "
    "size. What is known of each cell, with intervals and reasons, is in index-map.nc."
)
KNOWN = {"SGD": discrete.SGD.claims, "homogenized SGD": diffusions.HomogenizedSGD.claims}
COLUMNS = ("claim", "source", "said", "found", "verdict")


def report(result: ExplorationResult) -> Report:
    """Everything that goes into the folder."""
    files: dict[str, Callable[[Path], Any]] = {
        "result.nc": result.summary.to_netcdf,
        "claims.csv": partial(_put, csv_text(tables.rows(result), COLUMNS)),
        "claims.tex": partial(_put, tables.claims(result).latex()),
    }
    for name, basins in result.basins.items():
        files[f"exploration-{_file(name)}.nc"] = basins.exploration.dataset.to_netcdf
        files[f"exploration-{_file(name)}.csv"] = partial(_put, basins.exploration.to_csv())
    for name, made in (("exit-times", result.scaling), ("width-preference", result.preference)):
        if made is not None:
            files[f"{name}.csv"] = partial(_put, made.to_csv())
    for name, network in result.networks.items():
        files[f"last-iterates-{_file(name)}.csv"] = partial(_put, network.ends.to_csv())
        files[f"index-and-test-error-{_file(name)}.nc"] = network.grid.to_netcdf
    if result.grid is not None:
        files["published-grid.nc"] = result.grid.cells.to_netcdf
        files["published-grid.csv"] = result.grid.cells.to_dataframe().to_csv
    if result.map is not None:
        files["index-map.nc"] = result.map[1].cells.to_netcdf
        files["index-lines.nc"] = result.map[1].lines.to_netcdf
    return Report(files, result.study.to_toml, figures(result), partial(_page, result))


def _file(name: str) -> str:
    return "".join(mark if mark.isalnum() else "-" for mark in name)


def _put(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")


def figures(result: ExplorationResult) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    found: list[tuple[str, str, Callable[[], Figure]]] = []
    for name, basins in result.basins.items():
        file = _file(name)
        found.append((f"times-{file}", f"Times on {name}. Arrowheads: paths show only a bound.",
                      partial(plots.times, basins)))  # fmt: skip
        found.append((f"wells-{file}", f"Time in each well of {name}.", partial(plots.occupation, basins)))
    if result.scaling is not None:
        found.append(("exit-times", "How the time to leave grows.", partial(plots.scaling, result.scaling)))
    if result.preference is not None:
        found.append(("width", "Preference for width at equal rates of leaving a third well.",
                      partial(plots.preference, result.preference)))  # fmt: skip
    for name, network in result.networks.items():
        file = _file(name)
        found += [
            (f"tails-{file}", f"Last iterates of {name}.", partial(plots.tails, network)),
            (f"stretching-{file}", f"Singular values along training of {name}.", partial(plots.stretching, network)),
            (f"exponents-{file}", f"Lyapunov exponents along training of {name}.", partial(plots.exponents, network)),
        ]
        if network.correlation is not None:
            found.append((f"claim-{file}", f"Index against test error of {name}.", partial(plots.correlation, network)))
    if result.grid is not None:
        words = "The published grid beside what is exact of each cell."
        found.append(("grid", words, partial(plots.grid, result.grid)))
    if result.map is not None:
        found.append(("map", f"Tail indices on {result.map[0]}.", partial(plots.index_map, *result.map)))
    return found


def figures_of(pictures: Sequence[Picture], *names: str) -> list[str]:
    """Those pictures, by their whole names: one file's may begin like another's."""
    return [figure(picture) for picture in pictures if picture.name in names]


def _page(
    result: ExplorationResult, pictures: Sequence[Picture], failed: Sequence[str], now: Mapping[str, str]
) -> str:
    sections: dict[str, list[str]] = {"Claims": [bullets(verdicts.told(result.claims))]}
    for name, basins in result.basins.items():
        file = _file(name)
        sections[f"Basins: {name}"] = [
            *figures_of(pictures, f"times-{file}", f"wells-{file}"), wide(basins.matches_table()),
            *map(wide, basins.exploration.tables()), bullets([*basins.notes, *basins.exploration.notes()]),
            note(PLACEHOLDERS),
        ]  # fmt: skip
    if result.scaling is not None:
        sections["Times to leave"] = [*figures_of(pictures, "exit-times"), *map(wide, result.scaling.tables()),
                                      bullets([*result.notes, *result.scaling.notes()])]  # fmt: skip
    if result.preference is not None:
        sections["Preference for width"] = [*figures_of(pictures, "width"), *map(wide, result.preference.tables()),
                                            bullets(result.preference.notes())]  # fmt: skip
    for name, network in result.networks.items():
        file, correlation = _file(name), network.correlation
        shown = [wide(tables.tails(network)), *figures_of(pictures, f"tails-{file}")]
        for part, found in (("", network.ends), ("stretching", network.stretching), ("exponents", network.exponents)):
            shown += figures_of(pictures, f"{part}-{file}") if part else []
            shown += [*map(wide, found.tables()), bullets(found.notes())]
        shown += figures_of(pictures, f"claim-{file}")
        shown += [] if correlation is None else [*map(wide, correlation.tables()), bullets(correlation.notes())]
        sections[f"Network: {name}"] = [*shown, bullets([network.task.about, *network.notes])]
    if result.grid is not None:
        sections["A published grid"] = [*figures_of(pictures, "grid"), note(result.grid.finding),
                                        wide(tables.cells(result.grid)), note(CELLS)]  # fmt: skip
    if result.map is not None:
        found = result.map[1]
        sections["Index map"] = [*figures_of(pictures, "map"), note(f"{tables.of_map(*result.map)} {found.problem}."),
                                 wide(tables.thresholds(found)), note(THRESHOLDS)]  # fmt: skip
    claims = {label: list(known) for label, known in KNOWN.items() if result.grid or result.map}
    for basins in result.basins.values():
        for claim, labels in claims_of(basins.exploration.dataset):
            claims |= {label: [*claims.get(label, []), claim] for label in labels[:1]}
    return study_page(result, TITLE, OPENING, sections, claims, failed, now)

"""The report of the study: its files, figures with captions, and page."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare._laws import plots, wording
from sgdlimits.compare._laws.page import laws_page
from sgdlimits.compare._orders import plots as order_plots
from sgdlimits.compare._orders.result import QUANTITIES
from sgdlimits.compare.html_page import Picture
from sgdlimits.compare.reports import Report, file_names
from sgdlimits.compare.style import signed_scale
from sgdlimits.studies.settings import RERUN

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from sgdlimits.compare import Bounds, Laws, Orders

    from .study import StudyResult


def report(result: StudyResult) -> Report:
    """Everything that goes into the folder."""
    laws, orders, bounds = result.laws, result.orders, result.bounds
    files: dict[str, Callable[[Path], Any]] = {
        "result.nc": laws.save,
        "table.csv": laws.to_csv,
        "table.tex": _latex(laws),
    }
    if orders is not None:
        files |= {"orders.nc": orders.save, "orders.csv": orders.to_csv, "orders.tex": _latex(orders)}

    if bounds is not None:
        files |= {"bounds.nc": bounds.save, "bounds.csv": bounds.to_csv, "bounds.tex": _latex(bounds)}

    def page(pictures: Sequence[Picture], failed: Sequence[str], versions: Mapping[str, str]) -> str:
        shown = {name: value for name, value in asdict(result.study).items() if value is not None}
        return laws_page(laws, orders, bounds, pictures, shown, versions, [*result.notes, *failed], RERUN)

    return Report(files, result.study.to_toml, figures(laws, orders), page)


def _latex(result: Laws | Orders | Bounds) -> Callable[[Path], Any]:
    return lambda path: path.write_text(result.to_latex(), encoding="utf-8")


def _lines(exact: np.ndarray, level: str) -> str:
    """What lines and markers are, for sides of which some are exact."""
    if exact.all():
        return "Every line is exact."
    sampled = f"arkers are sampled, with {level} intervals."
    return f"Lines without markers are exact; m{sampled}" if exact.any() else f"M{sampled}"


def figures(laws: Laws, orders: Orders | None = None) -> list[tuple[str, str, Callable[[], Figure]]]:
    """(file name, caption, function that draws it) of every picture in the report."""
    dataset = laws.dataset
    reference, first = dataset["process"].values.tolist()[:2]
    tolerance = f"{100 * dataset.attrs['tolerance']:g} %"
    level = f"{100 * dataset.attrs['confidence']:g} %"
    found: list[tuple[str, str, Callable[[], Figure]]] = []
    names = file_names(dataset["observable"].values.tolist())
    for observable, plain in names.items():
        name = wording.label(dataset, observable)
        caption = (
            f"{name[0].upper()}{name[1:]} against the step (above), its difference to {reference} (below). "
            f"{_lines(dataset['exact'].sel(observable=observable).values, level)} "
            f"Shaded: within {tolerance} of the scale."
            + (" Thick dots: the leading term of theory." if plots.has_predictions(dataset, observable) else "")
        )
        found.append((f"means-{plain}", caption, partial(plots.means_and_differences, dataset, observable)))
    for observable, plain in names.items():
        caption = (
            f"Laws of {observable} over paths. Above: 5, 25, 50, 75 and 95 % quantiles of {first} (lines), "
            f"and of {reference} (bands; grey line: median). Below: Kolmogorov-Smirnov and Wasserstein-1 "
            f"distance to {reference} with {level} intervals, drawn side by side; an interval that leaves "
            "the frame reaches zero."
        )
        found.append((f"laws-{plain}", caption, partial(plots.laws, dataset, observable)))

    if plots.has_deviations(dataset):
        caption = (
            "Standard deviation of the risk of a path against the step: lines are exact, markers those of the paths "
            f"with {level} intervals. Sides without noise are left out. Past its tail index it grows with the step, "
            "and rare paths carry it."
        )
        found.append(("deviations", caption, partial(plots.deviations, dataset)))

    def budgets() -> Figure:
        drawn = plots.budgets(dataset)
        assert drawn is not None
        return drawn

    if named := plots.with_budget(dataset):
        scale = signed_scale(plots.budget_scale(dataset, named))
        sampled = (dataset["budget_error"].sel(process=named).values != 0).any()  # nan: sampled, of unknown error
        caption = (
            "Parts of the difference of expected risk against the step, with their signs. Lines are exact"
            + (f"; markers are Monte Carlo errors with {level} intervals" if sampled else "")
            + (f". Every axis is {scale}." if scale else ".")
        )
        found.append(("budget", caption, budgets))
    if orders is not None:
        caption = (
            f"Error against {reference} at fixed time over a ladder of step sizes, from exact moments"
            + "".join(f"; {sign}" for sign in order_plots.signs(orders.dataset, *QUANTITIES))
            + "."
        )
        found.append(("orders", caption, partial(order_plots.all_orders, orders.dataset)))
    return found

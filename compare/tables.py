"""Tables of a comparison: rows of numbers, and the same set as text, HTML, LaTeX or CSV."""

from __future__ import annotations

import csv
import html
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from . import sentences
from .grids import NOTHING, Grid, number, with_error, wrapped

if TYPE_CHECKING:
    import xarray

SHOWN = (0.02, 0.1, 0.25, 0.5, 1.0)  # parts of the last step at which a short table stops
ROW = (
    "observable", "step", "process", "reference", "reference_error", "reference_exact", "other",
    "other_error", "other_exact", "difference", "lower", "upper", "predicted", "verdict",
)  # fmt: skip
VARIABLES = (
    "estimate", "standard_error", "exact", "difference", "difference_lower", "difference_upper", "predicted",
    "verdict",
)  # fmt: skip
ORDER_ROW = (
    "process", "quantity", "slope", "slope_error", "claimed", "constant", "constant_predicted",
    "smallest_step_size", "largest_step_size",
)  # fmt: skip


def shown_steps(dataset: xarray.Dataset) -> list[int]:
    """About five of the recorded steps after the start, denser early on, the last one included."""
    recorded = [int(step) for step in dataset["step"].values if step > 0] or [0]
    steps = np.array(recorded)
    return sorted({recorded[int(np.abs(steps - part * steps[-1]).argmin())] for part in SHOWN})


def rows(dataset: xarray.Dataset, steps: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """One dict for each observable, other process and step, with the keys `ROW`.

    Parameters
    ----------
    dataset : xarray.Dataset
        The dataset of a `Laws`.
    steps : sequence of int, optional
        Recorded steps; default `shown_steps`.

    Raises
    ------
    InvalidInput
        If a step was not recorded.
    """
    chosen = shown_steps(dataset) if steps is None else [int(step) for step in steps]
    recorded = dataset["step"].values.tolist()
    for step in chosen:
        if step not in recorded:
            raise InvalidInput(f"step {step} was not recorded; recorded are {recorded}")
    places = [recorded.index(step) for step in chosen]
    arrays = {name: dataset[name].values for name in VARIABLES}
    return [
        _row(arrays, observable, process, place)
        | {"observable": name, "step": recorded[place], "process": label}
        for observable, name in enumerate(dataset["observable"].values.tolist())
        for process, label in enumerate(dataset["process"].values.tolist())
        if process > 0
        for place in places
    ]


def _row(arrays: dict[str, np.ndarray], observable: int, process: int, step: int) -> dict[str, Any]:
    first, second = (0, observable, step), (process, observable, step)
    return {
        "reference": float(arrays["estimate"][first]),
        "reference_error": float(arrays["standard_error"][first]),
        "reference_exact": bool(arrays["exact"][first[:2]]),
        "other": float(arrays["estimate"][second]),
        "other_error": float(arrays["standard_error"][second]),
        "other_exact": bool(arrays["exact"][second[:2]]),
        "difference": float(arrays["difference"][second]),
        "lower": float(arrays["difference_lower"][second]),
        "upper": float(arrays["difference_upper"][second]),
        "predicted": float(arrays["predicted"][second]),
        "verdict": str(arrays["verdict"][second]),
    }


def laws_grid(dataset: xarray.Dataset, steps: Sequence[int] | None = None) -> Grid:
    """The verdict table of `rows`, grouped by observable and process."""
    reference = dataset["process"].values.tolist()[0]
    columns = (
        "step", "reference", "other", "difference",
        f"{100 * dataset.attrs['confidence']:g} % interval", "predicted", "verdict",
    )  # fmt: skip
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in rows(dataset, steps):
        title = f"{_named(dataset, row['observable'])}: {row['process']} against {reference}"
        groups.setdefault(title, []).append(_cells(row))
    return Grid(columns, tuple((title, tuple(cells)) for title, cells in groups.items()))


def _named(dataset: xarray.Dataset, observable: str) -> str:
    name = sentences.label(dataset, observable)
    return name if name == observable else f"{observable} ({name})"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    interval = f"[{number(row['lower'], sign=True)}, {number(row['upper'], sign=True)}]"
    if row["reference_exact"] and row["other_exact"]:
        interval = "exact"
    elif not math.isfinite(row["lower"] + row["upper"]):
        interval = NOTHING
    return (
        str(row["step"]),
        with_error(row["reference"], row["reference_error"], row["reference_exact"]),
        with_error(row["other"], row["other_error"], row["other_exact"]),
        number(row["difference"], sign=True),
        interval,
        number(row["predicted"], sign=True),
        row["verdict"],
    )


def laws_text(dataset: xarray.Dataset, steps: Sequence[int] | None = None) -> str:
    """The verdict table and what must be known to read it, in 100 columns."""
    head = [wrapped(sentences.title(dataset)), wrapped(sentences.setting(dataset)), ""]
    below = [
        wrapped(sentence)
        for part in (
            [sentences.reading(dataset)],
            sentences.budget(dataset),
            sentences.stability(dataset),
            sentences.mismatches(dataset),
            sentences.overflowed(dataset),
        )
        for sentence in part
    ]
    return "\n".join([*head, laws_grid(dataset, steps).text(), "", *below])


def to_csv(table: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Rows as CSV text with every digit; exact values have standard error 0."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: "" if _is_nan(row[key]) else row[key] for key in columns} for row in table)
    return file.getvalue()


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def order_rows(dataset: xarray.Dataset) -> list[dict[str, Any]]:
    """One dict for each process and quantity of an `Orders`, with the keys `ORDER_ROW`."""
    table = []
    for process in dataset["process"].values.tolist():
        for quantity in dataset["quantity"].values.tolist():
            here = dataset.sel(process=process, quantity=quantity)
            names = ("slope", "slope_error", "claimed", "constant", "constant_predicted")
            ladder = dataset["step_size"].values
            table.append(
                {"process": process, "quantity": quantity}
                | {name: float(here[name]) for name in names}
                | {"smallest_step_size": float(ladder.min()), "largest_step_size": float(ladder.max())}
            )
    return table


def orders_grid(dataset: xarray.Dataset) -> Grid:
    """Observed order and leading constant against the claimed ones, grouped by process."""
    columns = ("observed order", "claimed", "constant", "predicted", "ratio", "error of")
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in order_rows(dataset):
        constant, predicted = row["constant"], row["constant_predicted"]
        if abs(predicted) < 1e-9 * abs(constant):
            predicted = 0.0  # theory says none, to rounding
        ratio = constant / predicted if predicted else math.nan
        slope = f"{row['slope']:.3f} ±{number(row['slope_error'], 1)}"
        if math.isnan(row["slope"]):
            slope = NOTHING  # the error changes sign along the ladder, or is rounding
        claimed = NOTHING if math.isnan(row["claimed"]) else f"{row['claimed']:g}"
        cells = (slope, claimed, number(constant), number(predicted), number(ratio))
        groups.setdefault(row["process"], []).append((*cells, row["quantity"]))
    return Grid(columns, tuple((title, tuple(cells)) for title, cells in groups.items()))


def orders_text(dataset: xarray.Dataset) -> str:
    """The table of orders and how to read it, in 100 columns."""
    parts = [wrapped(sentences.orders_title(dataset)), "", orders_grid(dataset).text(), ""]
    return "\n".join([*parts, wrapped(sentences.orders_reading(dataset))])


def budget_grid(dataset: xarray.Dataset) -> Grid:
    """Parts of the error budget of the expected risk at the last step, grouped by process, largest first."""
    groups = []
    for process in dataset["process"].values.tolist()[1:]:
        parts = tuple(
            (number(value, sign=True), "±" + number(error, 1) if error else "exact", part)
            for part, value, error in sentences.budget_parts(dataset, process)
        )
        if parts:
            groups.append((process, parts))
    return Grid(("value", "standard error", "part"), tuple(groups))


def laws_html(dataset: xarray.Dataset) -> str:
    """The verdict table and its notes as HTML, for notebooks."""
    notes = [
        sentences.reading(dataset),
        *sentences.budget(dataset),
        *sentences.stability(dataset),
        *sentences.mismatches(dataset),
        *sentences.overflowed(dataset),
    ]
    title, setting = html.escape(sentences.title(dataset)), html.escape(sentences.setting(dataset))
    heading = f"<p><strong>{title}</strong><br>{setting}</p>"
    return heading + laws_grid(dataset).html() + paragraphs(notes)


def orders_html(dataset: xarray.Dataset) -> str:
    """The table of orders and how to read it as HTML, for notebooks."""
    heading = f"<p><strong>{html.escape(sentences.orders_title(dataset))}</strong></p>"
    return heading + orders_grid(dataset).html() + paragraphs([sentences.orders_reading(dataset)])


def paragraphs(texts: Sequence[str]) -> str:
    """Texts as escaped HTML paragraphs."""
    return "".join(f"<p>{html.escape(text)}</p>\n" for text in texts)

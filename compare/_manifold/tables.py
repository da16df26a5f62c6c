"""The tables of compare.manifold, and the sentences that say how to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..text_table import NOTHING, TextTable, number, with_error
from .error_expansion import term

if TYPE_CHECKING:
    import xarray

ROW = (
    "observable", "noise_level", "step_size", "step", "estimate", "estimate_error", "limit", "limit_error", "error",
    "error_error", "relative", "ratio",
)  # fmt: skip


def rows(dataset: xarray.Dataset) -> list[dict[str, Any]]:
    """One dict for each observable, noise level and step size, at the last time; `ratio` to the step size before."""
    table = []
    last = dataset.isel(time=-1)
    for observable in dataset["observable"].values.tolist():
        for j, level in enumerate(dataset["noise_level"].values):
            before = np.nan
            for i, size in enumerate(dataset["step_size"].values):
                here = last.sel(observable=observable).isel(step_size=i, noise_level=j)
                names = ("estimate", "estimate_error", "limit", "limit_error", "error", "error_error")
                row = {"observable": observable, "noise_level": float(level), "step_size": float(size)}
                row |= {"step": int(here["steps"])} | {name: float(here[name]) for name in names}
                row["relative"] = row["error"] / abs(row["limit"]) if row["limit"] else np.nan
                row["ratio"] = row["error"] / before if before else np.nan
                before = row["error"]
                table.append(row)
    return table


def errors_table(dataset: xarray.Dataset) -> TextTable:
    """Both sides and their difference, a group for each observable and noise level."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in rows(dataset):
        level = "" if np.isnan(row["noise_level"]) else f", noise level {number(row['noise_level'])}"
        groups.setdefault(row["observable"] + level, []).append(
            (
                number(row["step_size"]),
                str(row["step"]),
                with_error(row["estimate"], row["estimate_error"], False),
                with_error(row["limit"], row["limit_error"], row["limit_error"] == 0),
                with_error(row["error"], row["error_error"], False, sign=True),
                NOTHING if np.isnan(row["relative"]) else f"{100 * row['relative']:+.2f} %",
                NOTHING if np.isnan(row["ratio"]) else f"{row['ratio']:.2f}",
            )
        )
    columns = ("step size", "step", "E at Phi(w)", "limit", "error", "relative", "ratio")
    return TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()))


def parts_table(dataset: xarray.Dataset) -> TextTable:
    """Fitted parts of the error: coefficient, and the part at the largest step size and noise level."""
    size, level = float(dataset["step_size"][0]), float(np.nan_to_num(dataset["noise_level"].values[0]))
    groups = []
    for observable in dataset["observable"].values.tolist():
        here = dataset.sel(observable=observable)
        cells = []
        for part in dataset["part"].values.tolist():
            value, error = float(here["coefficient"].sel(part=part)), float(here["coefficient_error"].sel(part=part))
            size_there = float(term(part, size, level))
            share = with_error(value * size_there, error * size_there, False, sign=True)
            verdict = str(here["verdict"].item()) if part == "what remains" else ""
            cells.append((with_error(value, error, False, sign=True), share, part, verdict))
        groups.append((f"parts of the error of {observable}", tuple(cells)))
    return TextTable(("coefficient", "at the largest", "part", "verdict"), tuple(groups))


def spreads_table(dataset: xarray.Dataset) -> TextTable:
    """Observed and predicted exponents of the spread."""
    cells = []
    for kind in dataset["kind"].values.tolist():
        for variable in dataset["variable"].values.tolist():
            here = dataset.sel(kind=kind, variable=variable)
            value, error = float(here["spread_exponent"]), float(here["spread_exponent_error"])
            if np.isfinite(value):
                bound = "at least " if kind == "tangential" else ""
                predicted = bound + f"{float(here['spread_exponent_predicted']):g}"
                cells.append((f"{value:.3f} ±{number(error, 1)}", predicted, f"{kind}, in the {variable}"))
    return TextTable(("exponent", "predicted", "spread"), (("spread of a path", tuple(cells)),))


def notes(dataset: xarray.Dataset) -> list[str]:
    """What was found, and how to read the tables."""
    attrs = dataset.attrs
    sentences = ["The limit: " + attrs["explanation"]]
    for observable in dataset["observable"].values.tolist():
        here = dataset.sel(observable=observable)
        rest, error = float(here["coefficient"][0]), float(here["coefficient_error"][0])
        change, order = float(here["change"]), float(here["order"])
        tolerance = f"{100 * attrs['tolerance']:g} % of the limit's change {number(change)}"
        text = (
            f"{observable} {here['verdict'].item()}: as step size and noise go to zero "
            f"{with_error(rest, error, False, True)} of the error remains (tolerance: {tolerance})."
        )
        if np.isfinite(order):
            text += f" Order in the step size over this ladder: {order:.2f} ±{number(float(here['order_error']), 1)}."
        sentences.append(text)
    sentences.append(
        "error = E of the observable at Phi(w_k), minus that of the limit at the same step; ±: one standard error; "
        f"ratio to the step size above. {attrs['paths']} paths a row, {100 * attrs['confidence']:g} % intervals decide "
        "the verdict: agrees, the whole interval lies within the tolerance; differs, all of it outside; undecided, "
        "neither."
    )
    return sentences

"""Tables of comparisons along a set of zero loss, and the sentences that say how to read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .text_table import NOTHING, TextTable, number, with_error

if TYPE_CHECKING:
    import xarray


ERROR_ROW = (
    "observable", "noise_level", "step_size", "step", "estimate", "estimate_error", "limit", "limit_error", "error",
    "error_error", "relative", "ratio",
)  # fmt: skip
TIME_ROW = (
    "passage", "kind", "regime", "step_size", "noise_level", "time", "time_error", "predicted", "steps",
    *(f"{variable}_{name}" for variable in ("step_size", "noise_level")
      for name in ("exponent", "exponent_error", "bias", "bias_error", "exponent_predicted", "verdict")),
    "displacement", "motion", "displacement_order",
)  # fmt: skip


def error_rows(dataset: xarray.Dataset) -> list[dict[str, Any]]:
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


def manifold_grids(dataset: xarray.Dataset) -> list[TextTable]:
    """The errors, their parts, and the spread."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in error_rows(dataset):
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
    errors = TextTable(columns, tuple((title, tuple(rows)) for title, rows in groups.items()))
    return [errors, _parts_grid(dataset), _spread_grid(dataset)]


def _parts_grid(dataset: xarray.Dataset) -> TextTable:
    """Fitted parts of the error: coefficient, and the part at the largest step size and noise level."""
    size, level = float(dataset["step_size"][0]), float(np.nan_to_num(dataset["noise_level"].values[0]))
    factors = {
        "what remains": 1.0, "step size": size, "noise level^2": level**2, "step size^2": size**2,
        "step size * noise level^2": size * level**2, "noise level^4": level**4,
    }  # fmt: skip
    groups = []
    for observable in dataset["observable"].values.tolist():
        here = dataset.sel(observable=observable)
        rows = []
        for part in dataset["part"].values.tolist():
            value, error = float(here["coefficient"].sel(part=part)), float(here["coefficient_error"].sel(part=part))
            share = with_error(value * factors[part], error * factors[part], False, sign=True)
            verdict = str(here["verdict"].item()) if part == "what remains" else ""
            rows.append((with_error(value, error, False, sign=True), share, part, verdict))
        groups.append((f"parts of the error of {observable}", tuple(rows)))
    return TextTable(("coefficient", "at the largest", "part", "verdict"), tuple(groups))


def _spread_grid(dataset: xarray.Dataset) -> TextTable:
    """Observed and predicted exponents of the spread."""
    rows = []
    for kind in dataset["kind"].values.tolist():
        for variable in dataset["variable"].values.tolist():
            here = dataset.sel(kind=kind, variable=variable)
            value, error = float(here["spread_exponent"]), float(here["spread_exponent_error"])
            if np.isfinite(value):
                bound = "at least " if kind == "tangential" else ""
                predicted = bound + f"{float(here['spread_exponent_predicted']):g}"
                rows.append((f"{value:.3f} ±{number(error, 1)}", predicted, f"{kind}, in the {variable}"))
    return TextTable(("exponent", "predicted", "spread"), (("spread of a path", tuple(rows)),))


def manifold_notes(dataset: xarray.Dataset) -> list[str]:
    """What was found, and how to read the tables."""
    attrs, notes = dataset.attrs, []
    notes.append("The limit: " + attrs["explanation"])
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
        notes.append(text)
    notes.append(
        "error = E of the observable at Phi(w_k), minus that of the limit at the same step; ±: one standard error; "
        f"ratio to the step size above. {attrs['paths']} paths a row, {100 * attrs['confidence']:g} % intervals decide "
        "the verdict: agrees, the whole interval lies within the tolerance; differs, all of it outside; undecided, "
        "neither."
    )
    return notes


def time_rows(dataset: xarray.Dataset) -> list[dict[str, Any]]:
    """One dict for each passage: its time as given, exponents in both variables, verdicts."""
    table = []
    for index, passage in enumerate(dataset["passage"].values.tolist()):
        here, first = dataset.isel(passage=index), _first(dataset, index)
        row = {"passage": passage, "kind": str(here["kind"].item()), "regime": str(here["regime"].item())}
        row |= {name: float(first[name]) for name in ("step_size", "noise_level", "time", "time_error", "predicted")}
        row["steps"] = int(dataset["steps"].values[dataset["passage_index"].values == index].max())
        for variable in dataset["variable"].values.tolist():
            side, key = here.sel(variable=variable), variable.replace(" ", "_")
            for name in ("exponent", "exponent_error", "bias", "bias_error", "exponent_predicted"):
                row[f"{key}_{name}"] = float(side[name])
            row[f"{key}_verdict"] = str(side["verdict"].item())
        row |= {name: float(here[name]) for name in ("displacement", "motion", "displacement_order")}
        table.append(row)
    return table


def _first(dataset: xarray.Dataset, index: int) -> xarray.Dataset:
    """The passage's measurement at the largest step size."""
    return dataset.isel(measurement=int(np.argmax(dataset["passage_index"].values == index)))


def times_grid(dataset: xarray.Dataset) -> TextTable:
    """Times and exponents, measured and predicted, grouped by what moves."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in time_rows(dataset):
        title = row["passage"] + (f" ({row['regime']})" if row["regime"] else "")
        level = NOTHING if np.isnan(row["noise_level"]) else number(row["noise_level"], 3)
        cells = [number(row["step_size"], 3), level]
        if row["regime"] == "trivial":
            cells += [f"> {row['steps']}", "inf", NOTHING, NOTHING, row["step_size_verdict"]]
        else:
            cells += [with_error(row["time"], row["time_error"], row["time_error"] == 0), number(row["predicted"])]
            verdicts = []
            for key in ("step_size", "noise_level"):
                cells.append(_exponent(row, key))
                if row[f"{key}_verdict"]:
                    verdicts.append(row[f"{key}_verdict"])
            cells.append(", ".join(dict.fromkeys(verdicts)))
        groups.setdefault(title, []).append(tuple(cells))
    columns = (
        "step size", "noise level", "steps", "predicted", "exponent in step size", "in noise level", "verdict",
    )  # fmt: skip
    return TextTable(columns, tuple((title, tuple(rows)) for title, rows in groups.items()))


def _exponent(row: dict[str, Any], key: str) -> str:
    value, error = row[f"{key}_exponent"], row[f"{key}_exponent_error"]
    if np.isnan(value):
        return NOTHING
    return f"{value:.3f} ±{number(error, 1)} ({row[f'{key}_exponent_predicted']:g})"


def times_notes(dataset: xarray.Dataset) -> list[str]:
    """The verdicts on processes that stand still, and how to read the table."""
    notes = []
    for row in time_rows(dataset):
        if row["regime"] != "trivial":
            continue
        moved, order = row["displacement"], row["displacement_order"]
        text = f"{row['passage']}: {row['step_size_verdict']}. "
        if moved == 0:
            text += f"Started on the zero-loss set it has moved by exactly 0 in {row['steps']} steps."
        else:
            text += f"From off the set it ends at most {number(moved, 3)} from Phi(w_0)"
            text += f" (order {order:.2f} in the step size)" if np.isfinite(order) else ""
            text += f", and over the last half of the run no path moves more than {number(row['motion'], 2)}."
        notes.append(text)
    attrs = dataset.attrs
    notes.append(
        "steps: measured at the step size and noise level of the row, ± one standard error; predicted: of the limit, "
        "or of the flow for a relaxation. Exponents as step size and noise go to zero, predicted ones in brackets: the "
        "leading bias, of the order of the step size and of the noise level squared, is fitted along from four rungs "
        "on. agrees: "
        f"the whole {100 * attrs['confidence']:g} % interval lies within {attrs['tolerance']:g} of the prediction; "
        "differs: all of it outside; undecided: neither; trivial: nothing moves."
    )
    return notes

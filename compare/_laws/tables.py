"""The tables of compare.laws: one row a process, then one a step; and the parts of the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from ..text_table import NOTHING, TextTable, number, rounded, with_error
from . import wording

if TYPE_CHECKING:
    import xarray

EARLY, LATER = (1, 2), 5  # steps of a short table: these, and so many more in geometric progression to the last
ROW = (
    "observable", "step", "process", "reference", "reference_error", "reference_exact", "other",
    "other_error", "other_exact", "difference", "lower", "upper", "band_lower", "band_upper", "scale", "predicted",
    "verdict", "caution",
)  # fmt: skip
NO_INTERVAL = "none: see notes"


def shown_steps(dataset: xarray.Dataset) -> list[int]:
    """About seven of the recorded steps after the start, 1, 2 and 5 first, then spread in the logarithm of the step."""
    recorded = [int(step) for step in dataset["step"].values if step > 0] or [0]
    steps = np.array(recorded)
    later = np.geomspace(min(5, recorded[-1]), recorded[-1], LATER) if recorded[-1] > 0 else np.zeros(0)
    near = {recorded[int(np.abs(np.log(steps / target)).argmin())] for target in (*EARLY, *later)}
    return sorted({recorded[0], recorded[-1], *near})


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
    arrays = {name: variable.values for name, variable in dataset.data_vars.items()}
    return [
        _row(arrays, observable, process, place)
        | {"observable": name, "step": recorded[place], "process": label}
        for observable, name in enumerate(dataset["observable"].values.tolist())
        for process, label in enumerate(dataset["process"].values.tolist())
        if process > 0
        for place in places
    ]


def _row(arrays: dict[Any, np.ndarray], observable: int, process: int, step: int) -> dict[str, Any]:
    first, second = (0, observable, step), (process, observable, step)
    row: dict[str, Any] = {}
    for side, place in (("reference", first), ("other", second)):
        row[side] = float(arrays["estimate"][place])
        row[f"{side}_error"] = float(arrays["standard_error"][place])
        row[f"{side}_exact"] = bool(arrays["exact"][place[:2]])
    row |= {"lower": float(arrays["difference_lower"][second]), "upper": float(arrays["difference_upper"][second])}
    for name in ("difference", "band_lower", "band_upper", "scale", "predicted"):
        row[name] = float(arrays[name][second])
    return row | {"verdict": str(arrays["verdict"][second]), "caution": str(arrays["caution"][second[:2]])}


def summary_rows(dataset: xarray.Dataset) -> list[dict[str, Any]]:
    """One dict for each observable and other process: its worst difference, as a part of its scale, of all steps."""
    found = []
    for observable in dataset["observable"].values.tolist():
        for process in dataset["process"].values.tolist()[1:]:
            here = dataset.sel(observable=observable, process=process)
            numbers = {
                name: float(here[f"worst_{name}"]) for name in ("difference", "lower", "upper", "scale")
            }
            found.append(
                {"observable": observable, "process": process, "step": int(here["worst_step"])}
                | numbers
                | {
                    "exact": bool(here["exact"] and dataset["exact"].sel(observable=observable)[0]),
                    "part": str(here["worst_part"].item()),
                    "verdict": str(here["overall"].item()),
                    "caution": str(here["caution"].item()),
                }
            )
    return found


SHORT = {"sampling correction": "sampling"}  # parts as a narrow column names them


def summary_table(dataset: xarray.Dataset) -> TextTable:
    """The verdicts: a group a process, in it the worst difference of each observable, with a band over all steps.

    The column "beware" holds numbers of the reasons that `wording.cautions` spells out.
    """
    reference = dataset["process"].values.tolist()[0]
    level = f"{100 * dataset.attrs['confidence']:g} % band"
    columns = ("observable", "worst difference", level, "of scale", "at step", "mostly", "beware", "verdict")
    numbers = wording.caution_numbers(dataset)
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in sorted(summary_rows(dataset), key=lambda row: dataset["process"].values.tolist().index(row["process"])):
        beware = [str(numbers[word]) for word in row["caution"].split("; ") if word]
        cells = (
            row["observable"],
            rounded(row["difference"], _half(row), sign=True),
            _interval(row, row["exact"]),
            _part_of(row["difference"], row["scale"]),
            str(row["step"]),
            SHORT.get(row["part"], row["part"]) or NOTHING,
            f"({','.join(beware)})" if beware else "",
            row["verdict"],
        )
        groups.setdefault(f"{row['process']} against {reference}", []).append(cells)
    return TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()), "Verdicts")


def _part_of(value: float, scale: float) -> str:
    if not (math.isfinite(value) and math.isfinite(scale)) or scale <= 0:
        return NOTHING
    return f"{number(100 * value / scale, 2, sign=True)} %"


def _half(row: dict[str, Any]) -> float:
    half = (row["upper"] - row["lower"]) / 2 if math.isfinite(row["upper"] - row["lower"]) else 0.0
    return half if half > 0 else 0.0


def _interval(row: dict[str, Any], exact: bool) -> str:
    lower, upper = row["lower"], row["upper"]
    if math.isnan(row["difference"]) or math.isinf(row["difference"]):
        return NOTHING
    if exact:
        return "exact"
    if not math.isfinite(lower + upper):
        return NO_INTERVAL
    half = _half(row)
    return f"[{rounded(lower, half, sign=True)}, {rounded(upper, half, sign=True)}]"


def steps_table(dataset: xarray.Dataset, steps: Sequence[int] | None = None) -> TextTable:
    """The long table of `rows`, grouped by observable and process."""
    reference = dataset["process"].values.tolist()[0]
    columns = (
        "step", "reference", "other", "difference",
        f"{100 * dataset.attrs['confidence']:g} % interval", "predicted", "verdict",
    )  # fmt: skip
    groups: dict[str, list[tuple[str, ...]]] = {}
    for row in rows(dataset, steps):
        title = f"{_named(dataset, row['observable'])}: {row['process']} against {reference}"
        groups.setdefault(title, []).append(_cells(row))
    return TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()), "Step by step")


def _named(dataset: xarray.Dataset, observable: str) -> str:
    name = wording.label(dataset, observable)
    return name if name == observable else f"{observable} ({name})"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["step"]),
        with_error(row["reference"], row["reference_error"], row["reference_exact"]),
        with_error(row["other"], row["other_error"], row["other_exact"]),
        rounded(row["difference"], _half(row), sign=True),
        _interval(row, row["reference_exact"] and row["other_exact"]),
        number(row["predicted"], sign=True),
        row["verdict"],
    )


def budget_table(dataset: xarray.Dataset) -> TextTable:
    """Parts of the error budget of the expected risk at the last step, grouped by process, largest first."""
    groups = []
    for process in dataset["process"].values.tolist()[1:]:
        parts = tuple(
            (number(value, sign=True), error, part)
            for part, value, error in wording.budget_parts(dataset, process)
        )
        if parts:
            total = float(dataset["budget_sum"].sel(process=process).isel(step=-1))
            groups.append((process, (*parts, (number(total, sign=True), "exact", wording.SUM))))
    return TextTable(("value", "standard error", "part"), tuple(groups), "Error budget")

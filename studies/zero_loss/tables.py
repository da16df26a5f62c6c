"""Tables and sentences of the study on zero-loss sets: every prediction beside its measurement, and what was found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.text_table import TextTable, number, with_error, wrapped

from .regression_tables import matrix_grid, matrix_reading, regression_grid, regression_rows, trial_grid, trial_notes
from .sparse_regression import SELECTS, nonzero
from .tried import rejected

if TYPE_CHECKING:
    import xarray

    from .study import ZeroLossResult

ROW = (
    "part", "process", "quantity", "step_size", "noise_level", "steps", "measured", "measured_error", "predicted",
    "predicted_error", "gap", "gap_error", "verdict", "paths_needed",
)  # fmt: skip


def rows(result: ZeroLossResult) -> list[dict[str, Any]]:
    """One dict with the keys `ROW` for each prediction.

    gap: measured minus predicted; on the small models what remains of it as step size and noise level go to zero.
    """
    table = []
    for along in result.trajectories:
        for name, comparison in along.comparisons.items():
            data = comparison.dataset
            first = data.isel(step_size=0, noise_level=0, time=-1, observable=0)
            values = first["estimate"], first["estimate_error"], first["limit"], first["limit_error"]
            gap = data["coefficient"][0, 0], data["coefficient_error"][0, 0]
            where = float(data["step_size"][0]), float(data["noise_level"][0]), int(first["steps"])
            quantity = str(data["observable"].values[0])
            table.append(_row(along.scene.name, name, quantity, where, values, gap, str(data["verdict"].values[0])))
    for row in result.scales.table():
        for variable in ("step_size", "noise_level"):
            verdict = row[f"{variable}_verdict"]
            if verdict:
                value, error = row[f"{variable}_exponent"], row[f"{variable}_exponent_error"]
                predicted = row[f"{variable}_exponent_predicted"]
                quantity = "standstill" if row["regime"] == "trivial" else f"exponent in {variable.replace('_', ' ')}"
                where = row["step_size"], row["noise_level"], row["steps"]
                pair = value, error, predicted, 0.0
                table.append(
                    _row("time scales", row["time_scale"], quantity, where, pair, (value - predicted, error), verdict)
                )
    for data in result.regressions:
        table += regression_rows(data)
    return table


def _row(
    part: str, process: str, quantity: str, where: tuple[float, float, int], values: Any, gap: Any, verdict: str
) -> dict[str, Any]:
    numbers = [float(value) for value in (*values, *gap)]
    return dict(zip(ROW, (part, process, quantity, *where, *numbers, verdict, np.nan)))


def motion_grid(result: ZeroLossResult) -> TextTable:
    """The predictions on the small models."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    formulas = {along.scene.name: along for along in result.trajectories}
    for row in rows(result):
        along = formulas.get(row["part"])
        if along is None:
            continue
        groups.setdefault(f"{row['part']}: {along.scene.formula}", []).append(
            (
                f"{row['step_size']:g}",
                number(row["noise_level"], 3),
                str(row["steps"]),
                with_error(row["measured"], row["measured_error"], False),
                with_error(row["predicted"], row["predicted_error"], row["predicted_error"] == 0),
                with_error(row["gap"], row["gap_error"], False, sign=True),
                f"{row['verdict']}: {row['process']}",
            )
        )
    columns = ("step size", "noise level", "steps", "measured", "limit", "what remains", "verdict")
    return TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()))


def motion_reading(result: ZeroLossResult) -> str:
    """How that table is to be read."""
    study = result.study
    return (
        "measured: E of the displacement of Phi(w_k) along the limit's way (its square where the limit is random or "
        f"stands still) at the largest step size and noise level, over {study.paths} paths, ± one standard error; "
        "limit: the same of the limit. what remains: their difference as step size and noise level go to zero, fitted "
        f"over the ladder of both. agrees: its whole {100 * study.confidence:g} % interval lies within "
        f"{100 * study.tolerance:g} % of the limit's change (within that number itself where nothing changes); "
        "differs: all of it outside; undecided: neither."
    )


def subsets_grid(result: ZeroLossResult) -> TextTable:
    """Test errors on many random subsets of the real rows."""
    cells = []
    for name, values in result.subsets.items():
        error = values.std(ddof=1) / np.sqrt(values.size)
        cells.append((with_error(values.mean(), error, False), number(float(np.median(values))), name))
    title = f"{next(iter(result.subsets.values())).size} random subsets of {result.study.rows} rows"
    return TextTable(("mean test error", "median", "interpolator"), ((title, tuple(cells)),))


def _said(data: xarray.Dataset, name: str) -> str:
    here = data.sel(mechanism=name).isel(start=0)
    value = with_error(float(here["test_error"][-1]), float(here["test_error_error"][-1]), False)
    return f"{name} {value} (limit {number(float(here['test_error_limit'][-1]), 3)})"


def finding(result: ZeroLossResult) -> str:
    """What was found, computed from the data."""
    synthetic, real = result.regressions
    steps, count = int(synthetic["step"][-1]), synthetic.sizes["feature"]
    kept = synthetic["coefficients"].isel(start=0)
    sparse, dense = (int(nonzero(kept.sel(mechanism=name).values)) for name in ("label noise", "Dropout"))
    names = ("label noise", "Dropout", "DropConnect", "minibatch")
    ends = [number(float(value), 3) for value in synthetic["test_error"].sel(mechanism="minibatch")[:, -1]]
    errors = {name: float(real["test_error"].sel(mechanism=name)[0, -1]) for name in names}
    order = ", ".join(f"{name} {number(errors[name], 3)}" for name in sorted(names, key=errors.__getitem__))
    baseline = float(real["zero_test_error"])
    tail = f", all worse than the mean of the labels ({number(baseline, 3)})" if min(errors.values()) > baseline else ""
    counts = Counter(row["verdict"] for row in rows(result))
    words = {
        "agrees": "agree",
        "undecided": "are undecided",
        "differs": "differ",
        "trivial": "stands still as predicted",
        "moves": "moves against prediction",
    }
    paired = result.subsets[SELECTS["label noise"]] - result.subsets[SELECTS["Dropout"]]
    excess = with_error(paired.mean(), paired.std(ddof=1) / np.sqrt(paired.size), False, sign=True)
    said = ", ".join(f"{counts[verdict]} {word}" for verdict, word in words.items() if counts[verdict])
    refused, wrong = rejected(real)
    return (
        f"After {steps} steps on sparse data the diagonal network has {sparse} of {count} coefficients under label "
        f"noise and {dense} under Dropout; test errors: {'; '.join(_said(synthetic, name) for name in names)}. "
        f"Minibatch noise selects nothing: from its two starts it ends at {' and '.join(ends)}. On "
        f"{real.attrs['task']} ({real.attrs['rows']} rows, {real.sizes['feature']} features) the order is "
        f"{order}{tail}; over {paired.size} random subsets of the rows the interpolator that label noise prefers "
        f"exceeds that of Dropout by {excess} in test error. Of {wrong} limits of other mechanisms there, tried against each "
        f"measured one, {refused} are rejected. Of {sum(counts.values())} predictions: {said}."
    )


def text(result: ZeroLossResult) -> str:
    """Tables and the finding, in about 100 columns."""
    parts = [motion_grid(result).text(), wrapped(motion_reading(result)), str(result.scales)]
    for data in result.regressions:
        grids = [grid.text() for grid in (trial_grid(data), matrix_grid(data), regression_grid(data))]
        parts += [wrapped(data.attrs["preparation"]), *grids, *map(wrapped, trial_notes(data))]
    parts.append(wrapped(matrix_reading(result.regressions[0])))
    return "\n\n".join([*parts, subsets_grid(result).text(), wrapped(finding(result))])

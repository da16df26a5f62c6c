"""Tables and sentences of the study on zero-loss sets: every prediction beside its measurement, and what was found."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.estimates import normal_quantile
from sgdlimits.compare.text_table import TextTable, number, with_error, wrapped

from .network_tables import network_finding, network_grid, network_reading, network_rows
from .regression_tables import matrix_grid, matrix_reading, regression_grid, regression_rows, trial_grid, trial_notes
from .sparse_regression import SELECTS, nonzero
from .tried import rejected

if TYPE_CHECKING:
    import xarray

    from .path_convergence import PathConvergence
    from .study import ZeroLossResult

ROW = (
    "part", "process", "quantity", "step_size", "noise_level", "steps", "measured", "measured_error", "predicted",
    "predicted_error", "gap", "gap_error", "margin", "verdict", "paths_needed", "controls",
)  # fmt: skip


def rows(result: ZeroLossResult) -> list[dict[str, Any]]:
    """One dict with the keys `ROW` for each prediction.

    gap: measured minus predicted; on the small models what remains of it as step size and noise level go to zero, and
    in the regressions the largest part of the limit's change, each where it is worst; of the network measured and
    predicted are changes of the test error, by the limit at the step size. gap_error: half of its interval
    or simultaneous band; the other errors are standard errors. margin: the tolerance of that gap. paths_needed: about
    how many would decide.
    """
    table = []
    for along in result.trajectories:
        for name, comparison in along.comparisons.items():
            data = comparison.dataset
            quantity = str(data["observable"].values[0])
            own, *controls = comparison.judgements(quantity)
            first = data.isel(step_size=0, noise_level=0, time=-1, observable=0)
            values = first["estimate"], first["estimate_error"], first["limit"], first["limit_error"]
            where = float(data["step_size"][0]), float(data["noise_level"][0]), int(first["steps"])
            row = _row(
                along.scene.name, name, quantity, where, values, (own["gap"], own["band"]), own["verdict"],
                own["paths"], own["margin"],
            )  # fmt: skip
            row["controls"] = "; ".join(f"{control['against']}: {control['verdict']}" for control in controls)
            table.append(row)
    z, judging = normal_quantile(result.study.confidence), result.study.tolerance
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
                    _row(
                        "time scales", row["time_scale"], quantity, where, pair, (value - predicted, z * error),
                        verdict, margin=judging,
                    )
                )
    for data in result.regressions:
        table += regression_rows(data)
    for each in result.paths:
        table += _path_rows(each, z)
    table += network_rows(result.network, result.study.confidence, judging)
    return [dict.fromkeys(ROW, "") | row for row in table]


def _path_rows(each: PathConvergence, z: float) -> list[dict[str, Any]]:
    """A row for each order, distance or probability of a comparison of paths, at its smallest step size."""
    data, table = each.found.dataset, []
    level = float(data["noise_level_slow"][0])
    for name in data["row"].values.tolist():
        here = data.sel(row=name)
        order, last = float(here["order"]), here.isel(step_size=-1)
        value, half = float(last["value"]), float(last["upper"] - last["lower"]) / 2
        orders = here["kind"].item() == "order"
        numbers = (value, half, 0.0, 0.0)
        if orders:
            numbers = order, float(here["order_error"]), float(here["predicted"]), 0.0
        where = float(data["step_size"][0 if orders else -1]), level, -1
        row = _row(
            f"paths: {each.name}", str(here["phase"].item()), f"{'order of ' if orders else ''}{name}", where, numbers,
            (numbers[0] - numbers[2], z * numbers[1] if orders else numbers[1]), str(here["verdict"].item()),
            float(here["paths_needed"]), float(data.attrs["tolerance"]),
        )  # fmt: skip
        row["controls"] = f"wrong drift: {here['control_verdict'].item()}" if here["control_verdict"].item() else ""
        table.append(row)
    return table


def _row(
    part: str, process: str, quantity: str, where: tuple[float, float, int], values: Any, gap: Any, verdict: str,
    paths: float = np.nan, margin: float = np.nan,
) -> dict[str, Any]:  # fmt: skip
    numbers = [float(value) for value in (*values, *gap)]
    return dict(zip(ROW, (part, process, quantity, *where, *numbers, margin, verdict, paths)))


def motion_grid(result: ZeroLossResult) -> TextTable:
    """The predictions on the small models."""
    groups: dict[str, list[tuple[str, ...]]] = {}
    formulas = {along.scene.name: along for along in result.trajectories}
    for row in rows(result):
        along = formulas.get(row["part"])
        if along is None:
            continue
        controls = row["controls"].split("; ") if row["controls"] else []
        failed = sum(control.endswith("differs") for control in controls)
        more = f", {number(row['paths_needed'], 3)}" if np.isfinite(row["paths_needed"]) else ""
        groups.setdefault(f"{row['part']}: {along.scene.formula}", []).append(
            (
                number(row["noise_level"], 3),
                with_error(row["measured"], row["measured_error"], False),
                with_error(row["predicted"], row["predicted_error"], row["predicted_error"] == 0),
                with_error(row["gap"], row["gap_error"], False, sign=True),
                number(row["margin"], 2),
                f"{failed} of {len(controls)}",
                f"{row['verdict']}{more}: {row['process']}",
            )
        )
    columns = ("noise level", "measured", "limit", "what remains", "tolerance", "controls fail", "verdict")
    return TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()))


def motion_reading(result: ZeroLossResult) -> str:
    """How that table is to be read."""
    study = result.study
    sizes = ", ".join(f"{along.scene.step_size:g} on the {along.scene.name}" for along in result.trajectories)
    return (
        "measured: E of the displacement of Phi(w_k) along the limit's way (its square where the limit is random or "
        f"stands still) at the end of a run, at the largest step size ({sizes}) and noise level, over {study.paths} "
        "paths, ± one standard error; limit: the same of the limit. what remains: their difference as step size and "
        "noise level go to zero, fitted over the ladder of both, at the one of the recorded times where it is worst, "
        f"± half of a band that holds at all of them ({100 * study.confidence:g} %). tolerance: "
        f"{100 * study.tolerance:g} % of what the limit changes, or of the transient where it stands still. agrees: "
        "the band lies within it throughout; differs: outside at some time; undecided: neither, and about how many "
        "paths would decide. Controls are wrong limits, one that stands still and one twice as fast (one that moves, "
        "where the limit stands still), held against the same measurement: they must fail."
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
    everyone = real["mechanism"].values.tolist()
    ends = [number(float(value), 3) for value in synthetic["test_error"].sel(mechanism="minibatch")[:, -1]]
    errors = {name: float(real["test_error"].sel(mechanism=name)[0, -1]) for name in everyone}
    spread = {name: float(real["test_error_error"].sel(mechanism=name)[0, -1]) for name in everyone}
    order = ", ".join(
        f"{name} {with_error(errors[name], spread[name], False)}" for name in sorted(everyone, key=errors.__getitem__)
    )
    baseline = float(real["zero_test_error"])
    tail = f", all worse than the mean of the labels ({number(baseline, 3)})" if min(errors.values()) > baseline else ""
    counts = Counter(row["verdict"] for row in rows(result))
    words = {
        "agrees": "agree",
        "undecided": "are undecided",
        "differs": "differ",
        "floor": "end above a floor that vanishes along their ladder",
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
        f"{real.attrs['task']} ({real.attrs['rows']} rows, {real.sizes['feature']} features) they are "
        f"{order}{tail}; over {paired.size} random subsets of the rows the interpolator that label noise prefers "
        f"exceeds that of Dropout by {excess} in test error. Of {wrong} limits of other mechanisms there, tried "
        f"against each measured one, {refused} are rejected. "
        f"{network_finding(result.network, result.study.confidence, result.study.tolerance)} "
        f"Of {sum(counts.values())} predictions: {said}."
    )


def text(result: ZeroLossResult) -> str:
    """Tables and the finding, in about 100 columns."""
    parts = [motion_grid(result).text(), wrapped(motion_reading(result)), str(result.scales)]
    for each in result.paths:
        parts += [wrapped(f"{each.name}. {each.question}"), str(each.found)]
    for data in result.regressions:
        grids = [grid.text() for grid in (trial_grid(data), matrix_grid(data), regression_grid(data))]
        parts += [wrapped(data.attrs["preparation"]), *grids, *map(wrapped, [*trial_notes(data), matrix_reading(data)])]
    parts.append(subsets_grid(result).text())
    return "\n\n".join([*parts, *network_text(result), wrapped(finding(result))])


def network_text(result: ZeroLossResult) -> list[str]:
    """Tables and sentences of the two-layer network."""
    data, confidence, tolerance = result.network, result.study.confidence, result.study.tolerance
    grid, reading = network_grid(data, confidence, tolerance), network_reading(data, confidence)
    return [wrapped(data.attrs["preparation"]), grid.text(), wrapped(reading)]

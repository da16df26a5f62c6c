"""Tables of the regressions: limits beside what is measured, every limit against every mechanism, what is selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.estimates import student_quantile
from sgdlimits.compare.floors import fall_of, least_fall
from sgdlimits.compare.text_table import NOTHING, TextTable, number, with_error

from .sparse_regression import SELECTS, nonzero
from .tried import QUANTITIES, only_moves, rejected

if TYPE_CHECKING:
    import xarray

SAME = 1e-6  # limits nearer than this part of the way are one limit
ROUNDING = 1e-20  # a test error below this is zero


def regression_rows(data: xarray.Dataset) -> list[dict[str, Any]]:
    """Each mechanism's own limit in both quantities, at the step where it is missed most, and the ratio at the end."""
    table = []
    half = student_quantile(data.attrs["confidence"], data.attrs["paths"] - 1)
    for name in data["mechanism"].values.tolist():
        for start in data["start"].values:
            here = data.sel(mechanism=name, start=start)
            row = {"part": data.attrs["task"], "process": name, "step_size": data.attrs["step_size"]}
            row["noise_level"] = float(here["noise_level"])
            for quantity in QUANTITIES:
                own = here.sel(quantity=quantity, tried=name)
                at, scale = int(own["trial_step"]), float(own["trial_change"])
                gap, band = float(own["trial_gap"]), float(own["trial_band"])
                values = dict.fromkeys(("measured", "measured_error", "predicted", "predicted_error"), np.nan)
                if quantity == QUANTITIES[1]:
                    looked = here.sel(step=at)
                    values["measured"], values["measured_error"] = (
                        float(looked[key]) for key in ("test_error", "test_error_error")
                    )
                    values["predicted"], values["predicted_error"] = float(looked["test_error_limit"]), 0.0
                table.append(
                    row | values | {
                        "quantity": f"{quantity}, start {start:g}, part of the limit's change", "steps": at,
                        "gap": gap / scale, "gap_error": band / scale, "margin": data.attrs["tolerance"],
                        "verdict": own["trial_verdict"].item(),
                        "paths_needed": float(own["trial_paths"]),
                    }
                )  # fmt: skip
            if here["floor"].item():
                names = ("test_error", "test_error_error", "test_error_limit")
                end = {key: float(here[key].isel(step=-1)) for key in names}
                table.append(
                    row | {
                        "quantity": f"ratio of the test error, start {start:g}", "steps": int(data["step"][-1]),
                        "measured": end["test_error"], "measured_error": end["test_error_error"],
                        "predicted": end["test_error_limit"], "predicted_error": 0.0,
                        "gap": end["test_error"] / end["test_error_limit"] - 1,
                        "gap_error": half * end["test_error_error"] / end["test_error_limit"],
                        "margin": data.attrs["tolerance"],
                        "verdict": here["floor"].item(), "paths_needed": np.nan,
                    }
                )  # fmt: skip
    return table


def trial_grid(data: xarray.Dataset) -> TextTable:
    """Each mechanism beside its own limit, a group for each start."""
    groups = []
    for start in data["start"].values:
        cells = []
        for name in data["mechanism"].values.tolist():
            here = data.sel(mechanism=name, start=start, tried=name)
            row: list[str] = []
            for quantity in QUANTITIES:
                side = here.sel(quantity=quantity)
                moved = NOTHING if here["regime"].item() == "trivial" else number(float(side["trial_change"]), 3)
                row += [moved, _share(side), _verdict(side)]
            cells.append((*row, name))
        groups.append((f"every u and v starts at {start:g}", tuple(cells)))
    columns = ("way", "gap, %", "verdict", "test error", "gap, %", "verdict", "mechanism")
    return TextTable(columns, tuple(groups), f"{data.attrs['task']}: every mechanism beside its own limit")


def _share(side: xarray.Dataset) -> str:
    """A gap in percent of what the limit changes, and half its band."""
    scale = float(side["trial_change"])
    return with_error(100 * float(side["trial_gap"]) / scale, 100 * float(side["trial_band"]) / scale, False, sign=True)


def _verdict(side: xarray.Dataset) -> str:
    """The verdict, and how many paths would decide one that is open."""
    paths = float(side["trial_paths"])
    return side["trial_verdict"].item() + (f", {paths:.0f}" if np.isfinite(paths) else "")


def trial_notes(data: xarray.Dataset) -> list[str]:
    """How the table of own limits is read, and what a second rung says of the rows that miss theirs."""
    attrs = data.attrs
    sentences = [
        f"Step size {attrs['step_size']:g} (0.4 over the largest curvature where the flow from the first start ends), "
        f"{attrs['paths']} paths; minibatches of {attrs['batch_size']} of the {attrs['rows']} rows. way: how far the "
        "limit gets in the weights; gap: of E Phi(w_k) along that way, measured minus limit, where it is largest "
        "over all recorded steps, in percent of the way, ± half of a band that holds at all of them together "
        f"({100 * attrs['confidence']:g} %). Of minibatch noise, whose limit stands still: the squared distance from "
        "it, in percent of the squared length of the fall to the set; over the last half of the run it must not "
        "move. Then the same of the test error: how far its limit moves, and the gap in percent of that. agrees: the "
        f"band lies within {100 * attrs['tolerance']:g} % throughout; differs: outside at some step; undecided: "
        "neither, and about how many paths would decide. The steps of the gaps stand in table.csv."
    ]
    for name in data["mechanism"].values.tolist():
        for start in data["start"].values:
            here = data.sel(mechanism=name, start=start)
            if np.isnan(float(here["finer_gap"])):
                continue
            own = here.sel(quantity=QUANTITIES[0], tried=name)
            scale, coarse = float(own["trial_change"]), float(here["noise_level"])
            halved = float(here["finer_noise_level"]) < coarse
            what, key = ("noise level", "noise_level") if halved else ("step size", "step_size")
            at = (coarse if halved else attrs["step_size"]), float(here[f"finer_{key}"])
            finer = with_error(
                100 * float(here["finer_gap"]) / scale, 100 * float(here["finer_band"]) / scale, False, sign=True
            )
            if own["trial_verdict"].item() == "differs":
                sentences.append(
                    f"{name} from {start:g} misses its limit by {_share(own)} % at {what} {number(at[0], 3)}, by "
                    f"{finer} % at {number(at[1], 3)} over the same time of the limit: {_fall(here, own, what)}."
                )
            if here["floor"].item():
                sentences.append(f"Test error of {name} from {start:g} at the end: {here['floor_sentence'].item()}")
    return sentences


def _fall(here: xarray.Dataset, own: xarray.Dataset, what: str) -> str:
    """Whether the gap falls to the second rung as what a finite noise or step adds, in words."""
    gaps, bands = (
        np.array([float(own[f"trial_{name}"]), float(here[f"finer_{name}"])]) for name in ("gap", "band")
    )
    return {
        "falls": "what finite noise and a finite step add",
        "stays": "it does not fall as what finite noise and a finite step add does",
        "open": "that it falls as what finite noise and a finite step add is not told by so few paths",
    }[fall_of(gaps, bands, least_fall(what, 0.5))]


def matrix_grid(data: xarray.Dataset) -> TextTable:
    """Every limit (columns) against every measured mechanism (rows), from the first start."""
    here, names = data.isel(start=0).sel(quantity=QUANTITIES[0]), data["mechanism"].values.tolist()
    marks = {"agrees": "agrees", "undecided": "undecided", "differs": ""}
    cells = []
    for name in names:
        row = []
        for tried in names:
            side = here.sel(mechanism=name, tried=tried)
            value = percent(100 * float(side["trial_gap"]) / float(side["trial_change"]))
            mark = "moves" if bool(only_moves(side)) else marks[side["trial_verdict"].item()]
            row.append(f"{value} {mark}".strip())
        cells.append((*row, name))
    title = f"{data.attrs['task']}: measured (rows) against the limit of (columns)"
    caption = (
        "Largest gap along the way of the limit that is tried, % of that way (minibatch: squared distance, % of the "
        "squared fall to the set); bare numbers: rejected; moves: rejected because it does not stand still"
    )
    return TextTable((*names, "measured"), ((title, tuple(cells)),), caption)


def percent(value: float) -> str:
    """A gap in percent: whole from 100 on, no more than two places below 1."""
    return f"{value:+.0f}" if abs(value) >= 100 else f"{value:+.2f}" if abs(value) < 1 else f"{value:+.1f}"


def matrix_reading(data: xarray.Dataset) -> str:
    """What the matrix found: how many wrong limits are rejected, and what it would take for the others."""
    here, names = data.isel(start=0), data["mechanism"].values.tolist()
    counts = {quantity: rejected(data, quantity) for quantity in QUANTITIES}
    text = (
        f"Of the {counts[QUANTITIES[0]][1]} limits of other mechanisms {counts[QUANTITIES[0]][0]} are rejected by the "
        f"displacement, and {counts[QUANTITIES[1]][0]} by the test error alone"
    )
    held, among = rejected(data, kept=True)
    if among < counts[QUANTITIES[0]][1]:
        text += f" (of the {among} in rows that do not reject their own limit too, {held})"
    ways = here.sel(quantity=QUANTITIES[0])
    for name in names:
        for tried in names:
            side = ways.sel(mechanism=name, tried=tried)
            verdict = side["trial_verdict"].item()
            if name == tried or verdict == "differs":
                continue
            scale, apart = float(side["trial_change"]), float(side["trial_apart"])
            text += f"; the limit of {tried} is not rejected by {name}: "
            if verdict == "undecided":
                text += f"about {float(side['trial_paths']):.0f} paths would do"
                continue
            if apart <= SAME * scale:
                text += "the two limits are the same, and no number of paths would tell them apart"
                continue
            needed = data.attrs["paths"] * (2 * float(side["trial_band"]) / apart) ** 2
            text += (
                f"the two limits are {100 * apart / scale:.2g} % of its way apart at most, less than the tolerance; at "
                f"a tolerance of half of that about {max(needed, 4):.0f} paths would tell them apart"
            )
    return text + "."


def regression_grid(data: xarray.Dataset) -> TextTable:
    """Measured, predicted and selected interpolators of one task, a group for each start."""
    groups = []
    for start in data["start"].values:
        cells = []
        for name in data["mechanism"].values.tolist():
            here = data.sel(mechanism=name, start=start)
            kept = here["coefficients"].values, here["coefficients_limit"].values
            cells.append(
                (
                    NOTHING if np.isnan(here["noise_level"]) else number(float(here["noise_level"]), 3),
                    with_error(float(here["test_error"][-1]), float(here["test_error_error"][-1]), False),
                    number(float(here["test_error_limit"][-1])),
                    number(max(float(here["selected_test_error"]), ROUNDING) - ROUNDING, 3),
                    f"{nonzero(kept[0])} ({nonzero(kept[1])})",
                    f"{number(np.abs(kept[0]).sum(), 3)} ({number(np.abs(kept[1]).sum(), 3)})",
                    here["floor"].item() or NOTHING,
                    name,
                )
            )
        groups.append((f"every u and v starts at {start:g}", tuple(cells)))
    columns = ("noise level", "test error", "limit", "in the end", "non-zero", "sum |b|", "ratio", "mechanism")
    said = f"{data.attrs['task']}: what is selected, after {int(data['step'][-1])} steps"
    return TextTable(columns, tuple(groups), said)


def regression_reading(data: xarray.Dataset) -> str:
    """How that table is to be read."""
    groups: dict[str, list[str]] = {}
    for name, preferred in SELECTS.items():
        groups.setdefault(preferred, []).append(name)
    prefers = "; ".join(f"{preferred} ({', '.join(names)})" for preferred, names in groups.items())
    return (
        "test error: at Phi(w_k), ± one standard error; limit: ManifoldLimit at the same step; in the end: of the "
        f"interpolator that the regulariser prefers, reached as time goes on: {prefers}, where z_j is the mean square "
        "of feature j. non-zero: coefficients above 1 % of the largest, and in brackets those of the limit; sum |b| "
        "likewise. ratio: where a limit falls below 1 % of its start, the verdict on measured over limit, over a "
        "second rung at half the noise level or step size; floor: what lies above the limit and vanishes along it."
    )

"""What compare.golden_path says above and below its tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..text_table import number, percent
from .functions import UNSNAPPED
from ..drops import BATCH, event

if TYPE_CHECKING:
    import xarray

ROUGH = 5e-3  # of a sharpness, relative: errors above it are shown


def heading(dataset: xarray.Dataset) -> list[str]:
    """What was run, the arms, and the regime."""
    told = dataset.attrs
    where = "online" if told["online"] else "offline"
    return [
        f"{told['name']}, {where}: {event(told)} at step {told['drop_at']} of {told['steps']}; "
        f"{told['seeds']} seeds, matched at {told['matched']}",
        f"high: {told['high']}; low: {told['low']}; noiseless: {told['noiseless']}.",
        regime(dataset),
    ]


def regime(dataset: xarray.Dataset) -> str:
    """The conditions under which the verdicts were seen: data, size of the drop, sharpness where it was measured."""
    told = dataset.attrs
    data = "fresh samples" if told["online"] else (
        f"the same samples {told['high_epochs']:.4g} times over (high) and {told['low_epochs']:.4g} (low)"
    )  # fmt: skip
    gap, low = dataset["gap"].values[:, 0], dataset["loss"].sel(arm="low").values[:, 0].mean()
    error = gap.std(ddof=1) / math.sqrt(gap.size)
    size = abs(gap.mean()) / error if error > 0 else math.inf
    part = f", {percent(gap.mean() / low)} % of the low run's loss" if gap.mean() < 10 * low else ""
    drop = f"gap at the drop {number(gap.mean(), 3, sign=True)}, {number(size, 2)} standard errors{part}"
    return f"Regime: {data}; {drop}{_stability(dataset)}."


def _stability(dataset: xarray.Dataset) -> str:
    """Step size times largest Hessian eigenvalue at the drop, with its range over seeds, and where its edge lies."""
    told = [_range(dataset, side) for side in dataset["side"].values.tolist()]
    if not any(told):
        return ""
    seeds = dataset.sizes["probe"]
    parts = [f"{words} ({side}{past_edge(dataset, side)})" for side, words in zip(("high", "low"), told) if words]
    edges = dict.fromkeys(number(float(edge), 3) for edge in dataset["edge"] if math.isfinite(edge))
    where = f"the edge of stability is {' and '.join(edges)}" if edges else str(dataset["edge_absent"].values[0])
    return f"; step size times largest Hessian eigenvalue at the drop {', '.join(parts)}, {seeds} seeds each; {where}"


def _range(dataset: xarray.Dataset, side: str) -> str:
    """Its mean at the drop with the least and the greatest of the seeds; empty where it is not known."""
    values = dataset["scaled_sharpness"].sel(side=side).values
    if not (values.size and np.isfinite(values).all()):
        return ""
    error = float(dataset["scaled_sharpness_error"].sel(side=side).mean())
    shown = f" ±{number(error, 1)}" if error > ROUGH * values.mean() else ""
    return f"{number(values.mean(), 3)}{shown} [{number(values.min(), 3)}, {number(values.max(), 3)}]"


def past_edge(dataset: xarray.Dataset, side: str) -> str:
    """Whether descent without noise would leave a parabola there: at all seeds, or at some."""
    here = dataset["scaled_sharpness"].sel(side=side).values > float(dataset["edge"].sel(side=side))
    if not here.any():
        return ""
    return ", past the edge of stability" + ("" if here.all() else f" at {here.sum()} of {here.size} seeds")


def notes(dataset: xarray.Dataset, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why, criterion by criterion, and how to read the tables."""
    told, found = dataset.attrs, []
    for row in rows:
        needed = "" if not math.isfinite(row["needed"]) else f" (about {row['needed']:.0f} seeds would decide)"
        found.append(f"{row['name']} {row['verdict']}: {row['why']}{needed}.")
    found.append(
        f"A verdict holds where the interval lies within the margin {told['margin']:g}, fails where it lies outside "
        f"(F2 to F4: beyond none at all), each wrong with probability {100 * told['level']:g} % at most; marginal: "
        "neither; void: not measurable. F1 takes the mean over the last "
        f"{100 * told['window']:g} % of the steps, F2 and F4 a band that holds at all recorded steps."
    )
    found.append(
        "phi: the gap over that at the drop; psi: over the loss of the low run. Gap: loss of the snapped run less that "
        "of the low run" + ("." if told["drop"] == BATCH else ", less the same of two noiseless runs.")
    )
    found += [each for each in (*_baselines(dataset), *_losses(told)) if each]
    beware: dict[str, list[str]] = {}
    for row in rows:
        if row["beware"]:
            beware.setdefault(row["beware"], []).append(row["name"])
    return found + [f"{', '.join(dict.fromkeys(names))}: {words}." for words, names in beware.items()]


def _baselines(dataset: xarray.Dataset) -> list[str]:
    """Which runs are one and the same."""
    told, found = dataset.attrs, []
    if told["silent"] and told["drop"] == BATCH:
        found.append("The low run has no noise: it is the noiseless one, so that F4 repeats F2.")
    if dataset.sizes["pair"]:
        if told["silent"]:
            found.append("Without noise, new data change nothing: there is no such baseline.")
        if told["one_start"]:
            found.append("All runs start at one place: there is no baseline of another start.")
        if UNSNAPPED in dataset["pair"].values:
            found.append(
                f"'{UNSNAPPED}' is no baseline at equal loss but a control: that far is the run whose noise stayed."
            )
    return found


def _losses(told: dict[str, Any]) -> list[str]:
    """How losses are known."""
    found = []
    if not told["formula"]:
        found.append(
            f"Losses are means over the test rows, with a common error of {told['loss_error']:.2g} that no seed shows: "
            "verdicts are about these rows."
        )
    if "no noise" not in told["noiseless"]:
        found.append("No formula gives the expectation here: the noiseless run is one of large fresh batches.")
    return found

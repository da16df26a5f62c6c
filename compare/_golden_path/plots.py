"""Pictures of compare.golden_path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..drops import SIZE, event
from ..estimates import half_width
from ..style import COLOURS, GREY, LINES, SMALL, axes_of, direct_labels, dress, plain_decades
from .functions import PAIRS, UNSNAPPED, equal

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = ("high", "snapped", "low", "noiseless")
CONFIDENCE = 0.95  # of an interval
SHOWN = 1e-8  # of the largest loss, below which none is drawn
AFTER = "SGD steps after the drop"


def losses(dataset: xarray.Dataset, ax: Axes | None = None, label: bool = True) -> Figure:
    """Mean losses with 95 % intervals over seeds; the drop as a vertical line. One axis of steps, or of their sums."""
    figure, ax = axes_of(ax)
    told, before, ends, least = dataset.attrs, dataset["before"].values, [], np.inf
    sums = told["drop"] == SIZE
    if sums:
        early, late, high = (dataset[name].values for name in ("early_time", "time", "high_time"))
    else:
        early, late = before, told["drop_at"] + dataset["after"].values
        high = late
    for place, name in enumerate(CURVES):
        of = dataset.sel(arm=name)
        values = np.concatenate([of["early_loss"].values, of["loss"].values], axis=1)
        here = slice(before.size if name == "snapped" else 0, None)
        steps = np.concatenate([early, high if name == "high" else late])
        mean, half = values.mean(axis=0), _half(values)
        ax.fill_between(
            steps[here], (mean - half)[here], (mean + half)[here], color=COLOURS[place], alpha=0.2, linewidth=0
        )
        ax.plot(steps[here], mean[here], color=COLOURS[place], linestyle=LINES[place], linewidth=1.3)
        ends.append((steps[-1], mean[-1], name, COLOURS[place]))
        least = min(least, mean.min())
    ax.axvline(late[0], color=GREY, linewidth=0.8, linestyle=":")
    if high[-1] > late[-1]:  # the undropped run goes farther than what it is compared with
        ax.set_xlim(right=late[-1] + 0.05 * (late[-1] - early[0]))
        there = float(np.interp(late[-1], high, dataset["loss"].sel(arm="high").mean("seed")))
        ends[0] = (late[-1], there, *ends[0][2:])
    _log_losses(ax, least)
    what = "expected loss" if told["formula"] else "loss on the test rows"
    dress(ax, what, "sum of step sizes" if sums else "SGD step")
    ax.set_title(
        f"{told['name']}, {'online' if told['online'] else 'offline'}; dotted: {event(told)}; bands: 95 %",
        fontsize=SMALL, loc="left", color=GREY,
    )  # fmt: skip
    if label:
        low, _ = ax.get_ylim()
        direct_labels(ax, [(x, max(y, low), name, colour) for x, y, name, colour in ends])
    return figure


def _half(values: np.ndarray) -> np.ndarray:
    """Half of Student's interval of means over the first axis (R, ...): seeds are few."""
    return half_width(values, CONFIDENCE)


def _log_losses(ax: Axes, least: float) -> None:
    """A logarithmic axis of losses, cut where a run without noise has come to rounding."""
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    ax.set_ylim(max(low, SHOWN * high) if least < SHOWN * high else low, high)
    plain_decades(ax)


def gaps(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """phi, or the gap where there was none at the drop, with 95 % intervals; the margin grey, exact values dashed."""
    figure, ax = axes_of(ax)
    told, after = dataset.attrs, dataset["after"].values
    void = np.isnan(dataset["phi"].values).all()
    name = "psi" if void else "phi"
    value, low, high = (dataset[name + end].values for end in ("", "_lower", "_upper"))
    ax.axhspan(-told["margin"], told["margin"], color=GREY, alpha=0.15, linewidth=0)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.errorbar(
        after, value, (value - low, high - value), color=COLOURS[1], marker="o", markersize=3, linewidth=1,
        elinewidth=0.7,
    )  # fmt: skip
    exact = dataset["exact_gap"].values
    known = bool(np.isfinite(exact).all()) and not void
    if known:
        ax.plot(after, exact / exact[0], color="black", linestyle="--", linewidth=1)
    ax.set_xscale("symlog", linthresh=max(1, after[after > 0].min()))
    ax.set_xlim(-0.3 * after[after > 0].min(), 1.2 * after[-1])
    ax.xaxis.set_major_formatter("{x:g}")
    dress(ax, "φ = gap / gap at the drop" if name == "phi" else "ψ = gap / loss of the low run", AFTER)
    title = f"{told['name']}, {'online' if told['online'] else 'offline'}; grey: within the margin ±{told['margin']:g}"
    ax.set_title(f"{title}; dashed: exact" if known else title, fontsize=SMALL, loc="left", color=GREY)
    return figure


def log_gaps(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """The mean gap with 95 % intervals on logarithmic axes, exact values dashed.

    Filled: its sign is known, a triangle where the snapped run is ahead; open: the upper end of what it may be.
    """
    figure, ax = axes_of(ax)
    told, after, gap = dataset.attrs, dataset["after"].values, dataset["gap"].values
    mean, half = gap.mean(axis=0), _half(gap)
    known = np.abs(mean) > half
    for behind, marker in ((True, "o"), (False, "v")):
        here = (after > 0) & known & ((mean > 0) == behind)
        ax.errorbar(
            after[here], np.abs(mean[here]), half[here], color=COLOURS[1 if behind else 2], marker=marker, markersize=4,
            linestyle="", elinewidth=0.7,
        )  # fmt: skip
    here = (after > 0) & ~known
    ax.plot(after[here], (np.abs(mean) + half)[here], "o", color=COLOURS[1], markerfacecolor="white", markersize=4)
    exact = dataset["exact_gap"].values
    if np.isfinite(exact).all():
        ax.plot(after[1:], np.abs(exact[1:]), color="black", linestyle="--", linewidth=1)
    ax.set_xscale("log")
    ax.set_yscale("log")
    plain_decades(ax)
    ax.xaxis.set_major_formatter("{x:g}")
    dress(ax, "|gap| to the low run, as a loss", AFTER)
    marks = ((known & (mean < 0), "triangles: snapped ahead"), (~known, "open: sign not known"),
             (np.isfinite(exact), "dashed: exact"))  # fmt: skip
    said = [words for seen, words in marks if seen[1:].any()]
    where = f"{told['name']}, {'online' if told['online'] else 'offline'}"
    ax.set_title("; ".join([where, *said]), fontsize=SMALL, loc="left", color=GREY)
    return figure


def functions(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Distances between functions at equal loss: mean with 95 % interval, each seed a dot; see `Functions`.

    Open where two runs were seen at these unequal losses only.
    """
    figure, ax = axes_of(ax)
    names, losses = dataset["pair"].values.tolist(), dict(zip(dataset["arm"].values.tolist(), dataset["compared_loss"]))
    labels = []
    for place, pair in enumerate(names):
        values = dataset["distance"].sel(pair=pair).values
        colour = COLOURS[1] if place == 0 else GREY
        one, other = (float(losses[name]) for name in PAIRS[pair])
        level = pair == UNSNAPPED or equal(one, other)
        ax.plot(values, np.full(values.size, place), ".", color=colour, alpha=0.35, markersize=4)
        ax.errorbar(
            values.mean(), place, xerr=_half(values), color=colour, marker="o", markersize=5, capsize=3,
            markerfacecolor=colour if level else "white",
        )  # fmt: skip
        labels.append(_pair(pair) if level else f"{_pair(pair)}\n(void: at {one:.2g}, {other:.2g})")
    ax.set_yticks(range(len(names)), labels)
    ax.invert_yaxis()
    what = "total variation" if dataset.attrs["classifier"] else "1 − ρ of residuals"
    dress(ax, "", f"{what}, at loss {dataset.attrs['target']:.3g}")
    ax.set_xlim(left=0)
    return figure


def _pair(name: str) -> str:
    """Runs joined by a dash; a control is called one."""
    return f"{name.replace(', ', ' – ')} (control)" if name == UNSNAPPED else (
        name.replace("snapped, ", "snapped – ")
    )  # fmt: skip

"""Pictures of compare.golden_path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..drops import event
from ..style import COLOURS, GREY, LINES, SMALL, axes_of, direct_labels, dress, plain_decades
from .functions import UNSNAPPED

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = ("high", "snapped", "low", "noiseless")
HALF = 1.96  # standard errors, of a 95 % interval
SHOWN = 1e-8  # of the largest loss, below which none is drawn
AFTER = "SGD steps after the drop"


def losses(dataset: xarray.Dataset, ax: Axes | None = None, label: bool = True) -> Figure:
    """Mean losses with 95 % intervals over seeds; the drop as a vertical line. Matched: one axis of steps for all."""
    figure, ax = axes_of(ax)
    told, after, before = dataset.attrs, dataset["after"].values, dataset["before"].values
    steps, ends, least = np.concatenate([before, told["drop_at"] + after]), [], np.inf
    for place, name in enumerate(CURVES):
        of = dataset.sel(arm=name)
        values = np.concatenate([of["early_loss"].values, of["loss"].values], axis=1)
        here = slice(before.size if name == "snapped" else 0, None)
        mean, half = values.mean(axis=0), HALF * values.std(axis=0, ddof=1) / np.sqrt(len(values))
        ax.fill_between(
            steps[here], (mean - half)[here], (mean + half)[here], color=COLOURS[place], alpha=0.2, linewidth=0
        )
        ax.plot(steps[here], mean[here], color=COLOURS[place], linestyle=LINES[place], linewidth=1.3)
        ends.append((steps[-1], mean[-1], name, COLOURS[place]))
        least = min(least, mean.min())
    ax.axvline(told["drop_at"], color=GREY, linewidth=0.8, linestyle=":")
    _log_losses(ax, least)
    dress(ax, "expected loss" if told["formula"] else "loss on the test rows")
    ax.set_title(
        f"{told['name']}, {'online' if told['online'] else 'offline'}; dotted: {event(told)}; bands: 95 %",
        fontsize=SMALL, loc="left", color=GREY,
    )  # fmt: skip
    if label:
        low, _ = ax.get_ylim()
        direct_labels(ax, [(x, max(y, low), name, colour) for x, y, name, colour in ends])
    return figure


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
    mean, half = gap.mean(axis=0), HALF * gap.std(axis=0, ddof=1) / np.sqrt(len(gap))
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
    """Distances between functions at equal loss: mean with 95 % interval, each seed a dot; see `Functions`."""
    figure, ax = axes_of(ax)
    names = dataset["pair"].values.tolist()
    for place, pair in enumerate(names):
        values = dataset["distance"].sel(pair=pair).values
        half = HALF * values.std(ddof=1) / np.sqrt(values.size)
        colour = COLOURS[1] if place == 0 else GREY
        ax.plot(values, np.full(values.size, place), ".", color=colour, alpha=0.35, markersize=4)
        ax.errorbar(values.mean(), place, xerr=half, color=colour, marker="o", markersize=5, capsize=3)
    ax.set_yticks(range(len(names)), [_pair(name) for name in names])
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

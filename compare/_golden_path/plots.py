"""Pictures of compare.golden_path."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import COLOURS, GREY, LINES, SMALL, axes_of, direct_labels, dress

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CURVES = ("high", "snapped", "low", "noiseless")


def losses(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Mean losses with 95 % intervals over seeds; the drop as a vertical line."""
    figure, ax = axes_of(ax)
    told, after = dataset.attrs, dataset["after"].values
    steps, ends = told["drop_at"] + after, []
    early = dataset["early_high"].mean("seed").values
    for place, name in enumerate(CURVES):
        values = dataset["loss"].sel(arm=name).values
        mean, half = values.mean(axis=0), 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
        ax.fill_between(steps, mean - half, mean + half, color=COLOURS[place], alpha=0.2, linewidth=0)
        ax.plot(steps, mean, color=COLOURS[place], linestyle=LINES[place], linewidth=1.3)
        ends.append((steps[-1], mean[-1], name, COLOURS[place]))
    if early.size:
        first = np.concatenate([early, [dataset["loss"].sel(arm="high").values[:, 0].mean()]])
        ax.plot([*dataset["before"].values, told["drop_at"]], first, color=COLOURS[0], linewidth=1.3)
    ax.axvline(told["drop_at"], color=GREY, linewidth=0.8, linestyle=":")
    ax.set_yscale("log")
    dress(ax, "expected loss" if told["formula"] else "loss on the test rows")
    ax.set_title(
        f"{told['name']}, {'online' if told['online'] else 'offline'}: the {told['drop']} drops at the dotted line",
        fontsize=SMALL, loc="left", color=GREY,
    )  # fmt: skip
    direct_labels(ax, ends)
    return figure


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
    if np.isfinite(exact).all() and not void:
        ax.plot(after, exact / exact[0], color="black", linestyle="--", linewidth=1)
        direct_labels(ax, [(after[-1], exact[-1] / exact[0], "exact", "black")])
    ax.set_xscale("symlog", linthresh=max(1, after[after > 0].min()))
    ax.xaxis.set_major_formatter("{x:g}")
    dress(ax, "gap / gap at the drop" if name == "phi" else "gap / loss of the low run", "SGD steps after the drop")
    ax.set_title(f"{told['name']}; grey: within the margin ±{told['margin']:g}", fontsize=SMALL, loc="left", color=GREY)
    return figure


def functions(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Distances between functions at equal loss: mean with 95 % interval, each seed a dot."""
    figure, ax = axes_of(ax)
    names = dataset["pair"].values.tolist()
    for place, pair in enumerate(names):
        values = dataset["distance"].sel(pair=pair).values
        half = 1.96 * values.std(ddof=1) / np.sqrt(values.size)
        colour = COLOURS[1] if place == 0 else GREY
        ax.plot(values, np.full(values.size, place), ".", color=colour, alpha=0.35, markersize=4)
        ax.errorbar(values.mean(), place, xerr=half, color=colour, marker="o", markersize=5, capsize=3)
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    what = "total variation of class probabilities" if dataset.attrs["classifier"] else "1 − correlation of residuals"
    dress(ax, "", f"{what}, at loss {dataset.attrs['target']:.3g}")
    ax.set_xlim(left=0)
    return figure

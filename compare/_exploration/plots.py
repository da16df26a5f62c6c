"""The pictures of compare.exploration."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import GREY, SMALL, axes_of, beyond, direct_labels, dress, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 1e-4  # least share of the time that is drawn
NAMES = {"residence": "in the first well", "passage": "until the target"}


def times(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Mean residence (full) and passage (open) in steps with intervals; bars: exact; an arrowhead: only a bound."""
    figure, ax = axes_of(ax)
    names = dataset["process"].values.tolist()
    looks = styles(names)
    labels = []
    places = []
    row = 0.0
    for name in names:
        for quantity, words in NAMES.items():
            here, colour = dataset.sel(process=name, quantity=quantity), looks[name]["color"]
            value, lower, upper, exact = (float(here[key]) for key in ("value", "lower", "upper", "exact"))
            if np.isfinite(upper):
                ax.plot([lower, upper], [row, row], color=colour, linewidth=1.2)
            else:
                ax.plot([lower, 10 * lower], [row, row], ":", color=colour, linewidth=1.2)
                beyond(ax, 10 * lower, row, colour)
            full = colour if quantity == "residence" else "white"
            if np.isfinite(value):
                ax.plot(value, row, looks[name]["marker"], color=colour, markersize=5, markerfacecolor=full)
            if np.isfinite(exact):
                ax.plot(exact, row, "|", color=colour, markersize=14)
            labels.append(f"{name}, {words}")
            places.append(row)
            row += 1.0
        row += 0.6
    ax.set_xscale("log")
    ax.axvline(float(dataset.attrs["steps"]), color=GREY, linewidth=0.8, linestyle=":")
    ax.set_yticks(places, labels, fontsize=SMALL)
    ax.invert_yaxis()
    ax.text(float(dataset.attrs["steps"]), 1.005, "end of the run", transform=ax.get_xaxis_transform(),
            fontsize=SMALL, color=GREY, ha="center")  # fmt: skip
    dress(ax, "", "mean number of steps (arrows: a lower bound)")
    ax.tick_params(axis="y", length=0)
    return figure


def occupation(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Share of the time in each well against its place: markers of the run, lines exact in the long run."""
    figure, ax = axes_of(ax)
    names = dataset["process"].values.tolist()
    looks, x, ends = styles(names), dataset["minimum"].values, []
    for name in names:
        here, look = dataset.sel(process=name), looks[name]
        shares, exact = here["time"].values, here["time_exact"].values
        seen = shares >= SHOWN
        low, high = np.maximum(here["time_lower"].values, SHOWN / 2), here["time_upper"].values
        ax.vlines(x[seen], low[seen], high[seen], color=look["color"], linewidth=1)
        ax.plot(x[seen], shares[seen], look["marker"], color=look["color"], markersize=5, markerfacecolor="white")
        last = exact if np.isfinite(exact).any() else shares
        drawn = last >= SHOWN
        if np.isfinite(exact).any():
            ax.plot(x[drawn], exact[drawn], color=look["color"], linestyle=look["linestyle"], linewidth=1)
        if drawn.any():
            ends.append((float(x[drawn][-1]), float(last[drawn][-1]), name, look["color"]))
    ax.set_yscale("log")
    dress(ax, "share of the time", "position of the minimum of the well")
    level = f"{100 * dataset.attrs['confidence']:g} %"
    ax.set_title(f"open: in the run, with {level} intervals; lines: in the long run, exact", fontsize=SMALL, loc="left",
                 color=GREY)  # fmt: skip
    direct_labels(ax, ends)
    return figure

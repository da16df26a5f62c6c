"""The picture of compare.paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import one_of

from ..style import GREY, SMALL, axes_of, direct_labels, dress, figure_of, panels, scale_ladders, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEADS = {"order": "error", "distance": "distance between laws"}


def ladders(dataset: xarray.Dataset, ax: Axes | None = None, kind: str | None = None) -> Figure:
    """Errors and distances against the step size, both logarithmic; thick dots: the predicted slope.

    `kind`: "order" or "distance"; default: a panel for each that there is, on given axes the first.
    """
    present = [name for name in HEADS if (dataset["kind"].values == name).any()]
    if kind is not None:
        present = [one_of("kind", kind, present)]
    if ax is None:
        figure, axes = panels(len(present), height=3.8 * len(present))
    else:
        figure, ax = axes_of(ax)
        axes = [ax]
    for name, on in zip(present, axes):
        _panel(dataset, on, name)
    return figure_of(axes[0])


def _panel(dataset: xarray.Dataset, ax: Axes, kind: str) -> None:
    sizes = dataset["step_size"].values
    chosen = dataset.isel(row=np.flatnonzero(dataset["kind"].values == kind))
    names, ends, floor = chosen["row"].values.tolist(), [], np.inf
    looks = styles(names)
    for name in names:
        here, look = chosen.sel(row=name), looks[name]
        values = here["value"].values
        seen = values > 0
        if not seen.any():
            continue
        floor = min(floor, 0.4 * float(values[seen].min()))
        low = np.minimum(values - here["lower"].values, 0.999 * np.abs(values))  # a bar to 0 leaves the axes
        ax.errorbar(
            sizes[seen], values[seen], [low[seen], (here["upper"].values - values)[seen]], color=look["color"],
            linestyle=look["linestyle"], marker=look["marker"], markersize=4, linewidth=0.9, elinewidth=0.9, capsize=2,
        )  # fmt: skip
        power, slope = float(here["predicted"]), float(here["order"])
        if np.isfinite(power):
            middle = np.exp(np.log(values[seen]).mean()) / np.exp(np.log(sizes[seen]).mean()) ** power
            ax.plot(sizes, middle * sizes**power, color=look["color"], linestyle=":", linewidth=2.4, alpha=0.4)
        text = f"{name}\norder {slope:.2f}" if np.isfinite(slope) else name
        ends.append((sizes[0], values[0] if seen[0] else np.nan, text, look["color"]))
    scale_ladders(ax, sizes)
    if np.isfinite(floor):
        ax.set_ylim(bottom=floor)
    if kind == "distance":
        ax.axhline(dataset.attrs["tolerance"], color=GREY, linewidth=0.8)
    dress(ax, HEADS[kind], "step size")
    told = "thick dots: predicted slope" if kind == "order" else "grey line: tolerance; W1 over the limit's spread"
    ax.set_title(told, fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)

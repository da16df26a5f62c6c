"""The picture of compare.width_preference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import GREY, SMALL, axes_of, direct_labels, dress, scale_ladders, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def ratios(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Wide over sharp against the ratio of widths: time (full), being entered next (open); dotted: equal to it."""
    figure, ax = axes_of(ax)
    names = dataset["process"].values.tolist()
    looks, ends = styles(names), []
    for name in names:
        here, look = dataset.sel(process=name), looks[name]
        x = (here["wide"] / here["sharp"]).values
        for key, fill in (("ratio_time", look["color"]), ("ratio_next", "white")):
            y = here[key].values
            known = np.isfinite(y) & (y > 0)
            if not known.any():
                continue
            ax.plot(x[known], y[known], color=look["color"], linestyle=look["linestyle"], marker=look["marker"],
                    markersize=4, markerfacecolor=fill, linewidth=1)  # fmt: skip
            ends.append((float(x[known][-1]), float(y[known][-1]), name + (", next" if fill == "white" else ""),
                         look["color"]))  # fmt: skip
    x = (dataset["wide"] / dataset["sharp"]).values
    line = np.array([np.nanmin(x), np.nanmax(x)])
    ax.plot(line, line, ":", color=GREY, linewidth=1)
    scale_ladders(ax, x[np.isfinite(x)])
    dress(ax, "wide over sharp", "ratio of widths")
    ax.set_title("full: time in the long run; open: entered next; dotted: the ratio of widths", fontsize=SMALL,
                 loc="left", color=GREY)  # fmt: skip
    direct_labels(ax, ends)
    return figure

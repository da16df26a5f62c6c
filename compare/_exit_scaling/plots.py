"""The picture of compare.exit_scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import NORMAL, direct_labels, dress, figure_of, panels, styles

EXPONENTIAL = "exponential"

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def ladders(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Times, logarithmic, against the scaled barrier (left: exponentials are straight) and log radius (right: powers).

    The left panel ends where the exponentials do. On given axes the right one alone.
    """
    names = dataset["process"].values.tolist()
    looks = styles(names)
    if ax is None:
        figure, both = panels(1, 3.4, 2)
        drawn = [(both[0], "scaled_barrier", False), (both[1], "radius", True)]
    else:
        figure, drawn = figure_of(ax), [(ax, "radius", True)]
    for place, key, logarithmic in drawn:
        ends = []
        for name in names:
            here, look = dataset.sel(process=name), looks[name]
            known = np.isfinite(here["mean_steps"].values)
            x, y = here[key].values[known], here["mean_steps"].values[known]
            place.plot(x, y, color=look["color"], linestyle=look["linestyle"], marker=look["marker"], markersize=4,
                       linewidth=1)  # fmt: skip
            ends.append((float(x[-1]), float(y[-1]), name, look["color"]))
        place.set_yscale("log")
        if logarithmic:
            place.set_xscale("log")
        else:
            reach = dataset["scaled_barrier"].values[dataset["predicted_family"].values == EXPONENTIAL]
            if reach.size:
                place.set_xlim(0, 1.1 * float(np.nanmax(reach)))
        label = "radius" if logarithmic else "2 barrier / (step size x variance)"
        dress(place, "" if logarithmic and ax is None else "mean steps to leave", label)
        if logarithmic:
            direct_labels(place, ends)
        place.xaxis.label.set_fontsize(NORMAL - 1)
    return figure

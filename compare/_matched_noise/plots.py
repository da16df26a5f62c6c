"""The picture of compare.svag and compare.linear_scaling."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import COLOURS, GREY, LINES, SMALL, axes_of, direct_labels, dress

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def differences(dataset: xarray.Dataset, name: str, ax: Axes | None = None) -> Figure:
    """Difference to SGD relative to its risk, with bands; shaded: the tolerance; thick: the diffusion, where known."""
    figure, ax = axes_of(ax)
    steps, tolerance = dataset["step"].values, dataset.attrs["tolerance"]
    first = dataset["risk"].values[0]
    scale = first - dataset.attrs["floor"]
    ax.axhspan(-tolerance, tolerance, color="0.92", linewidth=0, zorder=0)
    ends = []
    if dataset.attrs["limit_known"]:
        limit = (dataset["limit"].values - first) / scale
        ax.plot(steps, limit, color=GREY, linewidth=3, alpha=0.5)
        ends.append((steps[-1], float(limit[-1]), "diffusion", GREY))
    for place, rung in enumerate(dataset["rung"].values[1:].tolist()):
        here, colour = dataset.sel(rung=rung), COLOURS[(place + 1) % len(COLOURS)]
        values = here["relative"].values
        half = here["half_width"].values / scale
        known = np.isfinite(values) & np.isfinite(half)
        ax.plot(steps[known], values[known], color=colour, linestyle=LINES[(place + 1) % len(LINES)], linewidth=1.1)
        if not dataset.attrs["exact"]:
            ax.fill_between(
                steps[known], (values - half)[known], (values + half)[known], color=colour, alpha=0.15, linewidth=0
            )
        if known.any():
            ends.append((steps[known][-1], float(values[known][-1]), f"{name} = {rung:g}", colour))
    dress(ax, "risk less SGD's, relative")
    bands = "exact" if dataset.attrs["exact"] else f"bands: {100 * dataset.attrs['confidence']:g} % at all steps"
    ax.set_title(f"grey: within the tolerance ±{tolerance:g}; {bands}", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure

"""The picture of compare.singular_values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..style import COLOURS, GREY, SMALL, axes_of, direct_labels, dress, scale_steps

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def along(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """E log sigma with its interval, and the outer quantiles (band), of the largest and the smallest singular value."""
    figure, ax = axes_of(ax)
    steps, ends = dataset["step"].values, []
    ax.axhline(0, color=GREY, linewidth=0.8)
    for end, colour in (("largest", COLOURS[1]), ("smallest", COLOURS[2])):
        at = dataset.sel(end=end)
        mean, low, high = (at[f"mean_log{word}"].values for word in ("", "_lower", "_upper"))
        band = at["quantile"].values
        ax.fill_between(steps, band[0], band[-1], color=colour, alpha=0.15, linewidth=0)
        ax.errorbar(steps, mean, (mean - low, high - mean), color=colour, marker="o", markersize=3, linewidth=1)
        ends.append((steps[-1], float(mean[-1]), f"{end}: E log σ", colour))
    levels = dataset["level"].values
    dress(ax, "log σ(I − step size × batch Hessian)")
    scale_steps(ax, steps)
    ax.set_title(f"bands: {100 * levels[0]:g} to {100 * levels[-1]:g} % of draws", fontsize=SMALL, loc="left",
                 color=GREY)  # fmt: skip
    direct_labels(ax, ends)
    return figure

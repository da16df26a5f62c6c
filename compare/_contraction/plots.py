"""The picture of compare.contraction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimates import normal_quantile
from ..style import COLOURS, GREY, LINES, MARKERS, SMALL, axes_of, direct_labels, dress

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def distances(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Distances with their intervals, logarithmic; filled where they are seen; floors dotted, the bound thick."""
    figure, ax = axes_of(ax)
    told, steps = dataset.attrs, dataset["step"].values
    z, ends = normal_quantile(told["confidence"]), []
    if np.isfinite(dataset["bound"].values).all():
        ax.plot(steps, dataset["bound"].values, color=GREY, linewidth=3, alpha=0.5)
        ends.append((steps[-1], float(dataset["bound"][-1]), "bound", GREY))
    for place, name in enumerate(dataset["quantity"].values.tolist()):
        here, colour, marker = dataset.sel(quantity=name), COLOURS[place], MARKERS[place]
        values, errors = here["distance"].values, here["error"].values
        seen = steps <= int(here["last"])
        lower = np.minimum(z * errors, 0.9 * values)  # an axis of logarithms has no zero
        ax.errorbar(
            steps, values, (lower, z * errors), color=colour, linestyle=LINES[place], linewidth=0.9, elinewidth=0.7
        )
        for mask, fill in ((seen, colour), (~seen, "white")):
            ax.plot(
                steps[mask], values[mask], color=colour, linestyle="none", marker=marker, markersize=3.5,
                markerfacecolor=fill,
            )  # fmt: skip
        if float(here["floor"]):
            ax.axhline(float(here["floor"]), color=colour, linestyle=":", linewidth=1.2)
        slope = float(here["exponent"])
        text = name.replace("along the", "along\nthe").replace("W_p", "$W_p$")
        ends.append((steps[-1], values[-1], text + (f"\nexponent {slope:.3g}" if np.isfinite(slope) else ""), colour))
    ax.set_yscale("log")
    dress(ax, f"distance, p = {told['p']:g}")
    slope_of_bound = f"{np.log(told['growth']) / told['p']:.3g}".replace("-", "−")
    ax.set_title(
        f"exponent of the bound {slope_of_bound}; dotted: floors; open: near one, or few paths", fontsize=SMALL,
        loc="left", color=GREY,
    )  # fmt: skip
    direct_labels(ax, [(x, y, text.replace("exponent -", "exponent −"), colour) for x, y, text, colour in ends])
    return figure

"""The picture of compare.finite_time_exponents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import COLOURS, GREY, SMALL, axes_of, direct_labels, dress, scale_steps

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def along(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """A thin line a run, the mean with its interval, a colour an exponent; dotted: the exact largest one."""
    figure, ax = axes_of(ax)
    steps, ends = dataset["step"].values, []
    ax.axhline(0, color=GREY, linewidth=0.8)
    apart = 1.04 if steps.size > 1 else 1.0  # bars of one step beside each other
    for place in dataset["place"].values.tolist():
        colour, at = COLOURS[1 + (place - 1) % (len(COLOURS) - 1)], dataset.sel(place=place)
        ax.plot(steps, at["exponent"].values.T, color=colour, linewidth=0.4, alpha=0.4)
        mean, low, high = (at[name].values for name in ("mean", "lower", "upper"))
        ax.errorbar(steps * apart ** (place - 1), mean, (mean - low, high - mean), color=colour, marker="o",
                    markersize=3, linewidth=1.3)  # fmt: skip
        ends.append((steps[-1], float(mean[-1]), f"exponent {place}", colour))
    exact = float(dataset.attrs["exact"])
    if np.isfinite(exact):
        ax.axhline(exact, color="black", linewidth=1, linestyle=":")
    dress(ax, "finite-time Lyapunov exponent, a step")
    ax.set_title(f"thin: runs; bars: {100 * dataset.attrs['confidence']:g} % intervals of the mean over runs",
                 fontsize=SMALL, loc="left", color=GREY)  # fmt: skip
    scale_steps(ax, steps)
    direct_labels(ax, ends)
    return figure

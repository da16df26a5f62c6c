"""The picture of compare.rank_correlation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import one_of

from ..style import COLOURS, GREY, SMALL, axes_of, dress

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def cells(dataset: xarray.Dataset, estimator: str | None, ax: Axes | None = None) -> Figure:
    """Error against 1 / index of one estimator, the first by default, a point a cell; right of the line: heavier."""
    figure, ax = axes_of(ax)
    names = dataset["pair_estimator"].values.tolist()
    place = 0 if estimator is None else names.index(one_of("estimator", estimator, names))
    shape, error = dataset["shape"].values[place], dataset["error_of_cell"].values[place]
    ax.axvline(0.5, color=GREY, linewidth=0.8, linestyle=":")
    ends = {name: dataset[name].values[place] for name in ("shape_lower", "shape_upper", "error_lower", "error_upper")}
    bars = bool(np.isfinite(ends["shape_lower"]).any())
    if bars:
        ax.hlines(error, ends["shape_lower"], ends["shape_upper"], color=COLOURS[2], linewidth=0.7, alpha=0.6)
        ax.vlines(shape, ends["error_lower"], ends["error_upper"], color=COLOURS[2], linewidth=0.7, alpha=0.6)
    ax.plot(shape, error, "o", color=COLOURS[2], markersize=4)
    dress(ax, str(dataset.attrs["error"]).replace("_", " "), f"1 / tail index by {names[place].replace('_', ' ')}")
    said = f"; bars: {100 * dataset.attrs['confidence']:g} % over runs" if bars else ""
    ax.set_title(f"right of the dotted line: index below 2, infinite variance; not above 0: light{said}",
                 fontsize=SMALL, loc="left", color=GREY)  # fmt: skip
    return figure

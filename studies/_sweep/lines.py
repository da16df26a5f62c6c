"""A quantity over one name of a sweep: a line for each entry that it has."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.compare.estimates import normal_quantile
from sgdlimits.compare.style import GREY, SMALL, axes_of, direct_labels, dress, styles

from .scales import axis_label, places_of, scale_axis

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 20.0  # ratio of largest to smallest beyond which an axis is logarithmic
ERROR = "_standard_error"


def lines(
    dataset: xarray.Dataset, name: str, along: str, entries: Sequence[tuple[str, dict[str, int]]], ax: Axes | None
) -> Figure:
    """Draw a quantity along a name; `entries`: label and place of each line."""
    figure, ax = axes_of(ax)
    values, errors = dataset[name], dataset.get(name + ERROR)
    failed = dataset["failure"] != ""
    places, labels = places_of(values[along].values)
    look = styles([label for label, _ in entries])
    ends, shown_values, lowest = [], [], np.inf
    for label, entry in entries:
        line = values.isel(entry).values.astype(float)
        known = np.flatnonzero(np.isfinite(line))
        own = {key: look[label][key] for key in ("color", "linestyle", "marker")}
        if labels:
            own["linestyle"] = "none"  # nothing lies between names
        if errors is not None and errors.dims == values.dims:
            reach = normal_quantile(0.95) * errors.isel(entry).values.astype(float)
            ax.errorbar(places, line, reach, markersize=4, linewidth=1.1, elinewidth=0.9, capsize=2, **own)
            least_bar = np.nanmin(np.where(np.isfinite(line), line - np.nan_to_num(reach), np.nan), initial=np.inf)
            lowest = min(lowest, float(least_bar))
        else:
            ax.plot(places, line, markersize=4, linewidth=1.1, **own)
        shown_values.append(line[known])
        if known.size:
            ends.append((places[known[-1]], line[known[-1]], label, own["color"]))
    finite = np.concatenate(shown_values)
    if finite.size and finite.min() > 0 and finite.max() > WIDE * finite.min():
        ax.set_yscale("log")
        if lowest <= 0:  # such bars have no lower end on this axis: they go down to its foot
            ax.set_ylim(bottom=float(finite.min()) / 3)
    scale_axis(ax, "x", values[along].values, places, labels)
    bad = np.flatnonzero(failed.any([dim for dim in failed.dims if dim != along]).values)
    for place in bad:
        ax.plot(places[place], 0.02, "x", color="0.2", markersize=6, transform=ax.get_xaxis_transform(), clip_on=False)
    dress(ax, textwrap.fill(axis_label(values, name), 48), axis_label(values[along], along))
    if bad.size:
        ax.set_title(f"× at the foot: failed ({bad.size} of {places.size})", fontsize=SMALL, loc="left", color=GREY)
    if len(entries) > 1:
        direct_labels(ax, ends)
    return figure

"""A quantity over one name of a sweep: a line for each entry that it has."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.compare.estimates import normal_quantile
from sgdlimits.compare.style import COLOURS, GREY, SMALL, axes_of, direct_labels, dress, styles

from .scales import axis_label, places_of, scale_axis, yes_or_no

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDE = 20.0  # ratio of largest to smallest beyond which an axis is logarithmic
BEYOND = 30.0  # an interval that goes farther than this from all values is cut, on a logarithmic axis
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
    ends, shown_values, intervals = [], [], []
    for number, (label, entry) in enumerate(entries):
        line = values.isel(entry).values.astype(float)
        known = np.flatnonzero(np.isfinite(line))
        own = {key: look[label][key] for key in ("color", "linestyle", "marker")}
        if number >= len(COLOURS):
            own["markerfacecolor"] = "white"  # colours and markers come again
        if labels:
            own["linestyle"] = "none"  # nothing lies between names
        if errors is not None and errors.dims == values.dims:
            reach = normal_quantile(0.95) * errors.isel(entry).values.astype(float)
            ax.errorbar(places, line, reach, markersize=4, linewidth=1.1, elinewidth=0.9, capsize=2, **own)
            intervals += [
                (places[i], line[i] - reach[i], line[i] + reach[i], own["color"])
                for i in known if np.isfinite(reach[i])
            ]  # fmt: skip
        else:
            ax.plot(places, line, markersize=4, linewidth=1.1, **own)
        shown_values.append(line[known])
        if known.size:
            ends.append((places[known[-1]], line[known[-1]], label, own["color"]))
    notes = []
    finite = np.concatenate(shown_values)
    low, high = finite.min(initial=np.inf), finite.max(initial=-np.inf)
    if yes_or_no(values):
        ax.set_ylim(-0.1, 1.1)
        ax.set_yticks([0, 1], ["no", "yes"])
    elif low > 0 and high > WIDE * low:
        ax.set_yscale("log")
        notes += _cut(ax, intervals, low, high)
    elif high < 0 and low < WIDE * high:
        ax.set_yscale("symlog", linthresh=-high)
    scale_axis(ax, "x", values[along].values, places, labels)
    bad = np.flatnonzero(failed.any([dim for dim in failed.dims if dim != along]).values)
    for place in bad:
        ax.plot(places[place], 0.02, "x", color="0.2", markersize=6, transform=ax.get_xaxis_transform(), clip_on=False)
    dress(ax, textwrap.fill(axis_label(values, name), 48), axis_label(values[along], along))
    if bad.size:
        notes.insert(0, f"× at the foot: failed ({bad.size} of {places.size})")
    if notes:
        ax.set_title("    ".join(notes), fontsize=SMALL, loc="left", color=GREY)
    if len(entries) > 1:
        direct_labels(ax, ends)
    return figure


def _cut(ax: Axes, intervals: Sequence[tuple[float, float, float, str]], low: float, high: float) -> list[str]:
    """Keep a logarithmic axis near the values `low` to `high`, and mark the intervals that go on beyond it."""
    foot, top = low / 3, high * 3
    notes = []
    if any(begin < low / BEYOND for _, begin, _, _ in intervals):  # also those through zero, which have no lower end
        ax.set_ylim(bottom=foot)
        notes.append("▼ on an interval: it goes on below")
    else:
        foot = 0.0
    if any(end > high * BEYOND for _, _, end, _ in intervals):
        ax.set_ylim(top=top)
        notes.append("▲ on an interval: it goes on above")
    else:
        top = np.inf
    for place, begin, end, colour in intervals:
        for beyond, height, mark in ((begin < foot, 0.0, "v"), (end > top, 1.0, "^")):
            if beyond:
                ax.plot(
                    place, height, mark, color=colour, markersize=5, transform=ax.get_xaxis_transform(), clip_on=False
                )
    return notes

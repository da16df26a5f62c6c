"""Pictures of compare.dose_response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import COLOURS, GREY, LINES, SMALL, axes_of, direct_labels, dress

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RELATIVE = "loss / loss without noise − 1"


def response(dataset: xarray.Dataset, ax: Axes | None = None, colour: str | None = None) -> Figure:
    """Relative loss at the last step with its intervals against the dose; below zero noise helps."""
    colour = colour or COLOURS[1]
    figure, ax = axes_of(ax)
    told, last = dataset.attrs, dataset.isel(step=-1)
    value, low, high = (last[f"relative{end}"].values for end in ("", "_lower", "_upper"))
    doses = last["dose"].values
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.errorbar(doses, value, (value - low, high - value), color=colour, marker="o", markersize=4, linewidth=1)
    ax.set_xscale("log")
    ax.set_xticks(doses, [f"{dose:g}" for dose in doses], fontsize=SMALL)
    ax.set_xticks([], minor=True)
    dress(ax, RELATIVE, told["kind"])
    ax.set_title(title(dataset), fontsize=SMALL, loc="left", color=GREY)
    return figure


def along(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Relative loss with its intervals against epochs (offline) or steps, a line each dose."""
    figure, ax = axes_of(ax)
    told, ends, smallest = dataset.attrs, [], np.inf
    ax.axhline(0, color=GREY, linewidth=0.8)
    for place, dose in enumerate(dataset["dose"].values):
        of = dataset.isel(dose=place)
        value, low, high = (of[f"relative{end}"].values for end in ("", "_lower", "_upper"))
        x = of["step"].values if told["online"] else of["epochs"].values
        colour = COLOURS[place % len(COLOURS)]
        ax.fill_between(x, low, high, color=colour, alpha=0.15, linewidth=0)
        ax.plot(x, value, color=colour, linestyle=LINES[place % len(LINES)], linewidth=1.2)
        ends.append((x[-1], value[-1], f"{dose:g}", colour))
        smallest = min(smallest, x[0])
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    dress(ax, RELATIVE, "SGD step" if told["online"] else "epochs (how often each row was used)")
    ax.set_title(f"{title(dataset)}; a line each {told['kind']}", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure


def title(dataset: xarray.Dataset) -> str:
    """Task and kind of data."""
    return f"{dataset.attrs['name']}, {'online' if dataset.attrs['online'] else 'offline'}"

"""The pictures of compare.tails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..style import GREY, SMALL, axes_of, beyond, direct_labels, dress, styles
from .rows import BOUNDS, EXACT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = 0.5  # of the ends, from the far ones inwards: where a tail could be


def intervals(tails: Any, ax: Axes | None = None) -> Figure:
    """A line for each way of knowing each index: bounds thick and pale, exact as a bar, estimates as points.

    What goes on past the frame, infinite indices too, has an arrowhead at its edge.
    """
    figure, ax = axes_of(ax)
    rows = [row for row in tails.table() if not np.isnan(row["lower"])]
    looks = styles(tails.dataset["process"].values.tolist())
    ends = [row[end] for row in rows for end in ("upper", "index", "lower") if np.isfinite(row[end])]
    edge = 1.1 * max(ends, default=1.0)
    names, place, before = [], 0.0, ""
    for row in rows:
        place += 1.0 + 0.6 * (row["process"] != before and before != "")
        before, colour = row["process"], looks[row["process"]]["color"]
        shown = np.minimum([row["lower"], row["upper"]], edge)
        if row["kind"] == BOUNDS:
            ax.plot(shown, [place, place], color=colour, linewidth=7, alpha=0.25, solid_capstyle="butt")
        else:
            ax.plot(shown, [place, place], color=colour, linewidth=1.2)
            marker = "|" if row["kind"] == EXACT else looks[row["process"]]["marker"]
            if row["index"] <= edge:
                ax.plot(row["index"], place, marker, color=colour, markersize=14 if marker == "|" else 5)
        if row["upper"] > edge:
            beyond(ax, edge, place, colour)
        names.append((place, f"{row['process']}, {row['kind'] if row['kind'] != 'estimate' else row['method']}"))
    for row in rows:
        if row["kind"] == EXACT and np.isfinite(row["index"]):
            ax.axvline(row["index"], color=looks[row["process"]]["color"], linewidth=0.6, linestyle=":")
    ax.set_yticks([place for place, _ in names], [name for _, name in names])
    ax.invert_yaxis()
    ax.set_xlim(right=edge)
    dress(ax, "", "tail index")
    ax.tick_params(axis="y", length=0)
    return figure


def survival(tails: Any, ax: Axes | None = None) -> Figure:
    """Survival functions of the ends in units of their medians; dotted: the exact power, through the far tenth."""
    figure, ax = axes_of(ax)
    names = tails.dataset["process"].values.tolist()
    looks, ends = styles(names), []
    for name in names:
        values = np.abs(tails.dataset["sample"].sel(process=name).values)
        if not np.isfinite(values).all() or not np.any(values):
            continue
        ordered = np.sort(values)[::-1] / np.median(values)
        shown = np.unique(np.geomspace(1, SHOWN * ordered.size, 300).astype(int))
        colour = looks[name]["color"]
        ax.plot(ordered[shown - 1], shown / ordered.size, color=colour, linestyle=looks[name]["linestyle"], linewidth=1)
        index, anchor = tails.index(name), ordered.size // 10
        text = name
        if np.isfinite(index):
            along = ordered[: anchor : max(1, anchor // 50)]
            ax.plot(along, 0.1 * (along / ordered[anchor]) ** -index, ":", color=colour, linewidth=1.6)
            text += f"\nindex {index:.3g}"
        ends.append((float(ordered[0]), 1 / ordered.size, text, colour))
    ax.set_xscale("log")
    ax.set_yscale("log")
    dress(ax, "P(|x| > t)", "t, in medians of |x| along the direction")
    if ends:
        ax.set_title("dotted: power of the exact index", fontsize=SMALL, loc="left", color=GREY)
        ax.set_ylim(bottom=0.3 / tails.dataset.sizes["path"])
    direct_labels(ax, ends)
    return figure

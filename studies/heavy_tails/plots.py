"""The pictures of the study's tables; `sweeps.plot` draws the panels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.compare.style import COLOURS, SMALL, dress, panels, styles

from .paper_table import LIMIT, SGD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .study import HeavyTailsResult

TICKS = (1, 2, 3, 5, 10, 20, 30)  # of the indices of optimisers


def plot_rows(result: HeavyTailsResult) -> Figure:
    """A line a row of the table: band of bounds, exact indices of both sides, fitted degrees of freedom."""
    found = result.rows
    pictured, (ax,) = panels(height=1.2 + 0.3 * len(found))
    looks = styles([SGD, LIMIT])
    black, orange, blue = looks[SGD]["color"], looks[LIMIT]["color"], COLOURS[2]
    top = 1.05 * max(max(row.upper, min(row.student.upper, 2 * row.upper)) for row in found)
    for place, row in enumerate(found):
        ax.plot([row.lower, row.upper], [place] * 2, color=orange, linewidth=8, alpha=0.25, solid_capstyle="butt")
        ax.plot(row.homogenized.index, place, "|", color=orange, markersize=12)
        ax.errorbar(row.sgd.index, place - 0.12, xerr=row.sgd.error, fmt="s", color=black, markersize=4, linewidth=1)
        nu = row.student
        middle = min(nu.index, top)  # an infinite one stands at the edge
        ends = np.array([[max(0.0, middle - nu.lower)], [max(0.0, min(nu.upper, top) - middle)]])
        ax.errorbar(middle, place + 0.12, xerr=ends, fmt="o", color=blue, markersize=4, linewidth=1)
    first = found[0]
    left = first.sgd.index <= first.student.index
    for x, text, colour, side in (
        (first.sgd.index, f" {SGD} ", black, "right" if left else "left"),
        (min(first.student.index, top), " fitted nu ", blue, "left" if left else "right"),
        (first.homogenized.index, LIMIT, orange, "center"),
    ):
        height = -0.85 if text == LIMIT else -0.35
        ax.annotate(text, (x, height), fontsize=SMALL, color=colour, ha=side, va="bottom")
    ax.set_yticks(range(len(found)), [f"{row.data}, batch {row.batch_size}" for row in found])
    ax.set_ylim(len(found) - 0.4, -1.5)
    ax.set_xlim(0, top)
    dress(ax, "", "tail index")
    ax.tick_params(axis="y", length=0)
    return pictured


def plot_optimisers(result: HeavyTailsResult) -> Figure:
    """A group an optimiser: Hill's estimates from the outer parts of the sample, the farther out the paler; theory."""
    found = result.optimisers
    pictured, (ax,) = panels(height=1.0 + 0.32 * len(found))
    for place, row in enumerate(found):
        if row.heavy:
            ax.plot(row.theory.index, place, "|", color=COLOURS[1], markersize=18, markeredgewidth=1.5, zorder=4)
        colour = COLOURS[0] if row.heavy else COLOURS[2]
        for step, (low, middle, high) in enumerate(row.along):
            bars = np.array([[middle - low], [high - middle]])
            face = (colour, "0.7", "white")[step]
            ax.errorbar(
                middle, place + 0.2 * (step - 1), xerr=bars, fmt="o", color=colour, markersize=4, linewidth=1,
                markerfacecolor=face,
            )  # fmt: skip
    ax.set_yticks(range(len(found)), [row.name for row in found])
    ax.set_ylim(len(found) - 0.4, -0.6)
    ax.set_xscale("log")
    ax.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    ax.set_xticks([], minor=True)
    dress(ax, "", "tail index")
    ax.tick_params(axis="y", length=0)
    return pictured

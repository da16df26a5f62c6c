"""The pictures of the study's tables; `sweeps.plot` draws the panels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.compare.style import COLOURS, GREY, SMALL, beyond, dress, panels, styles

from .table_row import LIMIT, SGD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sgdlimits.compare._tails.rows import Known

    from .study import HeavyTailsResult
    from .table_row import TableRow

WIDE = 30  # ratio of the ends of a frame, from which on it is logarithmic
TICKS = (1, 2, 3, 5, 10, 20, 30)  # of the indices of optimisers


def plot_rows(result: HeavyTailsResult) -> Figure:
    """A line a row of the table: band of bounds, indices of both sides, fitted degrees of freedom.

    What lies beyond the frame, infinite ones too, has an arrowhead at its edge; a search that found no index up to a
    number has it from there on, a guess without an interval is an open marker.
    """
    found = result.rows
    pictured, (ax,) = panels(height=1.2 + 0.3 * len(found))
    looks = styles([SGD, LIMIT])
    black, orange, blue = looks[SGD]["color"], looks[LIMIT]["color"], COLOURS[2]
    left, top = _frame(found)
    for place, row in enumerate(found):
        bounds = row.bounds
        if not math.isnan(bounds.lower):
            ends = np.clip(bounds.interval, left, top)
            ax.plot(ends, [place] * 2, color=orange, linewidth=8, alpha=0.25, solid_capstyle="butt")
            for end, proved in zip(ends, (bounds.lower_proved, bounds.upper_proved)):
                if not proved:
                    ax.plot([end, end], [place - 0.3, place + 0.3], "--", color=orange, linewidth=1)
            if bounds.upper > top:
                beyond(ax, top, place, orange)
        _side(ax, row.homogenized, place, "|", orange, top)
        _side(ax, row.sgd, place - 0.12, "s", black, top)
        if not row.sgd.settles:
            ax.annotate(f" {row.sgd.text}", (left, place), fontsize=SMALL, color=black, ha="left", va="center")
        nu = row.student
        _interval(ax, nu.lower, nu.index, nu.upper, place + 0.12, "o", blue, top)
    first = found[0]
    named = [(SGD, _place(first.sgd, top), black), ("fitted nu", min(first.student.index, top), blue)]
    named += [(LIMIT, _place(first.homogenized, top), orange)]
    for height, (text, x, colour) in zip((-0.35, -0.75, -1.15), named):
        if not math.isnan(x):
            side = "right" if x > math.sqrt(max(left, 0.1 * top) * top) else "left"
            ax.annotate(f" {text} ", (x, height), fontsize=SMALL, color=colour, ha=side, va="bottom")
    ax.set_yticks(range(len(found)), [f"{row.data}, batch {row.batch_size}" for row in found])
    ax.set_ylim(len(found) - 0.4, -1.7)
    if left:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlim(left, top)
    dress(ax, "", "tail index")
    ax.tick_params(axis="y", length=0)
    return pictured


def _frame(found: Sequence[TableRow]) -> tuple[float, float]:
    """Where the frame begins and ends: past what is finite, but not past numbers far larger than all others.

    A beginning above 0 asks for a logarithmic axis.
    """
    near = [end for row in found for end in (*row.sgd.interval, *row.homogenized.interval, row.bounds.upper)]
    near += [number for row in found for side in (row.sgd, row.homogenized) for number in (side.above, side.about)]
    near = [end for end in near if math.isfinite(end)]
    far = [end for row in found for end in (row.student.index, row.student.upper) if math.isfinite(end)]
    most = max(near, default=max(far, default=1.0))
    most = max([most, *(end for end in far if end <= 2 * most)])
    least = min([end for end in [*near, *(row.student.lower for row in found)] if end > 0], default=most)
    return (least / 1.3, 1.3 * most) if most > WIDE * least else (0.0, 1.05 * most)


def _place(side: Known, top: float) -> float:
    """Where the marker of an index stands: an infinite one at the edge; nan where nothing is known."""
    seen = side.index.index if side.index is not None else side.about if math.isnan(side.above) else side.above
    return float(np.minimum(seen, top))


def _side(ax: Axes, side: Known, y: float, marker: str, colour: str, top: float) -> None:
    if side.index is not None:
        _interval(ax, side.index.lower, side.index.index, side.index.upper, y, marker, colour, top)
        return
    x = _place(side, top)
    if not math.isnan(side.above):
        ax.plot([x, top], [y, y], ":", color=colour, linewidth=1)
        beyond(ax, top, y, colour)
    elif not math.isnan(x):
        ax.plot(x, y, "o", color=colour, markersize=5, markerfacecolor="white")


def _interval(
    ax: Axes, low: float, middle: float, high: float, y: float, marker: str, colour: str, top: float
) -> None:  # fmt: skip
    """A number with its interval, as much of it as the frame holds."""
    if math.isnan(middle):
        return
    ax.plot(np.minimum([low, high], top), [y, y], color=colour, linewidth=1)
    if middle <= top:
        ax.plot(middle, y, marker, color=colour, markersize=12 if marker == "|" else 4)
    if high > top:
        beyond(ax, top, y, colour)


def plot_optimisers(result: HeavyTailsResult) -> Figure:
    """A group an optimiser: Hill's estimates from the outer parts of the sample, the farther out the paler; theory."""
    found = result.optimisers
    pictured, (ax,) = panels(height=1.0 + 0.32 * len(found))
    for place, row in enumerate(found):
        if row.heavy:
            ax.plot(row.theory.index, place, "|", color=COLOURS[1], markersize=18, markeredgewidth=1.5, zorder=4)
        colour = COLOURS[0] if row.heavy else COLOURS[2] if row.light else GREY
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

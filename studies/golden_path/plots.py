"""The pictures of the study: a panel a setting, and online against offline side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from sgdlimits.compare.style import COLOURS, GREY, LINES, SMALL, dress, panels

from .ladders import titled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sgdlimits.compare import DoseResponse, GoldenPath, NoiseCost

PANEL = 2.3  # inches
LETTERS = 32  # of a title, in one line of a panel
RUNS = ("high", "snapped", "low", "noiseless")
SIDES = (("online", COLOURS[2]), ("offline", COLOURS[1]))


def losses(drops: Mapping[str, GoldenPath]) -> Figure:
    """Loss curves of every setting."""
    return _grid(drops, lambda drop, ax: drop.plot(ax, label=False), _legend_of_runs)


def gaps(drops: Mapping[str, GoldenPath]) -> Figure:
    """Gaps on logarithmic axes."""
    return _grid(drops, lambda drop, ax: drop.plot_gap(ax, log=True))


def functions(drops: Mapping[str, GoldenPath]) -> Figure:
    """Functional distances with their baselines."""
    return _grid(drops, lambda drop, ax: drop.plot_functions(ax), side="right")  # names take the left half


def side_by_side(online: GoldenPath, offline: GoldenPath) -> Figure:
    """One model on fresh samples and on the same rows again: losses above, phi below."""
    figure, axes = panels(2, 4.8, 2)
    for place, drop in enumerate((online, offline)):
        drop.plot(axes[place], label=False)
        drop.plot_gap(axes[2 + place])
        axes[place].set_title(SIDES[place][0], fontsize=SMALL, loc="left", color=GREY)
        axes[2 + place].set_title("grey: within the margin", fontsize=SMALL, loc="left", color=GREY)
    _legend_of_runs(axes[0])
    low = min(ax.get_ylim()[0] for ax in axes[2:])
    high = max(ax.get_ylim()[1] for ax in axes[2:])
    for ax in axes[2:]:
        ax.set_ylim(low, high)
    return figure


def responses(doses: Mapping[str, DoseResponse]) -> Figure:
    """Relative loss against batch size and step size, online and offline; below, along the way."""
    figure, axes = panels(2, 5.0, 2)
    for ax, kind in zip(axes, ("batch sizes", "step sizes")):
        for where, colour in SIDES:
            _ladder(doses[f"{kind}, {where}"], ax, colour, where)
        ax.set_yscale("symlog", linthresh=0.1)
    axes[0].legend(fontsize=SMALL, frameon=False)
    for ax, (where, _) in zip(axes[2:], SIDES):
        _along(doses[f"batch sizes, {where}"], ax, where)
    return figure


def _ladder(dose: DoseResponse, ax: Axes, colour: str, where: str) -> None:
    dose.plot(ax, colour=colour)
    ax.containers[-1].set_label(where)
    ax.set_title("diagonal network", fontsize=SMALL, loc="left", color=GREY)


def _along(dose: DoseResponse, ax: Axes, where: str) -> None:
    ax.set_yscale("symlog", linthresh=0.1)  # before the labels are placed
    dose.plot_epochs(ax)
    ax.set_title(f"{where}; a line each batch size", fontsize=SMALL, loc="left", color=GREY)


def samples(costs: Mapping[str, NoiseCost], exact: str) -> Figure:
    """Samples to a loss against batch size, with intervals, an arrow where they have no end; exact values as a line."""
    measured = [name for name in costs if not name.endswith(exact)]
    figure, axes = panels(1, 2.9, len(measured))
    for ax, name in zip(axes, measured):
        data = costs[name].dataset.isel(choice=0)
        sizes = data["batch_size"].values
        here = np.isfinite(sizes) & np.isfinite(data["steps"].values)
        steps, low, high = (data[key].values[here] for key in ("steps", "steps_low", "steps_high"))
        size, open_end = sizes[here], ~np.isfinite(high)
        top = np.where(open_end, 2 * steps, high)  # an arrow: the upper curve does not come down to the level
        ax.errorbar(
            size, size * steps, (size * (steps - low), size * (top - steps)), color=COLOURS[1], marker="o",
            markersize=4, linewidth=1, lolims=open_end,
        )  # fmt: skip
        if name + exact in costs:
            theory = costs[name + exact].dataset.isel(choice=0)
            each = theory["batch_size"].values
            ax.plot(each, each * theory["steps"].values, color="black", linestyle="--", linewidth=1)
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_xticks(size, [f"{value:g}" for value in size])
        ax.set_xticks([], minor=True)
        dress(ax, "samples to the level", "batch size")
        known = "; dashed: exact" if name + exact in costs else ""
        ax.set_title(f"{titled(name)}, online{known}", fontsize=SMALL, loc="left", color=GREY)
    return figure


def _grid(
    drops: Mapping[str, Any], draw: Callable[[Any, Axes], Any], first: Callable[[Axes], None] | None = None,
    side: Literal["left", "right"] = "left",
) -> Figure:  # fmt: skip
    count = len(drops)
    columns = min(2, max(1, count))  # one panel takes the whole width
    lines = -(-count // columns)
    figure, axes = panels(lines, max(1, lines) * PANEL, columns)
    for ax, (name, drop) in zip(axes, drops.items()):
        draw(drop, ax)
        ax.set_title("", loc="left")
        ax.set_title(fill(name, LETTERS), fontsize=SMALL, loc=side, color=GREY)
        ax.set_ylabel(ax.get_ylabel(), fontsize=SMALL)
        ax.set_xlabel(ax.get_xlabel(), fontsize=SMALL, loc="right" if side == "right" else "center")
    for ax in axes[count:]:
        ax.set_visible(False)
    if first and count:
        first(axes[0])
    return figure


def _legend_of_runs(ax: Axes) -> None:
    from matplotlib.lines import Line2D

    looks: Any = zip(RUNS, COLOURS, LINES)
    shown = [Line2D([], [], color=colour, linestyle=line, label=name) for name, colour, line in looks]
    ax.legend(handles=shown, fontsize=SMALL, frameon=False)

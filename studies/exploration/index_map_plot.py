"""The picture of an index map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.style import NORMAL, SMALL, direct_labels, dress, panels, plain_decades
from sgdlimits.compare.text_table import some

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .index_map import IndexMap

TITLES = {"sgd": "SGD", "homogenized": "homogenized SGD"}
LINES = {0.0: ("no law above", "-"), 1.0: ("mean infinite", "--"), 2.0: ("variance infinite", "-."), 4.0: (
    "fourth moment infinite", ":",
)}  # fmt: skip
DARK = "0.35"
REGIONS = {"no law": (DARK, "no stationary law"), "light": ("1.0", "light: index over {:g}"), "not known": (
    "#f4e3c1", "not known",
)}  # fmt: skip
LEAST = 0.25  # index at which colours begin
NARROW = 0.25  # part of the frame
ROOM = 4  # cells from which on a region's name is written on it


def plot(found: IndexMap) -> Figure:
    """A panel a side: colours for a finite index, and lines where moments become infinite, named at their ends."""
    from matplotlib.colors import ListedColormap, LogNorm
    from matplotlib.ticker import NullLocator

    figure, axes = panels(2, height=6.4)
    cells, lines = found.cells, found.lines
    batch, size = cells["batch_size"].values.astype(float), cells["step_size"].values
    norm = LogNorm(LEAST, max(found.highest, 2 * LEAST))
    mesh: Any = None
    for ax, side in zip(axes, TITLES):
        regions = cells[f"{side}_region"].values
        for region, (colour, _) in REGIONS.items():
            part = np.ma.masked_where(regions != region, np.ones(regions.shape))
            ax.pcolormesh(*_edges(batch, size), part.T, cmap=ListedColormap([colour]), rasterized=True)
        values = np.ma.masked_where((regions != "heavy") | ~np.isfinite(cells[side].values), cells[side].values)
        mesh = ax.pcolormesh(*_edges(batch, size), values.T, norm=norm, cmap="viridis_r", rasterized=True)
        ax.set_xscale("log")
        ax.set_yscale("log")
        edges = _edges(batch, size)
        ax.set_xlim(edges[0][0], edges[0][-1])
        ax.set_ylim(edges[1][0], edges[1][-1])
        _names(ax, regions, batch, size, found.highest)
        dress(ax, "step size (per SGD step)", "batch size (samples)", TITLES[side])
        ax.grid(False)
        shown = batch[some(batch.size)]
        ax.set_xticks(shown, [f"{one:g}" for one in shown])
        ax.xaxis.set_minor_locator(NullLocator())
        plain_decades(ax)
    bar = figure.colorbar(mesh, ax=axes, shrink=0.8, extend="both", location="left")
    bar.set_label("tail index", fontsize=NORMAL)
    ticks = [tick for tick in (0.5, 1, 2, 4, 8, 16) if LEAST < tick <= found.highest]
    bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    bar.ax.tick_params(labelsize=SMALL)
    for ax, side in zip(axes, TITLES):
        _lines(ax, lines, side, batch)
    return figure


def _edges(batch: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return tuple(_between(np.log(places)) for places in (batch, size))  # type: ignore[return-value]


def _between(logs: np.ndarray) -> np.ndarray:
    """Edges of cells about places that are given by logarithms."""
    if logs.size == 1:
        return np.exp(logs[0] + np.array([-0.35, 0.35]))
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp(np.concatenate([[2 * logs[0] - middle[0]], middle, [2 * logs[-1] - middle[-1]]]))


def _lines(ax: Any, lines: Any, side: str, batch: np.ndarray) -> None:
    """Thresholds over the batch size, named at their ends: on the right, or above where they leave through the top."""
    ends: list[Any] = []
    leaving: list[Any] = []
    (low, high), right = np.log(ax.get_ylim()), np.log(ax.get_xlim()[1])
    for order, (words, style) in LINES.items():
        values = lines[side].sel(order=order).values
        error = lines[f"{side}_error"].sel(order=order).values
        ax.fill_between(batch, values - error, values + error, color="white", alpha=0.5, linewidth=0)
        for width, colour in ((2.6, "white"), (1.3, "black")):
            ax.plot(batch, values, color=colour, linewidth=width, linestyle=style)
        known = np.isfinite(values)
        if not known.any():
            continue
        along = np.linspace(np.log(batch[known][0]), min(np.log(batch[known][-1]), right), 400)
        heights = np.interp(along, np.log(batch[known]), np.log(values[known]))
        inside = np.flatnonzero((heights >= low) & (heights <= high))
        if inside.size:
            last = inside[-1]
            text = words + (f" (index {order:g})" if order else "")
            up = last + 1 < along.size and heights[last + 1] > high
            y = high if up else heights[last] - 1e-3 * order  # the order of labels where ends meet
            (leaving if up else ends).append((float(np.exp(along[last])), float(np.exp(y)), text, "black"))
    direct_labels(ax, ends, leaving)


def _names(ax: Any, regions: np.ndarray, batch: np.ndarray, size: np.ndarray, highest: float) -> None:
    """The names of regions without a finite index: where they are widest, or of few cells on their colour beside the
    frame."""
    aside = 0
    for region, (colour, words) in REGIONS.items():
        rows, columns = np.nonzero(regions == region)
        if rows.size >= ROOM:
            counts = np.bincount(columns)
            widest = np.flatnonzero(counts == counts.max())
            place = widest[np.abs(widest - (size.size - 1) / 2).argmax()]  # lines cross the midst of a frame
            x, y = np.log(batch[rows[columns == place]]).mean(), size[place]
            low, high = np.log(ax.get_xlim())
            left = (x - low) / (high - low) < NARROW  # else the words would begin beyond the frame
            start = low + 0.02 * (high - low) if left else x
            ax.text(np.exp(start), y, words.format(highest), fontsize=SMALL, ha="left" if left else "center",
                    va="center", color="w" if colour == DARK else "k")  # fmt: skip
        elif rows.size:
            aside += 1
            on = {"facecolor": colour, "edgecolor": DARK, "pad": 2}
            ax.text(1.06, 0.1 * aside - 0.05, words.format(highest), transform=ax.transAxes, fontsize=SMALL, bbox=on,
                    va="center", color="w" if colour == DARK else "k")  # fmt: skip

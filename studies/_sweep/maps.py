"""A quantity over two names of a sweep: heat maps with contours, a panel for each entry that it has."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.style import GREY, NORMAL, SMALL, axes_of, dress, panels

from .lines import WIDE
from .scales import axis_label, edges_of, number, places_of, scale_axis, yes_or_no

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DIVERGING = "RdBu_r"
DECADES = 1e4  # on either side of zero that colours of both signs tell apart, where they are logarithmic
BRIGHT = 0.6  # share of the scale beyond which a line on it is dark
LETTERS = 12  # of a label to an inch
EDGE = 0.07  # share of a panel along its edges in which no contour is labelled
APART = 0.1  # least distance of two labels, over the panel's side
ROOM = 0.2  # length of a contour that has room for a label, over the panel's side
MARK = 200.0  # size of a mark for a failed cell, over the cells in a row


def maps(
    dataset: xarray.Dataset, name: str, across: tuple[str, str], entries: Sequence[tuple[str, dict[str, int]]],
    ax: Axes | None,
) -> Figure:  # fmt: skip
    """Draw a quantity over two names; `entries`: label and place of each panel."""
    values, failed = dataset[name], dataset["failure"] != ""
    flag = yes_or_no(values)
    norm, colours = _two_colours() if flag else _colours(values.values)
    columns = min(len(entries), 2)
    rows = -(-len(entries) // columns)
    if ax is None:
        figure, axes = panels(rows, height=(4.0 if columns == 1 else 2.9) * rows + 0.4 * (columns > 1), columns=columns)
    else:
        figure, _ = axes_of(ax)
        axes = [ax]
    turned = across[1], across[0]  # rows are the vertical axis
    (x, x_labels), (y, y_labels) = (places_of(values[dim].values) for dim in across)
    edges = [edges_of(place, values[dim].values) for place, dim in ((x, across[0]), (y, across[1]))]
    mesh: Any = None
    for panel, (label, entry) in zip(axes, entries, strict=False):
        part = values.isel(entry).transpose(*turned).values.astype(float)
        lost = failed.isel({dim: place for dim, place in entry.items() if dim in failed.dims}).transpose(*turned).values
        panel.set_facecolor("0.9")
        mesh = panel.pcolormesh(*edges, np.ma.masked_invalid(part), norm=norm, cmap=colours, rasterized=True)
        size = min(5.0, MARK / max(part.shape))
        for cells, mark in ((lost, "x"), (~np.isfinite(part) & ~lost, "o")):
            rows_of, columns_of = np.nonzero(cells)
            panel.plot(x[columns_of], y[rows_of], mark, color="0.2", markerfacecolor="none", markersize=size)
        scale_axis(panel, "x", values[across[0]].values, x, x_labels, columns)
        scale_axis(panel, "y", values[across[1]].values, y, y_labels, columns if y_labels else 1)
        if all(values[dim].dtype.kind in "iuf" for dim in across) and not flag:
            _contours(panel, x, y, part, norm, colours)
        dress(panel, axis_label(values[across[1]], across[1]), axis_label(values[across[0]], across[0]))
        panel.grid(False)
        if label:
            panel.set_title(label, fontsize=SMALL, loc="left")
    for panel in axes[len(entries) :]:
        panel.set_visible(False)
    bar = figure.colorbar(mesh, ax=axes[: len(entries)], shrink=0.9)
    bar.set_label(textwrap.fill(axis_label(values, name), int(LETTERS * figure.get_figheight())), fontsize=NORMAL)
    bar.ax.tick_params(labelsize=SMALL)
    finite = values.values[np.isfinite(values.values)]
    if flag:
        bar.set_ticks([0, 1], labels=["no", "yes"])
    elif np.ptp(finite.astype(float)) == 0:
        bar.set_ticks([float(finite[0])])
    figure.supxlabel(_marks(values, failed), fontsize=SMALL, color=GREY, x=0.02, ha="left")
    return figure


def _marks(values: xarray.DataArray, failed: xarray.DataArray) -> str:
    """What crosses and circles are, where there are some."""
    lost, odd = int(failed.sum()), int((~np.isfinite(values.astype(float)) & ~failed).sum())
    said = [f"×: failed ({lost} of {failed.size} cells)"] * (lost > 0) + ["○: not a finite number"] * (odd > 0)
    return "    ".join(said)


def _contours(panel: Axes, x: np.ndarray, y: np.ndarray, part: np.ndarray, norm: Any, colours: str) -> None:
    """Lines of equal value, where there are enough cells to draw them; their labels tell them apart."""
    finite = part[np.isfinite(part)]
    if min(part.shape) < 3 or finite.size < 6 or np.ptp(finite) == 0:
        return
    levels = _levels(part[np.isfinite(part)], norm)
    if not levels.size:
        return
    shares = np.asarray(norm(levels))
    bright = {"viridis": shares, DIVERGING: 1 - np.abs(shares - 0.5)}.get(colours, 1 - shares)
    lines = ["0.2" if share > BRIGHT else "w" for share in bright]
    drawn = panel.contour(x, y, np.ma.masked_invalid(part), levels=levels, linewidths=0.9, colors=lines)
    apart = np.diff(levels).min(initial=np.inf)
    even = np.isfinite(apart) and type(norm).__name__ == "Normalize"  # otherwise levels are powers of ten
    digits = int(np.clip(np.log10(np.abs(levels).max() / apart) + 2, 3, 12)) if even else 3
    side = panel.transData + panel.transAxes.inverted()
    pieces = [piece for path in drawn.get_paths() for piece in path.to_polygons(closed_only=False)]
    spots: list[np.ndarray] = []
    for piece in pieces:
        found = _spots(side.transform(piece))
        spots += [spot for spot in found if all(np.hypot(*(spot - other)) > APART for other in spots)]
    if spots:
        places = [tuple(place) for place in side.inverted().transform(spots)]
        panel.clabel(drawn, fontsize=SMALL - 1, fmt=lambda value: number(value, digits), manual=places)


def _spots(corners: np.ndarray) -> list[np.ndarray]:
    """Where a line (in shares of a panel) is labelled: far from the panel's edges and the line's ends; or nowhere."""
    along = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
    if along[-1] < ROOM:
        return []
    there = np.linspace(0, along[-1], 101)
    points = np.stack([np.interp(there, along, corners[:, k]) for k in (0, 1)], axis=1)
    free = np.minimum(np.minimum(points, 1 - points).min(axis=1), np.minimum(there, along[-1] - there))
    return [points[free.argmax()]] if free.max() > EDGE else []


def _two_colours() -> tuple[Any, Any]:
    from matplotlib.colors import BoundaryNorm, ListedColormap

    return BoundaryNorm([-0.5, 0.5, 1.5], 2), ListedColormap(["#c6dbef", "#2b6ca3"])


def _colours(values: np.ndarray) -> tuple[Any, str]:
    """Scale and colours: logarithmic where positive values span much, diverging about 0 where both signs are there."""
    from matplotlib.colors import LogNorm, Normalize, SymLogNorm

    finite = values[np.isfinite(values)].astype(float)
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return Normalize(low - (abs(low) or 1.0), high + (abs(low) or 1.0)), "viridis"
    if low > 0 and high > WIDE * low:
        return LogNorm(low, high), "viridis"
    if high < 0 and low < WIDE * high:
        return SymLogNorm(-high, vmin=low, vmax=high), "viridis_r"
    if low < 0 < high:
        reach = max(-low, high)
        if reach > WIDE**2 * np.median(np.abs(finite)):
            return SymLogNorm(10 ** np.floor(np.log10(reach / DECADES)), vmin=-reach, vmax=reach), DIVERGING
        return Normalize(-reach, reach), DIVERGING
    size = "viridis" if low >= 0 or high > 0 else "viridis_r"  # bright is large, whatever the sign
    return Normalize(low, high), size


def _levels(values: np.ndarray, norm: Any) -> np.ndarray:
    """At most five lines of equal value, at round numbers."""
    from matplotlib.colors import LogNorm, SymLogNorm
    from matplotlib.ticker import LogLocator, MaxNLocator

    low, high = values.min(), values.max()
    if isinstance(norm, SymLogNorm):
        locator: Any = LogLocator(numticks=6 if high < 0 else 3)
        tens = np.asarray(locator.tick_values(norm.linthresh, max(-low, high)))
        tens = tens[tens > norm.linthresh]  # nearer to zero the scale is linear
        ticks = np.concatenate([-tens[::-1], [0.0], tens])
    else:
        locator = LogLocator(numticks=6) if isinstance(norm, LogNorm) else MaxNLocator(5)
        ticks = np.asarray(locator.tick_values(low, high))
    return ticks[(ticks > low) & (ticks < high)]

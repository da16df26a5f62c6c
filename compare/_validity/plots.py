"""The phase diagram of compare.validity, and errors against the step size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import InvalidInput, whole_number

from ..style import GREY, SMALL, axes_of, direct_labels, dress, styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .result import Validity

PALE = 0.28  # opacity of a region


def regions(found: Validity, ax: Axes | None, order: Sequence[str] | None) -> Figure:
    """Regions named after the coarsest limit that serves; lines: ends of validity, and thresholds."""
    if len(found.names) != 1:
        raise InvalidInput(
            f"a phase diagram has one more axis beside the step size, and {len(found.names)} were varied: select"
        )
    from matplotlib.colors import ListedColormap, to_rgb

    figure, ax = axes_of(ax)
    data, (name,) = found.dataset, found.names
    x, y = data[name].values.astype(float), data["scanned"].values
    names = found.order() if order is None else list(order)
    looks = styles(names)
    colours = [tuple(1 - PALE * (1 - part) for part in to_rgb(looks[each]["color"])) for each in names] + [(0.88,) * 3]
    map_ = found.regions(order).T
    ax.pcolormesh(_edges(x), _edges(y), map_, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(names) + 0.5,
                  rasterized=True)  # fmt: skip
    ends = []
    for each in names:
        line = data["boundary"].sel(process=each).values
        shown = np.where(line > 0, line, np.nan)
        ax.plot(x, shown, color=looks[each]["color"], linestyle=looks[each]["linestyle"], linewidth=1.3)
        if np.isfinite(shown[-1]):
            ends.append((x[-1], float(shown[-1]), each, looks[each]["color"]))
    for threshold, words, line in (
        ("mean_square_threshold", "mean-square threshold", "-"), ("lyapunov_threshold", "Lyapunov threshold", ":"),
    ):  # fmt: skip
        values = data[threshold].values
        if np.isfinite(values).any():
            ax.plot(x, values, color=GREY, linestyle=line, linewidth=1)
            ends.append((x[-1], float(values[-1]), words, GREY))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    dress(ax, found.dataset.attrs["along"].replace("_", " "), name.replace("_", " "))
    ax.grid(False)
    direct_labels(ax, ends)
    _name_regions(ax, map_, x, y, [*names, "the recurrence alone"])
    return figure


def _name_regions(ax: Axes, map_: np.ndarray, x: np.ndarray, y: np.ndarray, names: Sequence[str]) -> None:
    """The name of each region in its widest column, where it has room."""
    for place, name in enumerate(names):
        inside = map_ == place
        if inside.mean() < 0.04:
            continue
        column = int(inside.sum(axis=0).argmax())
        column = min(max(column, len(x) // 3), 2 * len(x) // 3)
        rows = np.flatnonzero(inside[:, column])
        if rows.size:
            middle = np.sqrt(y[rows[0]] * y[rows[-1]])
            ax.text(x[column], middle, name, fontsize=SMALL, ha="center", va="center", color="0.15")


def errors(found: Validity, ax: Axes | None, cell: int) -> Figure:
    """Error against the step size in one cell, the allowance, and the ends."""
    figure, ax = axes_of(ax)
    data = found.dataset
    here = data.isel(cell=whole_number("cell", cell, 0, data.sizes["cell"] - 1))
    names, ends = found.order(), []
    looks = styles(names)
    for each in names:
        line, size = here.sel(process=each), data["scanned"].values
        known = np.isfinite(line["error"].values) & (line["error"].values > 0)
        ax.plot(size[known], line["error"].values[known], color=looks[each]["color"],
                linestyle=looks[each]["linestyle"], linewidth=1.2)  # fmt: skip
        if float(line["boundary"]) > 0:
            ax.plot(float(line["boundary"]), data.attrs["within"], looks[each]["marker"], color=looks[each]["color"],
                    markersize=4)  # fmt: skip
        if known.any():
            ends.append((size[known][-1], line["error"].values[known][-1], each, looks[each]["color"]))
    ax.axhline(data.attrs["within"], color=GREY, linewidth=0.8, linestyle=":")
    ax.axvline(float(here["mean_square_threshold"]), color=GREY, linewidth=0.8)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(top=10)
    dress(ax, f"largest error / {data.attrs['scale']}", data.attrs["along"].replace("_", " "))
    direct_labels(ax, ends)
    return figure


def _edges(values: np.ndarray) -> np.ndarray:
    """Edges of cells about ascending values, in their logarithms."""
    logs = np.log(values)
    if logs.size == 1:
        return np.exp(np.array([logs[0] - 0.5, logs[0] + 0.5]))
    middle = 0.5 * (logs[1:] + logs[:-1])
    return np.exp(np.concatenate([[1.5 * logs[0] - 0.5 * logs[1]], middle, [1.5 * logs[-1] - 0.5 * logs[-2]]]))

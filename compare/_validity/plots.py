"""The phase diagram of compare.validity, and errors against the step size."""

from __future__ import annotations

import json
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
FINE = 240  # points of a drawn map on each axis
TOP = 10.0  # largest error that is drawn
WIDE, HIGH = 0.019, 0.06  # of a letter, of a line of text, in parts of the axes


def regions(found: Validity, ax: Axes | None, order: Sequence[str] | None) -> Figure:
    """Regions named after the coarsest limit that serves; lines: ends of validity, and thresholds."""
    if len(found.names) != 1:
        raise InvalidInput(
            f"a phase diagram has one more axis beside the step size, and {len(found.names)} were varied: select"
        )
    from matplotlib.colors import ListedColormap, to_rgb

    figure, ax = axes_of(ax)
    data, (name,) = found.dataset, found.names
    if data[name].dtype.kind not in "iuf":
        raise InvalidInput(
            f"a phase diagram has an axis of numbers, and {name} has texts or flags: take plot_errors(cell=...)"
        )
    x, y = data[name].values.astype(float), data["scanned"].values
    if (np.diff(x) <= 0).any():
        raise InvalidInput(f"a phase diagram needs ascending values of {name}, got {x.tolist()}")
    logarithmic = bool(x[0] > 0)  # from 0 on, as of a ridge, evenly
    names = found.order() if order is None else list(order)
    looks = styles(names)
    colours = [tuple(1 - PALE * (1 - part) for part in to_rgb(looks[each]["color"])) for each in names] + [(0.88,) * 3]
    fine_x, fine_y, map_ = _fine_regions(found, names, x, y)
    ax.pcolormesh(fine_x, fine_y, map_, cmap=ListedColormap(colours), vmin=-0.5, vmax=len(names) + 0.5,
                  shading="nearest", rasterized=True)  # fmt: skip
    ends, lines = [], []
    for each in names:
        line = data["boundary"].sel(process=each).values
        shown = np.where(line > 0, line, np.nan)
        lines.append((x[line > 0], line[line > 0]))
        ax.plot(x, shown, color=looks[each]["color"], linestyle=looks[each]["linestyle"], linewidth=1.3)
        if np.isfinite(shown[-1]):
            ends.append((x[-1], float(shown[-1]), each, looks[each]["color"]))
    for threshold, words, dashes in (
        ("mean_square_threshold", "mean-square threshold", "-"), ("lyapunov_threshold", "Lyapunov threshold", ":"),
    ):  # fmt: skip
        values = data[threshold].values
        if np.isfinite(values).any():
            ax.plot(x, values, color=GREY, linestyle=dashes, linewidth=1)
            lines.append((x, values))
            ends.append((x[-1], float(values[-1]), words, GREY))
    if logarithmic:
        ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    dress(ax, found.dataset.attrs["along"].replace("_", " "), name.replace("_", " "))
    ax.grid(False)
    direct_labels(ax, ends)
    drawn = [line for line in lines if line[0].size and np.isfinite(line[1]).all()]
    _name_regions(ax, map_, fine_x, fine_y, [*names, "the recurrence alone"], drawn)
    return figure


def _name_regions(
    ax: Axes, map_: np.ndarray, x: np.ndarray, y: np.ndarray, names: Sequence[str],
    lines: Sequence[tuple[np.ndarray, np.ndarray]],
) -> None:  # fmt: skip
    """The name of each region where it fits without crossing a line; else none."""
    from scipy.ndimage import distance_transform_edt, minimum_filter

    free = np.ones(map_.shape, dtype=bool)
    for line in lines:
        at = np.interp(_places(x), _places(line[0]), np.log(line[1]))
        # A line crosses every row between its places in neighbouring columns.
        low, high = np.minimum(at, np.roll(at, 1)), np.maximum(at, np.roll(at, 1))
        low[0] = high[0] = at[0]
        half = np.log(y[1] / y[0])
        free &= (np.log(y)[:, None] < low - half) | (np.log(y)[:, None] > high + half)
    for place, name in enumerate(names):
        inside = (map_ == place) & free
        box = int(HIGH * len(y)), int(WIDE * len(name) * len(x))
        fits = minimum_filter(inside, size=box, mode="constant", cval=0)
        if not fits.any():
            continue
        # Rows count as far as they are high beside a name that is wide.
        room = distance_transform_edt(np.pad(fits, 1), sampling=(WIDE / HIGH * len(name), 1.0))[1:-1, 1:-1]
        row, column = np.unravel_index(int(room.argmax()), room.shape)
        ax.text(x[column], y[row], name, fontsize=SMALL, ha="center", va="center", color="0.15")


def errors(found: Validity, ax: Axes | None, cell: int) -> Figure:
    """Error against the step size in one cell, the allowance, and the ends."""
    figure, ax = axes_of(ax)
    data = found.dataset
    here = data.isel(cell=whole_number("cell", cell, 0, data.sizes["cell"] - 1))
    names, ends = found.order(), []
    looks = styles(names)
    for each in names:
        line, size = here.sel(process=each), data["scanned"].values
        known = (line["error"].values <= TOP) & (line["error"].values > 0)
        ax.plot(size[known], line["error"].values[known], color=looks[each]["color"],
                linestyle=looks[each]["linestyle"], linewidth=1.2)  # fmt: skip
        if float(line["boundary"]) > 0:
            ax.plot(float(line["boundary"]), data.attrs["within"], looks[each]["marker"], color=looks[each]["color"],
                    markersize=4)  # fmt: skip
        if known.any():
            ends.append((size[known][-1], line["error"].values[known][-1], each, looks[each]["color"]))
    ax.axhline(data.attrs["within"], color=GREY, linewidth=0.8, linestyle=":")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(top=TOP)
    ax.annotate(f"allowed: {100 * data.attrs['within']:g} %", (0.01, data.attrs["within"]), color=GREY, fontsize=SMALL,
                xycoords=ax.get_yaxis_transform(), xytext=(0, 2), textcoords="offset points")  # fmt: skip
    threshold = float(here["mean_square_threshold"])
    if np.isfinite(threshold):
        ax.axvline(threshold, color=GREY, linewidth=0.8)
        ax.annotate("mean-square threshold", (threshold, 0.02), color=GREY, fontsize=SMALL, ha="right", va="bottom",
                    xycoords=ax.get_xaxis_transform(), rotation=90, xytext=(-2, 0),
                    textcoords="offset points")  # fmt: skip
    ax.set_title(found._cell(cell), fontsize=SMALL, color=GREY, loc="left")
    dress(ax, f"largest error / {data.attrs['scale']}", data.attrs["along"].replace("_", " "))
    direct_labels(ax, ends)
    return figure


def _places(values: np.ndarray) -> np.ndarray:
    """Where values lie along the axis: by their logarithm, or as they are where one is not above 0."""
    return np.log(values) if values[0] > 0 else np.asarray(values, dtype=float)


def _fine_regions(
    found: Validity, names: Sequence[str], x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`Validity.regions` on a finer grid: up to the lines of ends, and further components about their own cells."""
    spaced = np.geomspace if x[0] > 0 else np.linspace
    across = spaced(x[0], x[-1], FINE) if x.size > 1 else np.array([x[0] / 1.5, x[0] * 1.5])
    along, places = np.geomspace(y[0], y[-1], FINE), _places(x)
    at = np.clip(_places(across), *places[[0, -1]])
    nearest = np.abs(at[:, None] - places).argmin(axis=1)
    served = []
    for each in names:
        here = found.dataset.sel(process=each)
        with np.errstate(divide="ignore", invalid="ignore"):
            edge = np.interp(at, places, np.log(here["boundary"].values))  # nan beside a cell without one
        inside = np.log(along) <= edge[:, None]
        for cell, spans in enumerate(here["others"].values):
            for low, high in json.loads(str(spans)):
                inside |= (nearest == cell)[:, None] & (low <= along) & (along <= high)
        served.append(inside)
    inside = np.stack(served)
    return across, along, np.where(inside.any(axis=0), inside.argmax(axis=0), len(names)).T

"""The pictures of compare.snapping."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..drops import BATCH, event
from ..style import COLOURS, GREY, LINES, SMALL, direct_labels, dress, figure_of, panels

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Of the arms in their order.
PLACES = {"high": 1, "snapped": 0, "low": 2, "noiseless": 3, "gradient flow": 5}
LOWEST = 1e-6  # of the gap at the drop: what is shown


def both(dataset: xarray.Dataset, axes: tuple[Axes, Axes] | None = None) -> Figure:
    """The arms above, the gap below."""
    if axes is None:
        figure, (above, below) = panels(2, 6.2)
    else:
        (above, below), figure = axes, figure_of(axes[0])
    curves(dataset, above)
    gap(dataset, below)
    return figure


def curves(dataset: xarray.Dataset, ax: Axes) -> None:
    """Excess risk of the arms: against steps, or sums of step sizes where these are matched."""
    told = dataset.attrs
    by_steps = told["drop"] == BATCH
    last = float((dataset["step"] if by_steps else dataset["time"].sel(arm="snapped"))[-1])
    ends = []
    for name, place in PLACES.items():
        if name == "noiseless" and not told["batch_size_after"]:
            continue  # the low run itself
        here = dataset.sel(arm=name)
        x = here["step"].values if by_steps else here["time"].values
        y = here["excess"].values
        shown = y > 0
        wide = 1.8 if name == "snapped" else 1.1
        ax.plot(x[shown], y[shown], color=COLOURS[place], linestyle=LINES[place], linewidth=wide)
        if shown.any():
            text = "low, noiseless" if name == "low" and not told["batch_size_after"] else name
            x, y = x[shown], y[shown]
            end = min(float(x[-1]), last)  # where the curve leaves the picture, or ends
            ends.append((end, float(np.exp(np.interp(end, x, np.log(y)))), text, COLOURS[place]))
    at = dataset["step"].values.tolist().index(told["drop_at"])
    drop = told["drop_at"] if by_steps else float(dataset["time"].sel(arm="snapped")[at])
    ax.axvline(drop, color=GREY, linewidth=0.7, linestyle=":")
    ax.set_yscale("log")
    ax.set_xlim(-0.04 * last, 1.04 * last)
    dress(ax, "excess risk", "SGD step" if by_steps else "sum of step sizes")
    ax.set_title(f"dotted: {event(told)}", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)


def gap(dataset: xarray.Dataset, ax: Axes) -> None:
    """The gap, both axes logarithmic, with its predicted slopes and the first times at fractions of it."""
    after, values = dataset["after"].values, np.abs(dataset["gap"].values)
    shown = (after > 0) & (values > LOWEST * values[0])
    dress(ax, "|gap|" if (dataset["gap"].values < 0).any() else "gap", "steps after the drop")
    if not shown.any() or dataset.attrs["void"]:
        ax.set_title("no gap at the drop", fontsize=SMALL, loc="left", color=GREY)
        return
    ax.plot(after[shown], values[shown], color=COLOURS[0], linewidth=1.8)
    ends = [(float(after[shown][-1]), float(values[shown][-1]), "gap", COLOURS[0])]
    said = np.abs(dataset["quasi_static"].values)
    drawn = (after > 0) & (said > LOWEST * values[0])
    if drawn.any():
        ax.plot(after[drawn], said[drawn], color=COLOURS[2], linestyle=LINES[2], linewidth=1.1)
        ends.append((float(after[drawn][-1]), float(said[drawn][-1]), "quasi-static", COLOURS[2]))
    for window in dataset["window"].values.tolist():
        ends += _guide(dataset.sel(window=window), after[shown], values[shown], ax)
    reached = dataset["time_to"].values > 0
    times, then = dataset["time_to"].values[reached], np.abs(dataset["gap_then"].values[reached])
    late = times > after[shown][-1]  # past the recorded steps
    if late.any():
        x, y = [after[shown][-1], *times[late]], [values[shown][-1], *then[late]]
        ax.plot(x, y, color=GREY, linewidth=0.7, linestyle=":")
    ax.plot(times, then, color=COLOURS[1], linestyle="none", marker="o", markersize=4)
    ax.set_xscale("log")
    ax.set_yscale("log")
    marks = "dots: times to fractions of the gap at the drop"
    guided = bool(np.isfinite(dataset["exponent_predicted"]).any())
    ax.set_title(marks + ("; thin: slopes in the limits" if guided else ""), fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)


def _guide(
    window: xarray.Dataset, after: np.ndarray, values: np.ndarray, ax: Axes
) -> list[tuple[float, float, str, str]]:
    """A line of the predicted slope beside the curve, over that part of its window which is drawn."""
    slope = float(window["exponent_predicted"])
    if not np.isfinite(slope):
        return []
    inside = (after >= float(window["first"])) & (after <= float(window["last"]))
    if inside.sum() < 2:
        return []
    x, y = after[inside], values[inside]
    middle = int(np.argmin(np.abs(np.log(x / np.sqrt(x[0] * float(x[-1]))))))
    line = 1.5 * y[middle] * (x / x[middle]) ** slope
    ax.plot(x, line, color=GREY, linewidth=0.9)
    text = f"slope {slope:.3g}".replace("-", "−")
    return [(float(x[-1]), float(line[-1]), text, GREY)]

"""Pictures of compare.orders. Each takes axes or makes a figure of its own, and returns the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import GREY, SMALL, axes_of, direct_labels, dress, largest, panels, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def orders(dataset: xarray.Dataset, quantity: str, ax: Axes | None = None) -> Figure:
    """Size of the error against the small parameter, in which the order is counted; filled where positive; slopes."""
    figure, ax = axes_of(ax)
    here = dataset.sel(quantity=quantity).sortby("step_size")
    ladder = here["parameter"].values if "parameter" in here.coords else here["step_size"].values
    names = [
        name for name in here["process"].values.tolist() if largest(here["error"].sel(process=name).values)
    ]
    ends = []
    for name in names:
        side, look = here.sel(process=name), styles(names)[name]
        error = side["error"].values
        predicted = _predicted(side, ladder)
        if predicted is not None:
            ax.plot(ladder, predicted, color=look["color"], linestyle=":", linewidth=2.4, alpha=0.5)
        ax.plot(ladder, np.abs(error), color=look["color"], linestyle=look["linestyle"], linewidth=0.9)
        spread = side["standard_error"].values if "standard_error" in side else np.zeros_like(error)
        if spread.any():
            ax.errorbar(ladder, np.abs(error), 2 * spread, fmt="none", ecolor=look["color"], elinewidth=0.9)
        for mask, fill in ((error > 0, look["color"]), (error < 0, "white")):
            ax.plot(
                ladder[mask], np.abs(error[mask]), color=look["color"], linestyle="none",
                marker=look["marker"], markersize=5, markerfacecolor=fill,
            )  # fmt: skip
        slope = f"slope {float(side['slope']):.3f} ± {float(side['slope_error']):.1g}"
        if np.isnan(side["slope"]):
            within = np.abs(error) < 2 * spread
            slope = "no slope: within 2 s.e. of 0" if within.any() else (
                "no slope: sign changes" if np.ptp(np.sign(error)) else "no slope: rounding"
            )
        ends.append((ladder[-1], abs(error[-1]), f"{name}\n{slope}", look["color"]))
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ticks = ladder[:: -(-ladder.size // 5)]  # at most five labels fit side by side
    ax.set_xticks(ticks, [f"{size:.3g}" for size in ticks], fontsize=SMALL)
    small = str(dataset.attrs.get("parameter", "step_size")).replace("step_size", "step size")
    dress(ax, f"|error of {quantity}|", small)
    title = [str(dataset.attrs.get("title", "Observed weak orders")), "; ".join(signs(dataset, quantity))]
    ax.set_title("\n".join(line for line in title if line), fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure


def _predicted(side: xarray.Dataset, ladder: np.ndarray) -> np.ndarray | None:
    """Theory's leading term; None where it is zero to rounding, or not known."""
    if "constant_predicted" not in side:
        return None
    predicted = np.abs(float(side["constant_predicted"])) * ladder ** float(side["claimed"])
    if np.isnan(predicted).any():
        return None
    return predicted if predicted.max() > 1e-6 * np.abs(side["error"].values).max() else None


def signs(dataset: xarray.Dataset, *quantities: str) -> list[str]:
    """What must be known to read the pictures of these quantities: no more than is drawn."""
    ladder, found = dataset["parameter" if "parameter" in dataset.coords else "step_size"].values, []
    sides = [dataset.sel(quantity=q, process=name) for q in quantities for name in dataset["process"].values.tolist()]
    if any(_predicted(side, ladder) is not None for side in sides):
        found.append("thick dots: leading-order theory")
    if (dataset["error"].sel(quantity=list(quantities)).values < 0).any():
        found.append("open marker: negative")
    if "standard_error" in dataset and dataset["standard_error"].values.any():
        found.append("bars: 2 standard errors")
    return found


def all_orders(dataset: xarray.Dataset) -> Figure:
    """`orders` of every quantity, below each other."""
    names = dataset["quantity"].values.tolist()
    figure, axes = panels(len(names), height=3.0 * len(names))
    for name, ax in zip(names, axes):
        orders(dataset, name, ax)
    return figure

"""The picture of compare.time_scales."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates import normal_quantile
from ..rescaling import VARIABLES
from ..style import GREY, SMALL, direct_labels, dress, figure_of, panels, scale_ladders, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def times(dataset: xarray.Dataset, axes: Sequence[Axes] | None = None) -> Figure:
    """Times in steps against step size, and against noise level below; predicted times as dotted lines.

    A process that stands still is drawn by open arrows at the length of its runs, a lower bound.
    """
    present = [name for name in VARIABLES if (dataset["ladder"].values == name).any()]
    if axes is None:
        figure, axes = panels(len(present), height=3.9 * len(present))
    else:
        figure = figure_of(axes[0])
    labels = dataset["time_scale"].values.tolist()
    looks = _distinct(labels)
    for ladder, ax in zip(present, axes):
        ends, everything, standing = [], [], 0
        for index, label in enumerate(labels):
            chosen = (dataset["time_scale_index"].values == index) & (dataset["ladder"].values == ladder)
            if not chosen.any():
                continue
            here, look = dataset.isel(measurement=np.flatnonzero(chosen)), looks[label]
            x = here["step_size" if ladder == "step size" else "noise_level"].values
            everything.append(x)
            name = label.replace(", ", ",\n")
            if not np.isfinite(here["time"].values).all():
                steps, moved = here["steps"].values, float(dataset["displacement"][index])
                x = x * 1.07 ** (standing % 3 - 1)  # runs of one length would hide each other
                ax.plot(x, steps, color=look["color"], linestyle="none", marker=r"$\uparrow$", markersize=9)
                note = "moved exactly 0" if moved == 0 else "frozen"
                ends.append((x[-1], steps[-1], f"{name}\n(arrows: {note})", look["color"]))
                standing += 1
                continue
            values, z = here["time"].values, normal_quantile(dataset.attrs["confidence"])
            ax.plot(x, here["predicted"].values, color=look["color"], linestyle=":", linewidth=2.4, alpha=0.5)
            ax.errorbar(
                x, values, z * here["time_error"].values, color=look["color"], linestyle=look["linestyle"],
                marker=look["marker"], markersize=4, markerfacecolor=look["face"], linewidth=0.9, elinewidth=0.9,
                capsize=2,
            )  # fmt: skip
            slope = float(dataset["exponent"].isel(time_scale=index).sel(variable=ladder))
            text = name + (f"\nslope {slope:.2f}".replace("-", "−") if np.isfinite(slope) else "")
            ends.append((x[-1], values[-1], text, look["color"]))
        scale_ladders(ax, np.unique(np.concatenate(everything)))
        ax.invert_xaxis()
        dress(ax, "steps", ladder)
        ax.set_title("thick dots: predicted time", fontsize=SMALL, loc="left", color=GREY)
        direct_labels(ax, ends)
    return figure


def _distinct(labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The usual styles; where colours come round again, open markers."""
    looks, met = {}, []
    for label, look in styles(labels).items():
        looks[label] = look | {"face": "white" if look["color"] in met else look["color"]}
        met.append(look["color"])
    return looks

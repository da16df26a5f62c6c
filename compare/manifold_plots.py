"""Pictures of comparisons along a set of zero loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import one_of

from .estimates import normal_quantile
from .style import GREY, SMALL, axes_of, direct_labels, dress, panels, styles

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LADDERS = ("step size", "noise level")


def errors(dataset: xarray.Dataset, observable: str | None = None, ax: Axes | None = None) -> Figure:
    """Error of E at Phi(w_k) at the last time against the step size, for each noise level; the fit as a dotted line."""
    figure, ax = axes_of(ax)
    names = dataset["observable"].values.tolist()
    chosen = names[0] if observable is None else one_of("observable", observable, names)
    here = dataset.sel(observable=chosen).isel(time=-1)
    sizes, levels = here["step_size"].values, here["noise_level"].values
    labels = ["minibatch" if np.isnan(level) else f"noise level {level:.3g}" for level in levels]
    z = normal_quantile(dataset.attrs["confidence"])
    fine, ends = np.linspace(0, sizes[0], 60), []
    for j, (level, label) in enumerate(zip(levels, labels)):
        look = styles(labels)[label]
        values, half = here["error"].values[:, j], z * here["error_error"].values[:, j]
        fitted = _fitted(here, fine, float(np.nan_to_num(level)))
        ax.plot(fine, fitted, color=look["color"], linestyle=":", linewidth=2.4, alpha=0.5)
        ax.errorbar(
            sizes, values, half, color=look["color"], linestyle="none", marker=look["marker"], markersize=4,
            elinewidth=0.9, capsize=2,
        )  # fmt: skip
        ends.append((sizes[0], values[0], label, look["color"]))
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xlim(left=0)
    dress(ax, f"error of {chosen}", "step size")
    ax.set_title("thick dots: fitted parts", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure


def _fitted(here: xarray.Dataset, sizes: np.ndarray, level: float) -> np.ndarray:
    terms = {
        "what remains": 1.0, "step size": sizes, "noise level^2": level**2, "step size^2": sizes**2,
        "step size * noise level^2": sizes * level**2, "noise level^4": level**4,
    }  # fmt: skip
    parts = here["part"].values.tolist()
    return sum((float(here["coefficient"].sel(part=part)) * terms[part] for part in parts), np.zeros_like(sizes))


def spreads(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Spread of a path across and along the set at the last time, against the step size, both logarithmic."""
    figure, ax = axes_of(ax)
    here = dataset.isel(time=-1, noise_level=0)
    sizes, names, ends = here["step_size"].values, ["across the set", "along the set"], []
    for kind, name in zip(here["kind"].values.tolist(), names):
        side, look = here.sel(kind=kind), styles(names)[name]
        values = side["spread"].values
        if not (values > 0).all():
            continue
        power = float(side["spread_exponent_predicted"].sel(variable="step size"))
        guide = values[-1] * (sizes / sizes[-1]) ** power
        ax.plot(sizes, guide, color=look["color"], linestyle=":", linewidth=2.4, alpha=0.5)
        ax.plot(sizes, values, color=look["color"], linestyle=look["linestyle"], marker=look["marker"], markersize=4)
        slope = float(side["spread_exponent"].sel(variable="step size"))
        ends.append((sizes[0], values[0], f"{name}\nslope {slope:.2f}", look["color"]))
    _logarithmic(ax, sizes)
    dress(ax, "spread of a path", "step size")
    ax.set_title("thick dots: predicted slope", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure


def times(dataset: xarray.Dataset, axes: Sequence[Axes] | None = None) -> Figure:
    """Times in steps against step size, and against noise level below; predicted times as dotted lines.

    A process that stands still is drawn by open arrows at the length of its runs, a lower bound.
    """
    present = [name for name in LADDERS if (dataset["ladder"].values == name).any()]
    if axes is None:
        figure, axes = panels(len(present), height=3.9 * len(present))
    else:
        figure = axes[0].get_figure(root=True)
    labels = dataset["passage"].values.tolist()
    looks = _distinct(labels)
    for ladder, ax in zip(present, axes):
        ends, everything, standing = [], [], 0
        for index, label in enumerate(labels):
            chosen = (dataset["passage_index"].values == index) & (dataset["ladder"].values == ladder)
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
            slope = float(dataset["exponent"].isel(passage=index).sel(variable=ladder))
            text = name + (f"\nslope {slope:.2f}".replace("-", "−") if np.isfinite(slope) else "")
            ends.append((x[-1], values[-1], text, look["color"]))
        _logarithmic(ax, np.unique(np.concatenate(everything)))
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


def _logarithmic(ax: Axes, x: np.ndarray) -> None:
    """Both axes logarithmic, ticks at the rungs that stand far enough apart."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks: list[float] = []
    for value in sorted(x, reverse=True):
        if not ticks or np.log(ticks[-1] / value) > 0.09 * np.log(x.max() / x.min()):
            ticks.append(float(value))
    ax.set_xticks(ticks, [f"{value:.3g}" for value in ticks], fontsize=SMALL)
    ax.set_xticks([], minor=True)

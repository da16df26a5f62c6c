"""Pictures of compare.manifold. Each takes axes or makes a figure of its own, and returns the figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.exact.errors import one_of

from ..estimates import normal_quantile
from ..style import GREY, SMALL, axes_of, direct_labels, dress, panels, scale_ladders, styles
from .error_expansion import term

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def both(dataset: xarray.Dataset, observable: str | None = None) -> Figure:
    """`errors` above `remains`."""
    figure, (upper, lower) = panels(2, height=6.4)
    errors(dataset, observable, upper)
    remains(dataset, observable, lower)
    return figure


def remains(dataset: xarray.Dataset, observable: str | None = None, ax: Axes | None = None) -> Figure:
    """What remains of the error at all times with its simultaneous band, within the tolerance; and of wrong limits."""
    figure, ax = axes_of(ax)
    here = dataset.sel(observable=_chosen(dataset, observable))
    times, margin = here["time"].values, float(here["margin"])
    names = here["against"].values.tolist()
    shown = [name for name in names if str(here["against_verdict"].sel(against=name).item())]
    ends = []
    ax.axhspan(-margin, margin, color="0.9", zorder=0)
    for name in shown:
        side, look = here.sel(against=name), styles(names)[name]
        gap, half = side["against_gap"].values, side["against_band"].values
        ax.fill_between(times, gap - half, gap + half, color=look["color"], alpha=0.25, linewidth=0)
        ax.errorbar(
            times, gap, half, color=look["color"], linestyle=look["linestyle"], marker=look["marker"], markersize=4,
            linewidth=0.9, elinewidth=0.9, capsize=2,
        )  # fmt: skip
        said = name.replace("a limit that ", "").replace("a limit ", "")
        ends.append((times[-1], gap[-1], f"{said}:\n{side['against_verdict'].item()}", look["color"]))
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xlim(left=0)
    dress(ax, "what remains of the error", "time of the limit")
    words = f"grey: the tolerance; {100 * dataset.attrs['confidence']:g} % bands at all times together"
    ax.set_title(words, fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure


def _chosen(dataset: xarray.Dataset, observable: str | None) -> str:
    names = dataset["observable"].values.tolist()
    return names[0] if observable is None else one_of("observable", observable, names)


def errors(dataset: xarray.Dataset, observable: str | None = None, ax: Axes | None = None) -> Figure:
    """Error of E at Phi(w_k) at the last time against the step size, for each noise level; the fit as a dotted line."""
    figure, ax = axes_of(ax)
    chosen = _chosen(dataset, observable)
    here = dataset.sel(observable=chosen).isel(time=-1)
    sizes, levels = here["step_size"].values, here["noise_level"].values
    labels = ["minibatch" if np.isnan(level) else f"noise level {level:.3g}" for level in levels]
    z = normal_quantile(dataset.attrs["confidence"])
    fine, ends = np.linspace(0, sizes[0], 60), []
    for j, (level, label) in enumerate(zip(levels, labels)):
        look = styles(labels)[label]
        values, half = here["error"].values[:, j], z * here["error_error"].values[:, j]
        parts = [(part, float(here["coefficient"].sel(part=part))) for part in here["part"].values.tolist()]
        fitted = sum(value * term(part, fine, float(np.nan_to_num(level))) for part, value in parts)
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
    scale_ladders(ax, sizes)
    dress(ax, "spread of a path", "step size")
    ax.set_title("thick dots: predicted slope", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(ax, ends)
    return figure

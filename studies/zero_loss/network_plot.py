"""Picture of the two-layer network: its test error along the slow phase of every mechanism, on one axis of steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.estimates import student_quantile
from sgdlimits.compare.style import direct_labels, dress, panels

from .plots import looks_of

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure


def network(data: xarray.Dataset, confidence: float, start: int = 1) -> Figure:
    """Test error at Phi(w_k) with intervals, limits and limits at this step size, from one interpolator."""
    from matplotlib.ticker import FixedLocator, NullFormatter

    figure, (ax,) = panels(1, 4.2)
    names = data["mechanism"].values.tolist()
    looks, half = looks_of(names), student_quantile(confidence, data.attrs["paths"] - 1)
    ends: list[Any] = []
    for name in names:
        cell, look = data.sel(mechanism=name, start=start), looks[name]
        step = cell["step"].values
        seen = step > 0
        ax.errorbar(
            step[seen], cell["test_error"].values[seen], half * cell["test_error_error"].values[seen],
            color=look["color"], linestyle="none", marker=look["marker"], markersize=4.5, elinewidth=0.9, capsize=2,
        )  # fmt: skip
        for key, style, width in (("limit", "-", 1.3), ("finite_step", (0, (2, 1.5)), 1.0)):
            ax.plot(
                step[seen], cell[f"test_error_{key}"].values[seen], color=look["color"], linestyle=style,
                linewidth=width,
            )  # fmt: skip
        ends.append((step[-1], float(cell["test_error"][-1]), name, look["color"]))
    origin = float(data["test_error_limit"].sel(start=start).isel(mechanism=0, look=0))
    ax.axhline(origin, color="0.5", linewidth=0.7, linestyle=":", zorder=0)
    relaxation = float(data["relaxation"].sel(start=start))
    ax.set_xscale("log")
    steps = data["step"].sel(start=start).values
    ax.set_xlim(0.8 * steps[steps > 0].min(), 1.15 * steps.max())
    ticks = [size * 10.0**power for power in range(9) for size in (1, 2, 5)]
    ax.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if ax.get_xlim()[0] <= tick <= ax.get_xlim()[1]]))
    ax.xaxis.set_major_formatter("{x:.0f}")
    ax.xaxis.set_minor_formatter(NullFormatter())
    if relaxation < ax.get_xlim()[1]:
        ax.axvline(relaxation, color="0.5", linewidth=0.7, linestyle=":", zorder=0)
        ax.annotate("1/(ηλ)", (relaxation, 1.0), (1, 2), ("data", "axes fraction"), "offset points", fontsize=8)
    drawn = [data[name].sel(start=start).values for name in ("test_error_limit", "test_error_finite_step")]
    spread = half * data["test_error_error"].sel(start=start).values
    drawn += [data["test_error"].sel(start=start).values + sign * spread for sign in (-1, 1)]
    low, high = np.nanmin(drawn), np.nanmax(drawn)
    ax.set_ylim(low - 0.06 * (high - low), high + 0.1 * (high - low))
    dress(ax, "test error at Φ(w)", "step")
    direct_labels(ax, ends)
    return figure

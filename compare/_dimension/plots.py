"""Pictures of compare.concentration and compare.delocalisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import COLOURS, GREY, SMALL, axes_of, direct_labels, dress, plain_decades, scale_ladders

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .concentration_result import Concentration
    from .delocalisation_result import Delocalisation

LOOKS = {
    "gap": (COLOURS[1], "s", "gap"), "deviation": (COLOURS[0], "o", "spread of SGD"),
    "limit_deviation": (COLOURS[2], "^", "spread of\nhomogenized SGD"),
}  # fmt: skip


def dimensions(found: Concentration, ax: Axes | None) -> Figure:
    """Means over draws with intervals; spreads at the last epoch; dotted: slopes -1/2 and -1."""
    figure, ax = axes_of(ax)
    last = float(found.dataset["epoch"].values[-1])
    sizes, ends = found.dataset["dimension"].values, []
    for quantity, (colour, marker, words) in LOOKS.items():
        known = [row for row in found.table() if row["quantity"] == quantity]
        rows = [row for row in known if quantity == "gap" or row["epoch"] == last]
        if not rows:
            continue
        x, y = (np.array([row[name] for row in rows]) for name in ("dimension", "mean"))
        low, high = (np.array([row[name] for row in rows]) for name in ("low", "high"))
        bars = [y - np.maximum(low, 0.05 * y), high - y]
        ax.errorbar(x, y, bars, color=colour, marker=marker, markersize=4, linewidth=1.2, capsize=2)
        slope = f"{found.slope(quantity).value:.2f}".replace("-", "−")
        ends.append((float(x[-1]), float(y[-1]), f"{words}\npower {slope}", colour))
    top = found._values("deviation", None).mean(axis=1)[0]
    for power in (-0.5, -1.0):
        ax.plot(sizes, top * (sizes / sizes[0]) ** power, color=GREY, linestyle=":", linewidth=0.8)
    ax.text(0.02, 0.03, "dotted: powers −1/2 and −1", transform=ax.transAxes, fontsize=SMALL, color=GREY, va="bottom")
    scale_ladders(ax, sizes)
    plain_decades(ax)
    dress(ax, "relative to the expected risk", "dimension")
    direct_labels(ax, ends)
    return figure


def exponents(found: Delocalisation, ax: Axes | None) -> Figure:
    """Exponents of the data (dots) beside all draws of Gaussian features (short lines), and what is asked for."""
    figure, ax = axes_of(ax)
    names = found.dataset["number"].values.tolist()
    for place, name in enumerate(names):
        here = found.dataset.sel(number=name)
        ax.plot(here["gaussian_theta"].values, np.full(here.sizes["draw"], place), "|", color=COLOURS[2], markersize=12)
        ax.plot(float(here["theta"]), place, "o", color=COLOURS[1], markersize=6)
    ax.axvline(0.25, color=GREY, linewidth=0.8)
    ax.annotate("asked for: below 1/4", (0.25, len(names) - 0.55), fontsize=8, color=GREY, ha="right", va="top",
                xytext=(-3, 0), textcoords="offset points")  # fmt: skip
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(-0.6, len(names) - 0.4)
    dress(ax, "", "theta, in n^(theta − 1/2): dots, the data; lines, Gaussian features")
    return figure

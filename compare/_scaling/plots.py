"""Pictures of compare.scaling_laws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..style import COLOURS, GREY, SMALL, axes_of, direct_labels, dress
from .fits import crossings, laws_of, terms_of
from .theory import FLOOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .result import ScalingLaws

WORDS = {"spectrum": COLOURS[2], "distortion": COLOURS[3], "kernel": COLOURS[4], "floor": COLOURS[5]}


def frontier(found: ScalingLaws, ax: Axes | None) -> Figure:
    """Mean losses against steps times dimension; dots: where the next dimension becomes the better one."""
    figure, ax = axes_of(ax)
    data, laws = found.dataset, laws_of(found.dataset)
    steps, sizes = data["step"].values, data["dimension"].values
    means = data["risk"].mean("redraw").transpose("dimension", "step").values
    ends, moved = [], steps > 0
    for place, size in enumerate(sizes):
        shade = str(0.75 - 0.65 * (place + 1) / len(sizes))
        ax.plot(steps[moved] * size, means[place, moved], color=shade, linewidth=1.0)
        ends.append((float(steps[-1] * size), float(means[place, -1]), f"d = {size}", shade))
    points = [point for point in crossings(means, steps, sizes) if point is not None]
    if points:
        x, y = np.array(points).T
        ax.plot(x, y, "o", color=COLOURS[1], markersize=4, zorder=4)
        line = y[-1] * (x / x[-1]) ** -laws.frontier[0]
        ax.plot(x, line, color=COLOURS[1], linestyle="--", linewidth=1)
        words = f"dots: the larger dimension takes over\ndashed: derived power −{laws.frontier[0]:.3g}"
        ax.text(0.03, 0.04, words, transform=ax.transAxes, fontsize=SMALL, color=COLOURS[1], va="bottom")
    ax.set_xscale("log")
    ax.set_yscale("log")
    dress(ax, "expected loss", "steps × dimension")
    direct_labels(ax, ends)
    return figure


def terms(found: ScalingLaws, ax: Axes | None) -> Figure:
    """At the largest dimension: exact means (solid) and the derived terms of the loss (dashed)."""
    figure, ax = axes_of(ax)
    size = int(found.dataset["dimension"].values[-1])
    data, all_terms = found.dataset.sel(dimension=size), terms_of(found.dataset, size)
    steps = data["step"].values
    moved = steps > 0
    own = data["risk"].mean("redraw").values[moved]
    bottom, ends = 0.1 * float(own.min()), []
    for name, words, colour in (("risk", "SGD", COLOURS[0]), ("noiseless", "without noise,\nabove floor", GREY)):
        values = data[name].mean("redraw").values[moved]
        ax.plot(steps[moved], values, color=colour, linewidth=1.4)
        last = np.flatnonzero(values > bottom)[-1]
        ends.append((float(steps[moved][last]), float(values[last]), words, colour))
    for name, values in all_terms.loss(steps[moved]).items():
        line = ":" if name == FLOOR else "--"
        ax.plot(steps[moved], values, color=WORDS[name], linestyle=line, linewidth=1.1)
        last = np.flatnonzero(values > bottom)[-1]
        ends.append((float(steps[moved][last]), float(values[last]), f"derived: {name}", WORDS[name]))
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_ylim(bottom, 2 * float(own.max()))
    dress(ax, f"expected loss, d = {size}")
    direct_labels(ax, ends, tied=False)  # ties of curves that leave through the bottom would cross the others
    return figure


def gap(found: ScalingLaws, ax: Axes | None) -> Figure:
    """Relative to the loss of SGD at the same step, in per cent: continuous time, homogenized SGD."""
    figure, ax = axes_of(ax)
    known = found.gaps()
    steps, ends = np.array([each.step for each in known]), []
    for name, words, colour, line in (
        ("continuous", "SGD in\ncontinuous time", COLOURS[2], "-"),
        ("homogenized", "homogenized\nSGD", COLOURS[1], "-"),
    ):  # fmt: skip
        values = 100 * np.array([getattr(each, name) for each in known])
        ax.plot(steps, values, color=colour, linestyle=line, linewidth=1.3)
        ends.append((float(steps[-1]), float(values[-1]), words, colour))
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xscale("log")
    dress(ax, f"above SGD in %, d = {found.dataset['dimension'].values[-1]}")
    direct_labels(ax, ends)
    return figure

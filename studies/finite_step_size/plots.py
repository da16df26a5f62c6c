"""The pictures of the study: lines of theory, points of paths, one look for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.compare.style import COLOURS, GREY, SMALL, dress, panels, plain_decades, styles
from sgdlimits.compare.text_table import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sgdlimits.discrete.fluctuation import Ellipse

    from .curves import Curve

PANEL = 2.9  # inches
LETTERS = 40  # of a title in one line of half a page


def curves(shown: Sequence[Curve]) -> Figure:
    """A panel a curve, two in a line."""
    lines = -(-len(shown) // 2) if len(shown) > 1 else 1
    figure, axes = panels(lines, lines * PANEL, min(2, len(shown)))
    for ax, curve in zip(axes, shown):
        draw(curve, ax)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    return figure


def draw(curve: Curve, ax: Axes) -> None:
    """Lines; paths with two standard errors; marks as thin vertical lines."""
    looks = styles(list(curve.lines))
    for label, values in curve.lines.items():
        finite = np.isfinite(values)
        if finite.any():
            style = looks[label] | {"marker": "o" if curve.simulated is None and not curve.against else ""}
            style["color"] = COLOURS[0] if label == curve.against else style["color"]
            ax.plot(curve.x[finite], np.asarray(values)[finite], label=label, linewidth=1.2, markersize=3, **style)
    if curve.simulated is not None:
        known = np.isfinite(curve.simulated)
        error = np.full(curve.x.size, np.nan) if curve.error is None else curve.error
        bars = np.where(np.isfinite(error), 2 * error, 0.0)
        without = known & ~np.isfinite(error)
        sure = known & ~without
        ax.errorbar(
            curve.x[sure], curve.simulated[sure], bars[sure], fmt="o", markersize=4, color=COLOURS[0], linewidth=1,
            label="paths, 2 s.e.",
        )  # fmt: skip
        if without.any():
            ax.plot(curve.x[without], curve.simulated[without], "o", markersize=4, color="white",
                    markeredgecolor=COLOURS[0], label="paths, no interval")  # fmt: skip
    for name, place in curve.marks.items():
        ax.axvline(place, color=GREY, linewidth=0.8, linestyle=":")
        if name:
            ax.annotate(name, (place, 0.02), xycoords=("data", "axes fraction"), fontsize=SMALL, color=GREY,
                        xytext=(2, 0), textcoords="offset points")  # fmt: skip
    if "x" in curve.log:
        ax.set_xscale("log")
    if "y" in curve.log:
        ax.set_yscale("log")
        plain_decades(ax)
    worst = "" if np.isnan(curve.worst) else f"\npaths off theory by at most {number(curve.worst, 2)} s.e."
    dress(ax, curve.y_label, curve.x_label)
    ax.set_title(fill(curve.title, LETTERS) + worst, fontsize=SMALL, loc="left", color="0.2")
    ax.legend(fontsize=SMALL - 1, frameon=False)


def ellipses(drawn: Mapping[str, tuple[Ellipse, Ellipse, np.ndarray]]) -> Figure:
    """Ellipses of the discrete law and of its limit, over paths."""
    figure, axes = panels(1, 2.4, len(drawn))
    for ax, (title, (discrete, limit, paths)) in zip(axes, drawn.items()):
        ax.plot(paths[:, 0], paths[:, 1], ".", markersize=1.5, color="0.75")
        for shape, colour, line, label in (
            (discrete, COLOURS[0], "-", "SGD, exact"), (limit, COLOURS[2], "--", "Ornstein-Uhlenbeck"),
        ):  # fmt: skip
            outline = shape.outline()
            ax.plot(outline[:, 0], outline[:, 1], color=colour, linestyle=line, linewidth=1.2, label=label)
        ax.set_aspect("equal", "datalim")
        inside = np.einsum("pi,ij,pj->p", paths, np.linalg.inv(discrete.covariance), paths)
        share = float((inside <= -2 * np.log(0.05)).mean())
        dress(ax, "x1" if ax is axes[0] else "", "x0")
        words = f"{title}\n{100 * share:.3g} % of paths in the 95 % ellipse"
        ax.set_title(words, fontsize=SMALL - 1, loc="left", color="0.2")
    axes[0].legend(fontsize=SMALL - 1, frameon=False, loc="upper left")
    return figure

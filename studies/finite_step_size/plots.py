"""The pictures of the study: lines of theory, points of paths, one look for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.compare.style import COLOURS, GREY, SMALL, dress, panels, plain_decades, styles
from sgdlimits.compare.text_table import number

from .curves import EXACT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from sgdlimits.discrete.fluctuation import Ellipse

    from .curves import Curve

PANEL = 2.9  # inches
HALF, WHOLE = 40, 84  # letters of a title in one line of half a page, and of a page
LEVEL = 0.95  # of the ellipses


def curves(shown: Sequence[Curve]) -> Figure:
    """A panel a curve, two in a line."""
    lines = -(-len(shown) // 2) if len(shown) > 1 else 1
    figure, axes = panels(lines, lines * PANEL, min(2, len(shown)))
    for ax, curve in zip(axes, shown):
        draw(curve, ax, HALF if len(shown) > 1 else WHOLE)
    for ax in axes[len(shown) :]:
        ax.set_visible(False)
    return figure


def draw(curve: Curve, ax: Axes, letters: int = HALF) -> None:
    """Lines; paths with two standard errors; marks as thin vertical lines; a title of lines of so many letters."""
    looks = styles(list(curve.lines))
    for label, values in curve.lines.items():
        finite = np.isfinite(values)
        if finite.any():
            style = looks[label] | {"marker": "o" if curve.simulated is None and not curve.against else ""}
            style["color"] = COLOURS[0] if label == curve.against else style["color"]
            ax.plot(curve.x[finite], np.asarray(values)[finite], label=label, linewidth=1.2, markersize=3, **style)
            if label in curve.spreads:
                ax.errorbar(curve.x[finite], np.asarray(values)[finite], 2 * curve.spreads[label][finite], fmt="none",
                            ecolor=style["color"], elinewidth=0.9)  # fmt: skip
    if curve.simulated is not None:
        known = np.isfinite(curve.simulated)
        error = np.full(curve.x.size, np.nan) if curve.error is None else curve.error
        bars = np.where(np.isfinite(error), 2 * error, 0.0)
        without = known & ~np.isfinite(error)
        sure = known & ~without
        if sure.any():
            ax.errorbar(curve.x[sure], curve.simulated[sure], bars[sure], fmt="o", markersize=4, color=COLOURS[0],
                        linewidth=1, label="paths, 2 s.e.")  # fmt: skip
        if without.any():
            ax.plot(curve.x[without], curve.simulated[without], "o", markersize=4, color="white",
                    markeredgecolor=COLOURS[0], label="paths, no interval")  # fmt: skip
    for place in curve.marks.values():
        ax.axvline(place, 0, 0.4, color=GREY, linewidth=0.9, linestyle=":")  # below the legend
    if "x" in curve.log:
        ax.set_xscale("log")
    if "y" in curve.log:
        ax.set_yscale("log")
        plain_decades(ax)
    marks = ", ".join(f"{name} {place:.4g}" for name, place in curve.marks.items())
    dress(ax, curve.y_label, f"{curve.x_label}\n(dotted: {marks})" if marks else curve.x_label)
    ax.set_title("\n".join([*even(curve.title, letters), *even(judged(curve), letters)]), fontsize=SMALL, loc="left",
                 color="0.2")  # fmt: skip
    ax.legend(fontsize=SMALL - 1, frameon=False)


def judged(curve: Curve) -> str:
    """How far paths are from the line that they are judged by, in words; empty where there is none."""
    if np.isnan(curve.worst):
        seen = curve.simulated is not None and np.isfinite(curve.simulated).any()
        return "paths without interval: no fourth moment is proved finite" if seen else ""
    line = "theory" if curve.against == EXACT else f"\"{curve.against}\""
    return f"paths off {line} by at most {number(curve.worst, 2)} s.e."


def even(words: str, letters: int) -> list[str]:
    """As few lines as these letters allow, of about one length."""
    words = words.replace(" %", "\u00a0%")
    lines = wrap(words, letters)
    narrower = (wrap(words, width) for width in range(letters // 2, letters))
    return next((found for found in narrower if len(found) == len(lines)), lines)


def ellipses(drawn: Mapping[str, tuple[Ellipse, Ellipse, np.ndarray]]) -> Figure:
    """Ellipses of the discrete law and of its limit, over paths; how many paths lie inside."""
    figure, axes = panels(1, 2.9, len(drawn))
    deviations = []
    for ax, (title, (discrete, limit, paths)) in zip(axes, drawn.items()):
        ax.plot(paths[:, 0], paths[:, 1], ".", markersize=1.5, color="0.75", label="paths")
        for shape, colour, line, label in (
            (discrete, COLOURS[0], "-", "SGD, exact"), (limit, COLOURS[2], "--", "Ornstein-Uhlenbeck"),
        ):  # fmt: skip
            outline = shape.outline()
            ax.plot(outline[:, 0], outline[:, 1], color=colour, linestyle=line, linewidth=1.2, label=label)
        side = 1.6 * float(np.abs(discrete.outline()).max())  # fixed, so that the labels' room is known
        ax.set(xlim=(-side, side), ylim=(-side, side))
        ax.set_aspect("equal", "box")
        ax.locator_params(nbins=5)
        inside = np.einsum("pi,ij,pj->p", paths, np.linalg.inv(discrete.covariance), paths)
        share = float((inside <= -2 * np.log(1 - LEVEL)).mean())
        deviations.append((share - LEVEL) / np.sqrt(LEVEL * (1 - LEVEL) / len(paths)))
        dress(ax, "coordinate x1" if ax is axes[0] else "", "coordinate x0")
        ax.set_title(f"{title}\n{100 * share:.1f} % of paths inside", fontsize=SMALL, loc="left", color="0.2")
    worst = max(map(abs, deviations))
    figure.suptitle(
        f"95 % ellipses of the stationary law under additive noise: the shape turns with the step size\npaths inside "
        f"off 95 % by at most {number(worst, 2)} s.e.", fontsize=SMALL, color="0.2",
    )  # fmt: skip
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=SMALL - 1,
                  frameon=False)  # fmt: skip
    return figure

"""How every figure looks: size, colours, markers, direct labels. No global state of matplotlib is touched."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMALL, NORMAL = 8, 9  # font sizes in points at a width of 6 inches
WIDTH = 6.0
GREY = "0.45"
# Okabe and Ito's colours, safe for colour-blind readers; lines and markers differ too, for print in grey.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)), (0, (7, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
# The same process looks the same in every figure; others take what is free.
USUAL = (
    "SGD", "homogenized SGD", "modified equation, order 1", "Ornstein-Uhlenbeck", "gradient flow",
    "modified equation, order 2",
)  # fmt: skip


def styles(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, line style and marker for each name."""
    places = {name: USUAL.index(name) for name in names if name in USUAL}
    free = [place for place in range(len(COLOURS)) if place not in places.values()]
    for position, name in enumerate(name for name in names if name not in places):
        places[name] = free[position] if position < len(free) else position % len(COLOURS)
    return {
        name: {"color": COLOURS[place], "linestyle": LINES[place], "marker": MARKERS[place]}
        for name, place in places.items()
    }


def panels(
    rows: int = 1, height: float = 3.4, columns: int = 1, projection: str | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of its own with `rows` times `columns` panels, row by row, outside pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained", dpi=150)
    FigureCanvasAgg(figure)
    setattr(figure, "_repr_png_", lambda: render(figure, "png")[0])  # a notebook shows it as the value of a cell
    axes = figure.subplots(rows, columns, squeeze=False, subplot_kw={"projection": projection})
    return figure, list(axes.ravel())


def axes_of(ax: Axes | None) -> tuple[Figure, Axes]:
    """The given axes with their figure, or new ones."""
    if ax is None:
        figure, (ax,) = panels()
        return figure, ax
    return figure_of(ax), ax


def figure_of(ax: Axes) -> Figure:
    """The whole figure that axes lie in."""
    figure = ax.get_figure(root=True)
    if figure is None:
        raise InvalidInput("these axes were removed from their figure: give others, or none")
    return figure


def dress(ax: Axes, ylabel: str, xlabel: str = "SGD step", title: str = "") -> None:
    """Labels, ticks and light grid lines."""
    ax.set_xlabel(xlabel, fontsize=NORMAL)
    ax.set_ylabel(ylabel, fontsize=NORMAL)
    if title:
        ax.set_title(title, fontsize=NORMAL, loc="left")
    ax.tick_params(which="both", labelsize=SMALL)
    ax.xaxis.get_offset_text().set_fontsize(SMALL)
    ax.yaxis.get_offset_text().set_fontsize(SMALL)
    ax.grid(True, color="0.9", linewidth=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def scale_steps(ax: Axes, steps: np.ndarray) -> None:
    """A logarithmic axis of steps where they were recorded so."""
    positive = steps[steps > 0]
    if positive.size > 2 and np.median(positive) < 0.3 * positive[-1] and positive[-1] > 20 * positive[0]:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")


def linear_within(sizes: Sequence[float]) -> float | None:
    """The power of ten within which a signed axis is linear; None where curves of these sizes need no logarithm.

    All panels of a figure that show one kind of thing take the sizes of all their curves, so that their axes are alike.
    """
    known = [size for size in sizes if np.isfinite(size) and size > 0]
    if not known or max(known) <= 20 * min(known):
        return None
    return float(10.0 ** max(np.floor(np.log10(min(known))), np.ceil(np.log10(1e-3 * max(known)))))


def scale_signed(ax: Axes, linear: float | None) -> None:
    """A value axis through zero; logarithmic beyond +-`linear`, see `linear_within`."""
    if linear is not None:
        from matplotlib.ticker import SymmetricalLogLocator

        ax.set_yscale("symlog", linthresh=linear, linscale=0.7)
        locator = SymmetricalLogLocator(base=10, linthresh=linear)
        locator.set_params(numticks=9)
        ax.yaxis.set_major_locator(locator)
    ax.axhline(0, color=GREY, linewidth=0.8)


def signed_scale(linear: float | None) -> str:
    """What that axis is, in words; empty where it is linear throughout."""
    return "" if linear is None else f"linear within ±{linear:g}, logarithmic beyond"


def scale_ladders(ax: Axes, x: np.ndarray) -> None:
    """Both axes logarithmic, ticks at the rungs that stand far enough apart."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    ticks: list[float] = []
    for value in sorted(x, reverse=True):
        if not ticks or np.log(ticks[-1] / value) > 0.09 * np.log(x.max() / x.min()):
            ticks.append(float(value))
    ax.set_xticks(ticks, [f"{value:.3g}" for value in ticks], fontsize=SMALL)
    ax.set_xticks([], minor=True)


def plain_decades(ax: Axes) -> None:
    """Plain numbers on a logarithmic value axis of less than two decades; powers of ten alone, else."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = ax.get_ylim()
    if high < 100 * low:
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7) if high > 3 * low else range(1, 10)))
        ax.yaxis.set_major_formatter("{x:.3g}")
    ax.yaxis.set_minor_formatter(NullFormatter())


def beyond(ax: Axes, x: float, y: float, colour: str, upward: bool = False) -> None:
    """An arrowhead at the edge of the frame: what is drawn there goes on past it, maybe to infinity."""
    ax.plot(x, y, "^" if upward else ">", color=colour, markersize=5, clip_on=False, zorder=5, gid="beyond")


def largest(values: np.ndarray) -> float:
    """The largest finite size."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max(initial=0.0))


def direct_labels(
    ax: Axes, ends: Sequence[tuple[float, float, str, str]], leaving: Sequence[tuple[float, float, str, str]] = (),
    tied: bool = True,
) -> None:  # fmt: skip
    """Write (x, y, text, colour) to the right of the axes, kept apart, tied to its curve's end or by colour alone.

    Curves `leaving` through the top are named above the frame, the first of them highest: their ties cross no curve.
    Call it when limits and scales are final.
    """
    ends = [end for end in ends if np.isfinite(end[0]) and np.isfinite(end[1])]
    ax.get_xlim(), ax.get_ylim()  # brings automatic limits up to date
    room = 1.3 * SMALL / 72 / (ax.get_position().height * figure_of(ax).get_figheight())
    for place, end in enumerate(sorted(leaving, key=lambda end: -end[0]), 1):
        _named(ax, end, 1 + room * place, True)
    if not ends:
        return
    shown = [ax.transAxes.inverted().transform(ax.transData.transform((x, y))) for x, y, _, _ in ends]
    lines = [text.count("\n") + 1 for _, _, text, _ in ends]
    order = sorted(range(len(ends)), key=lambda place: shown[place][1])
    heights = np.array([min(max(shown[place][1], 0.0), 1.0) for place in order])
    sizes = np.array([room * lines[place] for place in order])
    heights = _spread(heights, sizes)
    for height, place in zip(heights, order):
        _named(ax, ends[place], float(height), tied)


def _named(ax: Axes, end: tuple[float, float, str, str], height: float, tied: bool) -> None:
    """The text of an end, right of the frame at a height in its units, tied to it."""
    x, y, text, colour = end
    tie = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "relpos": (0, 0.5), "shrinkA": 1}
    ax.annotate(text, xy=(x, y), xytext=(1.06, height), textcoords=ax.transAxes, fontsize=SMALL, color=colour,
                va="center", annotation_clip=False, arrowprops=tie if tied else None)  # fmt: skip


def _spread(heights: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Move ascending heights as little as needed so that boxes of these sizes do not overlap."""
    gaps = (sizes[1:] + sizes[:-1]) / 2
    offset = np.concatenate([[0.0], np.cumsum(gaps)])
    levels = heights - offset
    blocks: list[list[float]] = []  # isotonic regression: pool what would overlap
    for level in levels:
        blocks.append([float(level), 1.0])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (low, few), (high, many) = blocks[-2:]
            blocks[-2:] = [[(low * few + high * many) / (few + many), few + many]]
    pooled = np.concatenate([np.full(int(weight), value) for value, weight in blocks]) + offset
    return pooled + max(0.0, -pooled[0]) - max(0.0, min(pooled[-1] - 1.0, pooled[0]))


def render(figure: Figure, *kinds: str) -> list[bytes]:
    """The figure as the bytes of "png" or "svg" files, without dates or random names: the same bytes each time."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is made; each further one would cost as much as drawing
    files, resolution = [], figure.get_dpi()
    for kind in kinds:
        file = io.BytesIO()
        # The canvases' own methods: `savefig` goes through all artists once more before it draws them.
        with rc_context({"svg.hashsalt": "sgdlimits"}):
            if kind == "svg":
                nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
                FigureCanvasSVG(figure).print_svg(file, metadata=nothing)
            else:
                figure.set_dpi(200)
                FigureCanvasAgg(figure).print_png(file)
        figure.set_dpi(resolution)
        files.append(file.getvalue())
    FigureCanvasAgg(figure)
    return files

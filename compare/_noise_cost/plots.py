"""Pictures of compare.noise_cost."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates import student_quantile
from ..style import COLOURS, GREY, LINES, MARKERS, SMALL, direct_labels, dress, panels, scale_ladders
from ..text_table import number

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST = 6  # curves in a picture
NAMES = {"tuned": "tuned step size", "measured": "measured"}
LOOKS = {"fixed": 2, "tuned": 1, "measured": 0}  # places in the palette


def losses(dataset: xarray.Dataset) -> Figure:
    """Excess against samples and against steps, logarithmic, at a few batch sizes; the level dotted."""
    figure, (left, right) = panels(1, height=3.4, columns=2)
    sizes, steps = dataset["batch_size"].values, dataset["step"].values
    shown = _some(sizes)
    told, ends = dataset.attrs, []
    z = student_quantile(told["confidence"], told["degrees"]) if told["intervals"] else 0.0
    for place, row in enumerate(shown):
        size, values = sizes[row], dataset["excess"].values[row]
        colour, line = COLOURS[place % len(COLOURS)], LINES[place % len(LINES)]
        seen = np.isfinite(values) & (steps > 0) & (values < 3 * float(dataset.attrs["initial"]))
        if not seen.any():
            continue
        for ax, scale in ((right, 1.0), (left, size)):
            if math.isfinite(scale):
                ax.plot(scale * steps[seen], values[seen], color=colour, linestyle=line, linewidth=1.2)
                if "excess_error" in dataset:
                    error = z * dataset["excess_error"].values[row][seen]
                    low = np.maximum(values[seen] - error, 1e-3 * values[seen])  # an axis of logarithms has no zero
                    high = values[seen] + error
                    ax.fill_between(scale * steps[seen], low, high, color=colour, alpha=0.2, linewidth=0)
        ends.append((steps[seen][-1], values[seen][-1], f"B = {size:g}" if math.isfinite(size) else "no noise", colour))
    level = float(dataset.attrs["level"])
    for ax, name in ((left, "samples"), (right, "SGD steps")):
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.axhline(level, color=GREY, linestyle=":", linewidth=1.2)
        dress(ax, "excess risk" if ax is left else "", name)
    right.set_ylim(left.get_ylim())
    measured = ", measured" if dataset.attrs["measured"] else f" at step size {dataset.attrs['step_size']:g}"
    left.set_title(f"excess risk{measured}; dotted: the level", fontsize=SMALL, loc="left", color=GREY)
    figure.draw_without_rendering()
    direct_labels(right, ends)
    return figure


def costs(dataset: xarray.Dataset) -> Figure:
    """Samples to the level against batch size with the critical one marked; samples against steps with the fit."""
    figure, (left, right) = panels(1, height=3.4, columns=2)
    ends: list[tuple[float, float, str, str]] = []
    for name in dataset["choice"].values.tolist():
        _choice(dataset.sel(choice=name), name, left, right, ends)
    sizes, counts = dataset["batch_size"].values, dataset["steps"].values
    noisy = np.isfinite(sizes)
    scale_ladders(left, sizes[noisy][:: -(-int(noisy.sum()) // 6)])  # at most six labels fit side by side
    scale_ladders(right, _round_numbers(counts[:, noisy]))
    dress(left, "samples to the level", "batch size B")
    dress(right, "", "steps to the level")
    marked = "dashed: the critical batch size" + (", interval" if dataset.attrs["intervals"] else "")
    left.set_title(marked, fontsize=SMALL, loc="left", color=GREY)
    right.set_title("dotted: the hyperbola fitted", fontsize=SMALL, loc="left", color=GREY)
    figure.draw_without_rendering()
    direct_labels(right, ends)
    return figure


def _choice(here: Any, name: str, left: Axes, right: Axes, ends: list[tuple[float, float, str, str]]) -> None:
    place = LOOKS[name]
    colour, marker = COLOURS[place], MARKERS[place]
    sizes, steps, samples = (here[key].values for key in ("batch_size", "steps", "samples"))
    seen = np.isfinite(samples)
    if not seen.any():
        return
    low, high = (sizes[seen] * here[key].values[seen] for key in ("steps_low", "steps_high"))
    spread = samples[seen] - low, np.where(np.isfinite(high), high, samples[seen]) - samples[seen]
    look: dict[str, Any] = {"color": colour, "marker": marker, "markersize": 3.5, "linewidth": 1.0}
    left.errorbar(sizes[seen], samples[seen], spread, elinewidth=0.7, **look)
    right.plot(steps[seen], samples[seen], **look)
    critical, least = float(here["critical_batch_size"]), float(here["least_samples"])
    if math.isfinite(critical):
        left.plot([critical] * 2, [least, 2 * least], color=colour, linestyle="--", linewidth=1.2)
        ends_of = float(here["critical_low"]), float(here["critical_high"])
        if ends_of[0] < ends_of[1]:
            left.plot(ends_of, [2 * least] * 2, color=colour, linewidth=2.5, alpha=0.4)
        left.annotate(
            f"{number(critical, 3)}", (critical, 2 * least), (3, -9), textcoords="offset points", fontsize=SMALL,
            color=colour,
        )  # fmt: skip
    fit = float(here["fit_steps"]), float(here["fit_samples"])
    if math.isfinite(fit[0]):
        first = int(np.argmin(np.where(seen, samples, np.inf)))
        fine = np.geomspace(sizes[first], sizes[seen].max(), 100)
        count = fit[0] + fit[1] / fine
        right.plot(count, fine * count, color=colour, linestyle=":", linewidth=2.2, alpha=0.6)
    top = int(np.flatnonzero(seen)[np.argmin(steps[seen])])
    said = "beyond" if math.isinf(critical) else number(critical, 3)
    named = f"step size {float(here['step_size'][0]):g}" if name == "fixed" else NAMES[name]
    ends.append((steps[top], samples[top], f"{named}\ncritical B {said}", colour))


def _round_numbers(values: np.ndarray) -> np.ndarray:
    """A few round numbers over the range of these, for an axis of logarithms."""
    values = values[np.isfinite(values) & (values > 0)]
    low, high = values.min(), values.max()
    powers = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    for leading in ((1,), (1, 3), (1, 2, 5)):
        found = np.outer(powers, leading).ravel()
        found = found[(found >= low) & (found <= high)]
        if found.size >= 3:
            return found[:: -(-found.size // 6)]
    return np.unique([float(f"{value:.2g}") for value in np.geomspace(low, high, 3)])


def _some(sizes: np.ndarray) -> np.ndarray:
    """Places of at most so many batch sizes, the ends among them."""
    return np.unique(np.rint(np.linspace(0, sizes.size - 1, min(MOST, sizes.size))).astype(int))

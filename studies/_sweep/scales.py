"""Axes of a sweep's pictures: where values stand, the cells' borders, ticks and labels."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes

FEW = 8  # values that all have a tick
LONG = 14  # characters of a text on an axis beyond which the texts are turned
LONGEST = 24  # that stand in one line of it
LETTERS = 60  # that stand side by side under a panel as wide as a page
MOST_TEXTS = 30  # of an axis: beyond, every second one is written, and so on
DECADES = 3  # under a panel as wide as a page that have ticks inside
FLAG = "no yes"  # what 0 and 1 mean, as the attribute flag_meanings of a quantity says


def places_of(labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Where values stand on an axis; texts one after the other."""
    if labels.dtype.kind in "iuf":
        return labels.astype(float), []
    return np.arange(len(labels), dtype=float), [str(label) for label in labels]


def _logarithmic(labels: np.ndarray) -> bool:
    """Whether numbers span much and stand more evenly on a logarithmic axis."""
    if labels.dtype.kind not in "iuf" or labels.min() <= 0 or labels.max() < 8 * labels.min():
        return False
    even, ratios = (np.diff(np.sort(scaled)) for scaled in (labels.astype(float), np.log(labels)))
    return bool(ratios.max() * even.min() <= even.max() * ratios.min() * (1 + 1e-9))


def edges_of(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Borders of the cells, half way between neighbours on the axis's own scale, for rising places."""
    scaled = np.log(places) if _logarithmic(labels) else places
    middle = (scaled[1:] + scaled[:-1]) / 2
    edges = np.concatenate([[2 * scaled[0] - middle[0]], middle, [2 * scaled[-1] - middle[-1]]])
    return np.exp(edges) if _logarithmic(labels) else edges


def scale_axis(
    ax: Axes, axis: str, labels: np.ndarray, places: np.ndarray, texts: Sequence[str], columns: int = 1
) -> None:
    """Scale and ticks of an axis: at the values where they are few and stand far enough apart."""
    if texts:
        few = len(texts) * columns <= FEW
        crowded = sum(len(text) + 2 for text in texts) * columns > LETTERS
        every = -(-len(texts) * columns // MOST_TEXTS)
        written = [textwrap.fill(text, LONGEST) if few else _shortened(text) for text in texts[::every]]
        getattr(ax, f"set_{axis}ticks")(places[::every], written)
        if axis == "x" and (crowded or max(map(len, texts)) > LONG):
            for label in ax.get_xticklabels():
                label.set(rotation=25 if few else 60, ha="right", rotation_mode="anchor")
        return
    from matplotlib.ticker import LogLocator

    if _logarithmic(labels):
        getattr(ax, f"set_{axis}scale")("log")
        one = getattr(ax, f"{axis}axis")
        decades = np.log10(labels.max() / labels.min())
        one.set_major_locator(LogLocator(subs=(1, 2, 5) if decades * columns <= DECADES else (1,)))
        one.set_major_formatter("{x:g}")
        getattr(ax, f"set_{axis}ticks")([], minor=True)
    spread = np.log(places) if _logarithmic(labels) else places
    apart = np.diff(np.sort(spread)).min(initial=np.inf) >= 0.09 * columns**2 * np.ptp(spread)
    if len(places) <= FEW and apart:
        getattr(ax, f"set_{axis}ticks")(places, [number(value) for value in places])


def _shortened(text: str) -> str:
    """A text in one line; both its ends are kept, since names often differ in the last letters."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}…{line[1 - LONGEST // 2 :]}"


def number(value: float, digits: int = 3) -> str:
    """A number as it is read: whole ones up to a million in full, and powers of ten without idle characters."""
    text = f"{value:g}" if value == round(value) and abs(value) < 1e6 else f"{value:.{digits}g}"
    return text.replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")


def yes_or_no(values: xarray.DataArray) -> bool:
    """Whether a quantity is true or false in every cell that did not fail."""
    return values.dtype.kind == "b" or values.attrs.get("flag_meanings") == FLAG


def words_of(name: str) -> str:
    """A name as it is read."""
    return name.replace("_", " ")


def axis_label(values: xarray.DataArray, name: str) -> str:
    """What a quantity or setting is called, with its units."""
    words = values.attrs.get("long_name", words_of(name))
    units = values.attrs.get("units", "")
    return f"{words} ({units})" if units and units != "1" else str(words)

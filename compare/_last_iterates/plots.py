"""The pictures of compare.last_iterates."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates import half_width, jackknife_error, student_quantile
from ..style import GREY, SMALL, axes_of, beyond, direct_labels, dress, panels, styles
from .rows import groups_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 80
LEAST_K = 10
SHOWN = 0.5  # of the values, from the far ones inwards


def survival_and_hill(found: Any) -> Figure:
    """P(|weight| > t) of each layer on logarithmic axes, beside a normal law (dotted), and Hill's index against k.

    Bands: Student's of the share of each run above t, and the jackknife over groups of runs.
    """
    figure, (above, below) = panels(2, 6.4)
    told = found.dataset.attrs
    names = found.dataset["layer"].values.tolist()
    looks, ends, paths, top = styles(names), [], [], 1.0
    for name in names:
        values, runs = found.values(name)
        if not values.size:
            continue
        sizes, colour = np.abs(values), looks[name]["color"]
        last = _survival(above, sizes, runs, told["confidence"], colour, looks[name]["linestyle"])
        ends.append((*last, name, colour))
        end, high = _hill(below, sizes, runs, told, colour)
        paths.append((*end, name, colour))
        top = max(top, high)
    from matplotlib.ticker import LogLocator, NullFormatter
    from scipy.special import ndtr

    t = np.linspace(0.7, 4.2, POINTS)
    above.plot(t, 2 * ndtr(-t), ":", color="black", linewidth=1)
    above.set_xscale("log")
    above.set_yscale("log")
    above.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
    above.xaxis.set_major_formatter("{x:g}")
    above.xaxis.set_minor_formatter(NullFormatter())
    above.set_title("dotted: a normal law; bands: intervals over runs", fontsize=SMALL, loc="left", color=GREY)
    dress(above, "P(|weight| > t)", "t, each weight from its median, in units of its spread")
    direct_labels(above, ends, tied=False)  # curves end anywhere, and ties would cross the others
    below.set_xscale("log")
    below.axhline(2, color=GREY, linewidth=0.8)
    below.set_ylim(0, 1.3 * top)
    dress(below, "Hill's index", "k largest weights")
    below.set_title("below the grey line: infinite variance", fontsize=SMALL, loc="left", color=GREY)
    direct_labels(below, paths, tied=False)
    return figure


def _survival(
    ax: Axes, sizes: np.ndarray, runs: np.ndarray, level: float, colour: str, line: Any
) -> tuple[float, float]:
    ordered = np.sort(sizes)[::-1]
    shown = np.unique(np.geomspace(1, SHOWN * ordered.size, POINTS).astype(int))
    t = ordered[shown - 1]
    count = int(runs.max()) + 1
    many = np.bincount(runs, minlength=count)
    shares = np.stack([np.bincount(runs, weights=sizes >= each, minlength=count) / many for each in t], axis=1)
    mean, half = shares.mean(axis=0), half_width(shares, level)
    ax.fill_between(t, np.maximum(mean - half, 0.2 / ordered.size), mean + half, color=colour, alpha=0.15, linewidth=0)
    ax.plot(t, mean, color=colour, linestyle=line, linewidth=1.1)
    return float(t[0]), float(mean[0])


def _hill(
    ax: Axes, sizes: np.ndarray, runs: np.ndarray, told: Any, colour: str
) -> tuple[tuple[float, float], float]:
    k = np.unique(np.geomspace(LEAST_K, 0.2 * sizes.size, POINTS).astype(int))
    whole = _shapes(sizes, k)
    groups = groups_of(int(runs.max()) + 1, told["groups"])
    parts = np.stack([_shapes(sizes[~np.isin(runs, group)], k) for group in groups])
    half = student_quantile(told["confidence"], len(groups) - 1) * jackknife_error(parts)
    high = 1 / np.maximum(whole - half, 1e-9)
    ax.fill_between(k, 1 / (whole + half), high, color=colour, alpha=0.15, linewidth=0)
    ax.plot(k, 1 / whole, color=colour, linewidth=1.1)
    return (float(k[-1]), float(1 / whole[-1])), float(np.median(1 / whole))


def _shapes(sizes: np.ndarray, k: np.ndarray) -> np.ndarray:
    """Hill's 1 / index at each k."""
    logs = np.sort(np.log(sizes[sizes > 0]))[::-1]
    k = np.minimum(k, logs.size - 1)
    return np.maximum(np.cumsum(logs)[k - 1] / k - logs[k], 1e-9)


def intervals(found: Any, ax: Axes | None = None) -> Figure:
    """Every index with its interval over runs, and, thick and pale, the one for independent values."""
    figure, ax = axes_of(ax)
    rows = [row for row in found.table() if not math.isnan(row["lower"])]
    looks = styles(list(dict.fromkeys(row["layer"] for row in rows)))
    ends = [row[end] for row in rows for end in ("index", "lower") if math.isfinite(row[end])]
    edge = 1.6 * max(ends, default=2.0)
    for place, row in enumerate(rows):
        colour = looks[row["layer"]]["color"]
        for low, high, style in (
            ("alone_lower", "alone_upper", {"linewidth": 6, "alpha": 0.25, "solid_capstyle": "butt"}),
            ("lower", "upper", {"linewidth": 1.2}),
        ):
            ax.plot(np.minimum([row[low], row[high]], edge), [place, place], color=colour, **style)
        if row["index"] <= edge:
            ax.plot(row["index"], place, looks[row["layer"]]["marker"], color=colour, markersize=4)
        if row["upper"] > edge:
            beyond(ax, edge, place, colour)
    ax.axvline(2, color=GREY, linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(rows)), [f"{row['layer']}, {row['sample']}, {row['estimator']}" for row in rows],
                  fontsize=SMALL - 2)  # fmt: skip
    ax.invert_yaxis()
    ax.set_xlim(0, edge)
    dress(ax, "", "tail index; pale: were weights independent")
    ax.tick_params(axis="y", length=0)
    return figure

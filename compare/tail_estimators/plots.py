"""Hill, alternative Hill, quantile and survival plots, each with pointwise intervals for independent samples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.estimates import confidence_level, normal_quantile
from sgdlimits.compare.style import COLOURS, GREY, SMALL, axes_of, dress
from sgdlimits.exact.errors import flag, instance_of

from .order_statistics import FEWEST_ON_A_LINE
from .result import TailEstimate
from .samples import FEWEST_ABOVE, Tail, count_of, tail_of
from .second_order import line_of_range, spacings
from .survival_curves import beyond_threshold, whole_law

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 300  # of a curve; more are not told apart at this width
CORRECTED_POINTS = 60
SHOWN = 0.9  # of the sizes on a survival plot; the smallest of all would take half of a logarithmic axis
MOVED, ZERO = 0.2, 0.1  # origins that are another, and none, in median and in smallest sizes
PALE = 0.2  # opacity of intervals
HILL, CORRECTED = COLOURS[2], COLOURS[1]


def hill_plot(
    sample: Any, *, side: str = "both", centre: str = "none", confidence: float = 0.95, corrected: bool = True,
    estimate: TailEstimate | None = None, ax: Axes | None = None,
) -> Figure:
    """Hill's index of P(|X| > t) ~ t^-index against the number of order statistics k.

    Parameters
    ----------
    sample : (n,) array
    side : {"both", "right", "left"}
        |x|, x or -x.
    centre : {"none", "median", "auto"}
        The origin of x, as in `hill`.
    confidence : float
        Of the band at each k; it knows nothing of bias.
    corrected : bool
        Whether to draw the corrected estimate with its band beside it.
    estimate : TailEstimate or None
        Marked at its k with its interval.
    ax : matplotlib Axes or None
        None: a figure of its own.

    Returns
    -------
    matplotlib Figure
    """
    tail, confidence = tail_of(sample, side, centre), confidence_level(confidence)
    figure, ax = axes_of(ax)
    _paths(ax, tail, confidence, corrected, estimate, lambda k: k)
    ax.set_xscale("log")
    dress(ax, "index", "order statistics k", "Hill plot")
    return figure


def alt_hill_plot(
    sample: Any, *, side: str = "both", centre: str = "none", confidence: float = 0.95, corrected: bool = True,
    estimate: TailEstimate | None = None, ax: Axes | None = None,
) -> Figure:
    """The plot of Drees, de Haan and Resnick (2000): Hill's index of P(|X| > t) ~ t^-index against log k / log n.

    Laws that are no pure power spend most of this axis near their index. Parameters as for `hill_plot`.
    """
    tail, confidence = tail_of(sample, side, centre), confidence_level(confidence)
    figure, ax = axes_of(ax)
    _paths(ax, tail, confidence, corrected, estimate, lambda k: np.log(k) / np.log(tail.n))
    dress(ax, "index", "log k / log n", "alternative Hill plot")
    return figure


def qq_plot(
    sample: Any, k: int | float = 0.05, *, side: str = "both", centre: str = "none", confidence: float = 0.95,
    ax: Axes | None = None,
) -> Figure:
    """Log-excesses of the k largest against exponential quantiles: straight, of slope 1 / index, for a power law.

    The line is Hill's; the band holds each order statistic of a power law with that index at the confidence given.
    A curve that bends down beyond the line is a tail lighter than P(|X| > t) ~ t^-index.

    Parameters
    ----------
    k : int or float
        A count, or a fraction of n below one.
    sample, side, centre, confidence, ax
        As in `hill_plot`.
    """
    from scipy.special import betaincinv

    tail, confidence = tail_of(sample, side, centre), confidence_level(confidence)
    count = count_of(k, tail)
    above = tail.above(count)
    gamma = float(above.mean())
    figure, ax = axes_of(ax)
    places = _spread_over(1, count)
    quantiles = -np.log((places - 0.5) / count)
    # The j-th smallest of k uniforms is a Beta(j, k + 1 - j) variable.
    ends = [betaincinv(places, count + 1 - places, level) for level in ((1 + confidence) / 2, (1 - confidence) / 2)]
    low, high = (-gamma * np.log(end) for end in ends)
    ax.fill_between(quantiles, low, high, color=HILL, alpha=PALE, linewidth=0)
    ax.plot(quantiles, gamma * quantiles, color=HILL, linewidth=1, label=f"Hill: index {1 / gamma:.3g}")
    ax.plot(quantiles, above[places - 1], ".", color="black", markersize=3)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left")
    dress(ax, r"$\log\, x_{(j)} / x_{(k+1)}$", "exponential quantile", f"quantiles of the {count} largest")
    return figure


def survival_plot(
    sample: Any, *estimates: TailEstimate, side: str = "both", centre: str = "auto", confidence: float = 0.95,
    ax: Axes | None = None,
) -> Figure:
    """The survival function P(|X| > t) on logarithmic axes with exact binomial intervals, and fitted laws beside it.

    Parameters
    ----------
    *estimates : TailEstimate
        Each as the law that it stands for. One with a k goes through the sample at its threshold, with those of its
        interval's ends: a power of Hill, the power with its second term of the corrected form, a generalised Pareto law
        of moment and Pickands. Student's t, its skewed form and stable quantiles are drawn whole. What has no index, no
        law of its own, or another origin is named in the legend and not drawn.
    sample, side, centre, confidence, ax
        As in `hill_plot`.
    """
    from scipy.special import betaincinv

    tail, confidence = tail_of(sample, side, centre), confidence_level(confidence)
    for estimate in estimates:
        instance_of("estimates", estimate, TailEstimate, "pass results of hill, power_law, ...")
    figure, ax = axes_of(ax)
    places = _spread_over(1, len(tail.logs))
    sizes = np.exp(tail.logs[places - 1])
    low = betaincinv(places, tail.n + 1 - places, (1 - confidence) / 2)
    high = betaincinv(places + 1, np.maximum(tail.n - places, 1e-9), (1 + confidence) / 2)
    ax.fill_between(sizes, low, high, color=GREY, alpha=PALE, linewidth=0)
    ax.plot(sizes, places / tail.n, ".", color="black", markersize=3)
    for estimate, colour in zip(estimates, COLOURS[1:] * len(estimates)):
        _fitted_curve(ax, tail, estimate, side, colour)
    if estimates:
        ax.legend(fontsize=SMALL, frameon=False, loc="lower left")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(float(np.exp(tail.logs[int(SHOWN * tail.most)])), 2 * float(sizes[0]))
    ax.set_ylim(bottom=0.2 / tail.n, top=1.5)
    name = "X" if abs(tail.origin) < ZERO * sizes[-1] else f"X - {tail.origin:.4g}"
    signed = {"both": f"|{name}|", "right": name, "left": f"-({name})" if "-" in name else "-X"}
    dress(ax, f"P({signed[side]} > t)", "t", "survival")
    return figure


def _fitted_curve(ax: Axes, tail: Tail, estimate: TailEstimate, side: str, colour: str) -> None:
    far = float(np.exp(tail.logs[0]))
    law = whole_law(estimate, side, tail.origin)
    label = f"{estimate.method}: {estimate.index:.3g}"
    if law is not None:
        along = np.geomspace(np.exp(tail.logs[int(SHOWN * tail.most)]), far, 2 * CORRECTED_POINTS)
        ax.plot(along, law(along), color=colour, linewidth=1, label=label)
        return
    median = float(np.exp(tail.logs[len(tail.logs) // 2]))
    moved = abs(estimate.details.get("origin", tail.origin) - tail.origin) > MOVED * median
    if estimate.k is None or not np.isfinite(estimate.index) or moved:
        why = "about another origin" if moved else "no index" if np.isinf(estimate.index) else "no law of its own"
        ax.plot([], [], color=colour, linewidth=1, label=f"{estimate.method}: {why}, not drawn")
        return
    levels, middle, near, wide = beyond_threshold(estimate, tail)
    ax.fill_betweenx(levels, near, wide, color=colour, alpha=PALE, linewidth=0)
    ax.plot(middle, levels, color=colour, linewidth=1, label=label)


def _spread_over(first: int, last: int, points: int = POINTS) -> np.ndarray:
    return np.unique(np.geomspace(first, last, points).astype(int))


def _paths(
    ax: Axes, tail: Tail, confidence: float, corrected: bool, estimate: TailEstimate | None, where: Any
) -> None:
    from scipy.special import gammaincinv

    flag("corrected", corrected)
    if estimate is not None:
        instance_of("estimate", estimate, TailEstimate, "pass the result of hill, power_law, ...")
    counts = _spread_over(FEWEST_ABOVE, tail.most)
    sums = np.cumsum(tail.logs)
    gammas = sums[counts - 1] / counts - tail.logs[counts]
    seen = gammas > 0  # all tied otherwise
    counts, gammas = counts[seen], gammas[seen]
    low, high = (gammaincinv(counts, level) / counts / gammas for level in ((1 - confidence) / 2, (1 + confidence) / 2))
    ax.fill_between(where(counts), low, high, color=HILL, alpha=PALE, linewidth=0)
    ax.plot(where(counts), 1 / gammas, color=HILL, linewidth=1, label="Hill")
    top = 2.5 * float(np.median(1 / gammas[: max(1, len(gammas) * 2 // 3)]))
    if corrected and tail.most > 2 * FEWEST_ON_A_LINE:
        counts = _spread_over(FEWEST_ON_A_LINE, tail.most, CORRECTED_POINTS)
        quantile = normal_quantile(confidence)
        found = [line_of_range(spacings(tail.logs[:k] - tail.logs[k]), quantile) for k in counts]
        middle = np.array([each.gamma for each, _, _ in found])
        low = 1 / np.maximum(np.array([upper for _, _, upper in found]), 1e-9)
        high = 1 / np.maximum(np.array([lower for _, lower, _ in found]), 1e-9)
        ax.fill_between(where(counts), low, high, color=CORRECTED, alpha=PALE, linewidth=0)
        ax.plot(where(counts), 1 / np.maximum(middle, 1e-9), "--", color=CORRECTED, linewidth=1, label="corrected")
    if estimate is not None and estimate.k is not None and np.isfinite(estimate.index):
        place = where(np.array([estimate.k]))
        ax.plot([place[0], place[0]], [estimate.lower, min(estimate.upper, 1e6)], color="black", linewidth=1)
        ax.plot(place, [estimate.index], "o", color="black", markersize=4, label=estimate.method)
        top = max(top, 1.3 * estimate.index)
    ax.set_ylim(0, top)
    ax.legend(fontsize=SMALL, frameon=False, loc="lower left")

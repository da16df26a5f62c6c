"""Pictures of a comparison. Each takes axes or makes a figure of its own, and returns the figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates import normal_quantile
from ..style import (
    GREY,
    SMALL,
    axes_of,
    direct_labels,
    dress,
    largest,
    linear_within,
    panels,
    scale_signed,
    scale_steps,
    signed_scale,
    styles,
)
from . import wording

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKS = 12  # markers with intervals along a sampled curve


def curves(dataset: xarray.Dataset, observable: str, ax: Axes | None = None) -> Figure:
    """Mean of an observable against the step: exact ones as lines, sampled ones as markers with intervals."""
    figure, ax = axes_of(ax)
    here = _moved(dataset.sel(observable=observable))
    half = normal_quantile(dataset.attrs["confidence"]) * here["standard_error"].values
    values = here["estimate"].values
    steps, looks = here["step"].values, styles(dataset["process"].values.tolist())
    _draw(ax, steps, looks, values, values - half, values + half, here["exact"].values)
    scale_steps(ax, steps)
    known = values[np.isfinite(values)]
    if known.size and known.min() > 0 and known.max() > 20 * known.min():
        ax.set_yscale("log")
    dress(ax, wording.label(dataset, observable))
    _label_ends(ax, steps, looks, values)
    return figure


def differences(dataset: xarray.Dataset, observable: str, ax: Axes | None = None) -> Figure:
    """Other minus reference against the step: intervals, predictions (dotted), tolerance (shaded)."""
    figure, ax = axes_of(ax)
    here = _moved(dataset.sel(observable=observable))
    reference, *names = dataset["process"].values.tolist()
    steps = here["step"].values
    others = here.sel(process=names)
    margin = dataset.attrs["tolerance"] * here["scale"].sel(process=reference).values
    ax.fill_between(steps, -margin, margin, color="0.92", linewidth=0, zorder=0)
    values, exact = (
        others["difference"].values,
        others["exact"].values & bool(here["exact"].sel(process=reference)),
    )
    looks, lower, upper = styles(names), others["difference_lower"].values, others["difference_upper"].values
    _draw(ax, steps, looks, values, lower, upper, exact)
    for look, predicted in zip(looks.values(), others["predicted"].values):
        if np.isfinite(predicted).any():
            ax.plot(steps, predicted, color=look["color"], linestyle=":", linewidth=2.4, alpha=0.5)
    scale_steps(ax, steps)
    linear = linear_within([largest(curve) for curve in values])
    scale_signed(ax, linear)
    dress(ax, f"difference to {reference}")
    shaded = f"shaded: ±{100 * dataset.attrs['tolerance']:g} % of the scale"
    dotted = "; thick dots: leading-order theory" if has_predictions(dataset, observable) else ""
    title = shaded + dotted + (f"\naxis {signed_scale(linear)}" if linear else "")
    ax.set_title(title, fontsize=SMALL, loc="left", color=GREY)
    _label_ends(ax, steps, looks, values)
    return figure


def has_predictions(dataset: xarray.Dataset, observable: str) -> bool:
    """Whether theory's leading term is drawn beside the differences."""
    return bool(np.isfinite(_moved(dataset.sel(observable=observable))["predicted"].values[1:]).any())


def means_and_differences(dataset: xarray.Dataset, observable: str) -> Figure:
    """`curves` above `differences`."""
    figure, (above, below) = panels(2, height=5.4)
    curves(dataset, observable, above)
    differences(dataset, observable, below)
    return figure


def budget(
    dataset: xarray.Dataset, process: str, ax: Axes | None = None, beside: Sequence[str] | None = None
) -> Figure:
    """Parts of the error budget of the expected risk against the step, with their signs.

    Parts that are zero to rounding throughout are left out; sampled parts have intervals. `beside`: the processes of
    all panels of the figure, which share one kind of axis; default: this one.
    """
    figure, ax = axes_of(ax)
    if "budget" not in dataset or not np.isfinite(dataset["budget"].sel(process=process)).any():
        reason = dataset.attrs.get("budget_absent") or f"There is no error budget for {process}."
        ax.text(0.5, 0.5, reason, ha="center", va="center", fontsize=SMALL, wrap=True, transform=ax.transAxes)
        ax.set_axis_off()
        return figure
    here = _moved(dataset.sel(process=process))
    parts = list(_part_sizes(dataset, process))
    values, errors = here["budget"].sel(part=parts).values, here["budget_error"].sel(part=parts).values
    half = normal_quantile(dataset.attrs["confidence"]) * np.nan_to_num(errors)
    steps, exact = here["step"].values, (errors == 0).all(axis=1)
    every = styles(dataset["part"].values.tolist())  # a part looks the same whichever others are left out
    looks = {part: every[part] for part in parts}
    _draw(ax, steps, looks, values, values - half, values + half, exact, thread=False)
    scale_steps(ax, steps)
    scale_signed(ax, budget_scale(dataset, beside or [process]))
    dress(ax, f"part of E risk,\n{process} − {dataset['process'].values[0]}")
    _label_ends(ax, steps, looks, values)
    return figure


def _part_sizes(dataset: xarray.Dataset, process: str) -> dict[str, float]:
    """Largest size of each part of a budget that is more than rounding."""
    here = _moved(dataset.sel(process=process))["budget"]
    sizes = {str(part): largest(here.sel(part=part).values) for part in here["part"].values}
    return {part: size for part, size in sizes.items() if size > wording.ROUNDING * max(sizes.values())}


def budget_scale(dataset: xarray.Dataset, processes: Sequence[str]) -> float | None:
    """Within what the axes of these budgets are linear; see `linear_within`."""
    return linear_within([size for name in processes for size in _part_sizes(dataset, name).values()])


def with_budget(dataset: xarray.Dataset) -> list[str]:
    """Processes that have a budget."""
    return [name for name in dataset["process"].values.tolist()[1:] if wording.budget_parts(dataset, name)]


def budgets(dataset: xarray.Dataset) -> Figure | None:
    """`budget` of every process that has one, below each other; None where there is none."""
    names = with_budget(dataset)
    if not names:
        return None
    figure, axes = panels(len(names), height=2.9 * len(names))
    for name, ax in zip(names, axes):
        budget(dataset, name, ax, names)
        ax.set_ylabel("part of E risk", fontsize=9)
        ax.set_title(f"{name} − {dataset['process'].values[0]}", fontsize=9, loc="left")
    return figure


def quantiles(dataset: xarray.Dataset, observable: str, process: str, ax: Axes | None = None) -> Figure:
    """Quantiles of paths: the reference as shaded bands with its median, the other process as lines."""
    figure, ax = axes_of(ax)
    here = _moved(dataset.sel(observable=observable))
    reference, steps = str(dataset["process"].values[0]), here["step"].values
    first, second = (here["quantiles"].sel(process=name).values for name in (reference, process))
    levels = here["quantile"].values
    for pair, shade in zip(range(levels.size // 2), ("0.88", "0.74")):
        ax.fill_between(steps, first[:, pair], first[:, -1 - pair], color=shade, linewidth=0)
    ax.plot(steps, first[:, levels.size // 2], color="0.45", linewidth=2)
    look = styles([reference, process])[process]
    for index in range(levels.size):
        line = "-" if index == levels.size // 2 else "--"
        ax.plot(steps, second[:, index], color=look["color"], linewidth=1.2, linestyle=line)
    scale_steps(ax, steps)
    known = np.concatenate([first.ravel(), second.ravel()])
    if known.min() > 0 and np.isfinite(known).all() and known.max() > 20 * known.min():
        ax.set_yscale("log")
    dress(ax, f"{observable} of a path", title=f"bands: {reference}; lines: {process}")
    ends = [(steps[-1], second[-1, i], f"{100 * level:g} %", look["color"]) for i, level in enumerate(levels)]
    direct_labels(ax, ends)
    return figure


def distances(dataset: xarray.Dataset, observable: str, kind: str, ax: Axes | None = None) -> Figure:
    """Distance ("w1" or "ks") of each law to the reference's, with its interval, at a few steps."""
    figure, ax = axes_of(ax)
    here = dataset.sel(observable=observable)
    names = dataset["process"].values.tolist()[1:]
    steps = here["distance_step"].values.astype(float)
    positive = [here[kind].sel(process=name).values for name in names]
    floor = min((v[np.isfinite(v) & (v > 0)].min(initial=np.inf) for v in positive), default=np.inf)
    floor = floor / 2.5 if np.isfinite(floor) else 1e-3
    ends = []
    for place, name in enumerate(names):
        value, lower, upper = (here[kind + end].sel(process=name).values for end in ("", "_lower", "_upper"))
        look = styles(names)[name]
        shifted = steps * 1.06 ** (place - (len(names) - 1) / 2)  # side by side, so that intervals stay apart
        upper = np.where(np.isfinite(upper), upper, value)  # an end that is not known is not drawn
        reach = np.array([value - np.maximum(lower, floor), upper - value]).clip(0)
        kept = np.isfinite(value)
        ax.errorbar(
            shifted[kept], value[kept], reach[:, kept], color=look["color"], linestyle=look["linestyle"],
            marker=look["marker"], markersize=4, linewidth=0.9, elinewidth=0.9, capsize=2,
        )  # fmt: skip
        ends.append((shifted[-1], value[-1], name.replace(", ", ",\n"), look["color"]))
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yscale("log")
    ax.set_ylim(bottom=floor)
    long = {"w1": "Wasserstein-1", "ks": "Kolmogorov-Smirnov"}[kind]
    dress(ax, f"{long} distance\nof the laws of {observable}")
    direct_labels(ax, ends)
    return figure


def has_deviations(dataset: xarray.Dataset) -> bool:
    """Whether the standard deviation of the risk is known exactly on some side."""
    return "deviation" in dataset and bool(np.isfinite(dataset["deviation"]).any())


def deviations(dataset: xarray.Dataset, ax: Axes | None = None) -> Figure:
    """Standard deviation of the risk of a path: exact as lines, over the paths as markers with intervals.

    Sides without any, but for rounding, are left out.
    """
    figure, ax = axes_of(ax)
    here = _moved(dataset)
    steps, looks = here["step"].values, styles(dataset["process"].values.tolist())
    exact, sampled = here["deviation"].values, here["deviation_sampled"].values
    least = wording.ROUNDING * largest(np.stack([exact, sampled]))
    exact, sampled = (np.where(values > least, values, np.nan) for values in (exact, sampled))
    half = normal_quantile(dataset.attrs["confidence"]) * here["deviation_error"].values
    every = np.zeros(len(looks), dtype=bool)
    _draw(ax, steps, looks, exact, exact, exact, ~every)
    _draw(ax, steps, looks, sampled, sampled - half, sampled + half, every, thread=False)
    scale_steps(ax, steps)
    known = np.concatenate([values[np.isfinite(values)] for values in (exact, sampled)])
    if known.size and known.max() > 20 * known.min():
        ax.set_yscale("log")
    dress(ax, "standard deviation\nof the risk", title="lines: exact; markers: over the paths, in turn")
    _label_ends(ax, steps, looks, np.where(np.isfinite(exact), exact, sampled))
    return figure


def laws(dataset: xarray.Dataset, observable: str) -> Figure:
    """`quantiles` of the first process above both `distances`."""
    figure, (above, middle, below) = panels(3, height=7.4)
    quantiles(dataset, observable, str(dataset["process"].values[1]), above)
    distances(dataset, observable, "ks", middle)
    distances(dataset, observable, "w1", below)
    return figure


def _moved(dataset: xarray.Dataset) -> xarray.Dataset:
    """Without step 0, where all sides start alike."""
    return dataset.sel(step=dataset["step"] > 0) if dataset.sizes["step"] > 1 else dataset


def _draw(
    ax: Axes, steps: np.ndarray, looks: dict[str, dict[str, Any]], values: np.ndarray, lower: np.ndarray,
    upper: np.ndarray, exact: np.ndarray, thread: bool = True,
) -> None:  # fmt: skip
    """Lines where exact; elsewhere markers with intervals, staggered so that sides do not hide each other.

    `thread` ties the markers of a sampled curve together by a faint line.
    """
    for place, look in enumerate(looks.values()):
        line = {"color": look["color"], "linestyle": look["linestyle"]}
        if exact[place]:
            ax.plot(steps, values[place], **line, linewidth=1.4, marker="." if steps.size == 1 else None)
            continue
        stride = min(max(len(looks), -(-steps.size // MARKS)), steps.size)
        kept = np.arange(place * stride // len(looks), steps.size, stride)
        kept = kept[np.isfinite(values[place][kept])]
        with np.errstate(invalid="ignore"):
            reach = np.array([values[place] - lower[place], upper[place] - values[place]])[:, kept].clip(0)
        reach = np.where(np.isfinite(reach), reach, 0.0)  # where no interval can be given none is drawn
        if thread:
            ax.plot(steps, values[place], **line, linewidth=0.5, alpha=0.6)
        ax.errorbar(
            steps[kept], values[place][kept], reach, color=look["color"], linestyle="none",
            marker=look["marker"], markersize=3.5, elinewidth=0.9, capsize=2,
        )  # fmt: skip


def _label_ends(ax: Axes, steps: np.ndarray, looks: dict[str, dict[str, Any]], values: np.ndarray) -> None:
    """Name each curve at its last finite point."""
    ends = []
    for (name, look), curve in zip(looks.items(), values):
        finite = np.flatnonzero(np.isfinite(curve))
        if finite.size:
            last = finite[-1]
            ends.append((float(steps[last]), float(curve[last]), name.replace(", ", ",\n"), look["color"]))
    direct_labels(ax, ends)

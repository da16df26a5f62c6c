"""The picture of a sweep: lines over one name, heat maps with contours over two; failed cells are marked."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.estimates import normal_quantile
from sgdlimits.compare.style import GREY, NORMAL, SMALL, axes_of, direct_labels, dress, panels, styles
from sgdlimits.exact.errors import InvalidInput, kind, nearest, one_of, shown

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES, MOST_PANELS = 12, 12
WIDE = 20.0  # ratio of largest to smallest beyond which an axis is logarithmic
ERROR = "_standard_error"
DIVERGING = "RdBu_r"
FEW = 8  # values that all have a tick


def plot_sweep(
    dataset: xarray.Dataset, variable: str | None = None, ax: Axes | None = None, **chosen: Any
) -> Figure:
    """Draw a quantity of a sweep.

    Over one name a line, for each entry that the quantity has in a cell; over two a heat map with contours. Cells that
    failed are marked. A name beyond two makes a panel for each of its values.

    Parameters
    ----------
    dataset : xarray.Dataset
        What `sweep` gave.
    variable : str, optional
        Default: the first that holds numbers. With a `NAME_standard_error` beside it a line has 95 % intervals.
    ax : matplotlib axes, optional
        For one panel; default a figure of its own.
    **chosen
        Values at which other dimensions are taken, such as ``process="homogenized SGD"``; the nearest one of numbers.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidInput
        If this is no sweep, there is no such quantity, or it has too many entries for one figure.

    Examples
    --------
    >>> from sgdlimits import studies
    >>> result = studies.sweep(lambda a, b: a * b, over={"a": [1, 2, 3], "b": [10, 20]})
    >>> figure = studies.plot_sweep(result)
    """
    import xarray

    if not isinstance(dataset, xarray.Dataset) or "failure" not in dataset or not dataset["failure"].dims:
        raise InvalidInput(f"plot_sweep draws what sweep gave, got {kind(dataset)}")
    name, usual = picture_of(dataset, variable)
    chosen = {dim: value for dim, value in usual.items() if dim in dataset[name].dims} | chosen
    swept = [str(dim) for dim in dataset["failure"].dims]
    dataset = selected(dataset, name, chosen)
    values, failed = dataset[name], dataset["failure"] != ""
    axes = [dim for dim in swept if dim in values.dims and values.sizes[dim] > 1]
    if not axes:
        raise InvalidInput(f"{name!r} has one cell here: nothing varies; sweep over more values, or choose fewer")
    across = axes[:2] if len(axes) > 1 else axes
    rest = [str(dim) for dim in values.dims if dim not in across]
    if len(axes) == 1:
        return _lines(dataset, name, axes[0], rest, failed, ax)
    return _maps(values, failed, (across[0], across[1]), rest, ax)


def picture_of(dataset: xarray.Dataset, variable: str | None = None) -> tuple[str, dict[str, str]]:
    """The quantity that is drawn, and where along other dimensions: what is asked, what the cells say, or the first.

    A cell says so by the attribute `picture` of its dataset, "worst" or "worst observable=risk".
    """
    said, *at = str(dataset.attrs.get("picture", "")).split(" ", 1)
    if variable is None and said in dataset:
        pairs = (part.partition("=") for part in (at[0].split(", ") if at else []))
        return said, {dim: value for dim, _, value in pairs}
    return _variable(dataset, variable), {}


def _variable(dataset: xarray.Dataset, variable: str | None) -> str:
    swept = set(dataset["failure"].dims)
    numbers = [
        str(name) for name, found in dataset.data_vars.items() if found.dtype.kind in "biuf" and swept & set(found.dims)
    ]
    if variable is not None:
        return one_of("variable", variable, numbers)
    if not numbers:
        raise InvalidInput("there is no number in this sweep to draw: all cells failed, or they gave texts")
    return numbers[0]


def selected(dataset: xarray.Dataset, name: str, chosen: Mapping[str, Any]) -> xarray.Dataset:
    """The dataset at chosen values of the dimensions of a quantity; the nearest one of numbers."""
    for dim, value in chosen.items():
        if dim not in dataset[name].dims:
            dims = [str(found) for found in dataset[name].dims]
            raise InvalidInput(f"{name!r} has no dimension {dim!r}; {nearest(dim, dims)}")
        if dim not in dataset.coords:
            dataset = dataset.isel({dim: value})
            continue
        labels = dataset[dim].values
        if labels.dtype.kind in "iuf":
            dataset = dataset.isel({dim: int(np.abs(labels - value).argmin())})
        else:
            dataset = dataset.sel({dim: one_of(dim, value, labels.tolist())})
    return dataset


def _entries(values: xarray.DataArray, dims: Sequence[str], most: int) -> list[tuple[str, dict[str, int]]]:
    """What there is of the quantity beside the picture's axes: label and place of each."""
    sizes = [values.sizes[dim] for dim in dims]
    places = product(*map(range, sizes))
    there = [place for place in places if _varies(values.isel(dict(zip(dims, place, strict=True))))]
    if len(there) > most:
        long = max(dims, key=lambda dim: values.sizes[dim])
        raise InvalidInput(
            f"{values.name!r} has {len(there)} entries beside the axes, more than one figure shows: choose along "
            f"{' or '.join(map(repr, dims))}, such as {long}={shown(_label(values, long, 0))}"
        )
    found = []
    for place in there or [(0,) * len(dims)]:
        varying = [(dim, i) for dim, i in zip(dims, place, strict=True) if values.sizes[dim] > 1]
        words = [_said(values, dim, i) for dim, i in varying]
        found.append((", ".join(words), dict(zip(dims, place, strict=True))))
    return found


def _varies(values: xarray.DataArray) -> bool:
    """Whether there is anything to see: not a quantity that no cell has, nor the zeros of a reference."""
    return bool(np.isfinite(values.values).any() and (values.values != 0).any())


def _label(values: xarray.DataArray, dim: str, place: int) -> Any:
    return values[dim].values[place].item() if dim in values.coords else place


def _said(values: xarray.DataArray, dim: str, place: int) -> str:
    label = _label(values, dim, place)
    return label if isinstance(label, str) else f"{_words(dim)} {label:.4g}"


def _lines(
    dataset: xarray.Dataset, name: str, along: str, rest: Sequence[str], failed: xarray.DataArray, ax: Axes | None
) -> Figure:
    figure, ax = axes_of(ax)
    values, errors = dataset[name], dataset.get(name + ERROR)
    entries = _entries(values, rest, MOST_LINES)
    places, labels = _places(values[along].values)
    look = styles([label for label, _ in entries])
    ends, shown_values = [], []
    for label, entry in entries:
        line = values.isel(entry).values.astype(float)
        known = np.flatnonzero(np.isfinite(line))
        own = {key: look[label][key] for key in ("color", "linestyle", "marker")}
        if errors is not None and errors.dims == values.dims:
            reach = normal_quantile(0.95) * errors.isel(entry).values.astype(float)
            ax.errorbar(places, line, reach, markersize=4, linewidth=1.1, elinewidth=0.9, capsize=2, **own)
        else:
            ax.plot(places, line, markersize=4, linewidth=1.1, **own)
        shown_values.append(line[known])
        if known.size:
            ends.append((places[known[-1]], line[known[-1]], label, own["color"]))
    finite = np.concatenate(shown_values)
    if finite.size and finite.min() > 0 and finite.max() > WIDE * finite.min():
        ax.set_yscale("log")
    _scale(ax, "x", values[along].values, places, labels)
    bad = np.flatnonzero(failed.any([dim for dim in failed.dims if dim != along]).values)
    for place in bad:
        ax.plot(places[place], 0.02, "x", color="0.2", markersize=6, transform=ax.get_xaxis_transform(), clip_on=False)
    dress(ax, textwrap.fill(_axis_label(values, name), 48), _axis_label(values[along], along))
    if bad.size:
        ax.set_title(f"× at the foot: failed ({bad.size} of {places.size})", fontsize=SMALL, loc="left", color=GREY)
    if len(entries) > 1:
        direct_labels(ax, ends)
    return figure


def _maps(
    values: xarray.DataArray, failed: xarray.DataArray, across: tuple[str, str], rest: Sequence[str], ax: Axes | None
) -> Figure:
    from matplotlib.ticker import MaxNLocator

    entries = _entries(values, rest, 1 if ax is not None else MOST_PANELS)
    norm, colours = _colours(values.values)
    columns = min(len(entries), 2)
    rows = -(-len(entries) // columns)
    if ax is None:
        figure, axes = panels(rows, height=(4.0 if columns == 1 else 2.9) * rows + 0.4 * (columns > 1), columns=columns)
    else:
        figure, _ = axes_of(ax)
        axes = [ax]
    mesh: Any = None
    for panel, (label, entry) in zip(axes, entries, strict=False):
        part = values.isel(entry).transpose(across[1], across[0]).values.astype(float)
        left_out = failed.isel({dim: place for dim, place in entry.items() if dim in failed.dims})
        bad = left_out.transpose(across[1], across[0]).values
        (x, x_labels), (y, y_labels) = (_places(values[dim].values) for dim in across)
        edges = [_edges(place, values[dim].values) for place, dim in ((x, across[0]), (y, across[1]))]
        mesh = panel.pcolormesh(*edges, np.ma.masked_invalid(part), norm=norm, cmap=colours, rasterized=True)
        numeric = all(values[dim].dtype.kind in "iuf" for dim in across)
        if numeric and min(part.shape) > 2 and np.isfinite(part).sum() > 5 and np.nanmin(part) < np.nanmax(part):
            drawn = panel.contour(
                x, y, np.ma.masked_invalid(part), levels=_levels(part, norm), linewidths=0.9,
                colors="0.25" if colours == DIVERGING else "w",
            )  # fmt: skip
            panel.clabel(drawn, fontsize=SMALL - 1, fmt=lambda value: f"{value:.3g}")
        panel.set_facecolor("0.9")
        rows_of_bad, columns_of_bad = np.nonzero(bad)
        panel.plot(x[columns_of_bad], y[rows_of_bad], "x", color="0.2")
        _scale(panel, "x", values[across[0]].values, x, x_labels, columns)
        _scale(panel, "y", values[across[1]].values, y, y_labels)
        dress(panel, _axis_label(values[across[1]], across[1]), _axis_label(values[across[0]], across[0]))
        panel.grid(False)
        if label:
            panel.set_title(label, fontsize=SMALL, loc="left")
    for panel in axes[len(entries) :]:
        panel.set_visible(False)
    bar = figure.colorbar(mesh, ax=axes[: len(entries)], shrink=0.9)
    bar.set_label(textwrap.fill(_axis_label(values, str(values.name)), 56), fontsize=NORMAL)
    bar.ax.tick_params(labelsize=SMALL)
    if norm is None:
        bar.locator = MaxNLocator(6)
        bar.update_ticks()
    count = int(failed.sum())
    if count:
        said = f"×: failed ({count} of {failed.size} cells)"
        figure.supxlabel(said, fontsize=SMALL, color=GREY, x=0.02, ha="left")
    return figure


def _colours(values: np.ndarray) -> tuple[Any, str]:
    """Scale and colours: logarithmic where positive values span much, diverging about 0 where both signs are there."""
    from matplotlib.colors import LogNorm, Normalize

    finite = values[np.isfinite(values)].astype(float)
    if not finite.size:
        return None, "viridis"
    low, high = float(finite.min()), float(finite.max())
    if low > 0 and high > WIDE * low:
        return LogNorm(low, high), "viridis"
    if low < 0 < high:
        reach = max(-low, high)
        return Normalize(-reach, reach), DIVERGING
    size = "viridis" if low >= 0 or high > 0 else "viridis_r"  # bright is large, whatever the sign
    return Normalize(low, high if high > low else low + 1), size


def _levels(values: np.ndarray, norm: Any) -> np.ndarray:
    """At most five lines of equal value, at round numbers."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import LogLocator, MaxNLocator

    low, high = np.nanmin(values), np.nanmax(values)
    locator: Any = LogLocator(numticks=6) if isinstance(norm, LogNorm) else MaxNLocator(5)
    ticks = np.asarray(locator.tick_values(low, high))
    return ticks[(ticks > low) & (ticks < high)]


def _places(labels: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Where values stand on an axis; texts one after the other."""
    if labels.dtype.kind in "iuf":
        return labels.astype(float), []
    return np.arange(len(labels), dtype=float), [str(label) for label in labels]


def _logarithmic(labels: np.ndarray) -> bool:
    return labels.dtype.kind in "iuf" and labels.min() > 0 and labels.max() >= 8 * labels.min()


def _edges(places: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Borders of the cells, half way between neighbours on the axis's own scale; they need not be evenly spaced."""
    order = np.argsort(places)
    shown_places = np.log(places[order]) if _logarithmic(labels) else places[order]
    middle = (shown_places[1:] + shown_places[:-1]) / 2
    ends = [2 * shown_places[0] - middle[0]], [2 * shown_places[-1] - middle[-1]]
    edges = np.concatenate([ends[0], middle, ends[1]])
    return np.exp(edges) if _logarithmic(labels) else edges


def _scale(
    ax: Axes, axis: str, labels: np.ndarray, places: np.ndarray, texts: Sequence[str], columns: int = 1
) -> None:
    """Scale and ticks of an axis: at the values where they are few and stand far enough apart."""
    if texts:
        getattr(ax, f"set_{axis}ticks")(places, texts)
        return
    from matplotlib.ticker import LogLocator

    if _logarithmic(labels):
        getattr(ax, f"set_{axis}scale")("log")
        one = getattr(ax, f"{axis}axis")
        one.set_major_locator(LogLocator(subs=(1, 2, 5)))
        one.set_major_formatter("{x:g}")
        getattr(ax, f"set_{axis}ticks")([], minor=True)
    spread = np.log(places) if _logarithmic(labels) else places
    apart = np.diff(np.sort(spread)).min(initial=np.inf) >= 0.09 * columns**2 * np.ptp(spread)
    if len(places) <= FEW and apart:
        getattr(ax, f"set_{axis}ticks")(places, [f"{value:.3g}" for value in places])


def _words(name: str) -> str:
    return name.replace("_", " ")


def _axis_label(values: xarray.DataArray, name: str) -> str:
    words = values.attrs.get("long_name", _words(name))
    units = values.attrs.get("units", "")
    return f"{words} ({units})" if units and units != "1" else str(words)

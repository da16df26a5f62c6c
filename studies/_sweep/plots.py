"""The picture of a sweep: lines over one name, heat maps with contours over two; failed cells are marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.exact.errors import InvalidInput, kind, nearest, one_of, shown

from .lines import lines
from .maps import maps
from .scales import words_of

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES, MOST_PANELS = 12, 12


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
    for dim in swept:
        if dim in dataset.dims and dataset[dim].dtype.kind in "iuf":
            dataset = dataset.sortby(dim)
    values = dataset[name]
    if not np.isfinite(values.values).any():
        raise InvalidInput(f"{name!r} is nowhere a finite number here, so there is nothing to draw")
    axes = [dim for dim in swept if dim in values.dims and values.sizes[dim] > 1]
    if not axes:
        raise InvalidInput(f"{name!r} has one cell here: nothing varies; sweep over more values, or choose fewer")
    if len(axes) == 1:
        return lines(dataset, name, axes[0], _entries(values, axes, swept, MOST_LINES), ax)
    most = MOST_PANELS if ax is None else 1
    return maps(dataset, name, (axes[0], axes[1]), _entries(values, axes[:2], swept, most), ax)


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
        raise InvalidInput("there is no real number in this sweep to draw: all cells failed, or gave something else")
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


def _entries(
    values: xarray.DataArray, axes: Sequence[str], swept: Sequence[str], most: int
) -> list[tuple[str, dict[str, int]]]:
    """What there is of the quantity beside the picture's axes: label and place of each."""
    dims = [str(dim) for dim in values.dims if dim not in axes]
    seen = there_of(values, swept).broadcast_like(values.isel(dict.fromkeys(axes, 0))).transpose(*dims).values
    there = [place for place in product(*(range(values.sizes[dim]) for dim in dims)) if seen[place]]
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


def there_of(values: xarray.DataArray, swept: Sequence[Any]) -> xarray.DataArray:
    """Whether there is something to see of a quantity, by the names that it has in a cell.

    Not where no cell has it, nor the zeros of a reference among processes and the like; swept values always are.
    """
    names = [dim for dim in values.dims if dim not in swept and dim in values.coords]
    named = [dim for dim in names if values[dim].dtype.kind in "US"]
    others = [dim for dim in values.dims if dim not in named]
    finite, other_than_zero = values.notnull() & (np.abs(values) != np.inf), values != 0
    return (finite.any(others) & other_than_zero.any(others)) | (not named)


def _label(values: xarray.DataArray, dim: str, place: int) -> Any:
    return values[dim].values[place].item() if dim in values.coords else place


def _said(values: xarray.DataArray, dim: str, place: int) -> str:
    label = _label(values, dim, place)
    return label if isinstance(label, str) else f"{words_of(dim)} {label:.4g}"



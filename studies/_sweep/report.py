"""What a finished sweep leaves beside its store: numbers, table, picture and page, each written whole or not at all."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.compare.html_page import Picture, bullets, document, figure
from sgdlimits.compare.reports import PAGE, versions
from sgdlimits.compare.results import csv_text
from sgdlimits.compare.style import render
from sgdlimits.ensembles import save
from sgdlimits.ensembles.whole_files import whole_file
from sgdlimits.exact.errors import InvalidInput

from .plots import picture_of, plot_sweep, selected, there_of

if TYPE_CHECKING:
    import xarray

RESULT, TABLE, PICTURE = "sweep.nc", "table.csv", "picture"
MOST_SENTENCES = 20


def write_report(
    folder: Path, dataset: xarray.Dataset, settings: Mapping[str, Any], command: str, variable: str | None = None
) -> Path:
    """Write sweep.nc, table.csv, picture.svg and .png, and report.html into a store.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InvalidInput
        If there is no such variable.
    """
    save(dataset, folder / RESULT)
    _put(folder / TABLE, table(dataset).encode())
    pieces, sentences = list[str](), list[str]()
    try:
        drawn = plot_sweep(dataset, variable)
    except InvalidInput as error:
        if variable is not None:
            raise
        sentences.append(f"No picture: {error}.")
    else:
        svg, png = render(drawn, "svg", "png")
        _put(folder / f"{PICTURE}.svg", svg)
        _put(folder / f"{PICTURE}.png", png)
        pieces.append(figure(Picture(PICTURE, caption(dataset, variable), svg, png)))
    names = [str(dim) for dim in dataset["failure"].dims]
    counted = {title: _counted(dataset[name].values) for title, name in (("Failed", "failure"), ("Warnings", "warned"))}
    sections = {title: [bullets(found)] for title, found in counted.items() if found}
    sections["Files"] = [
        bullets([
            f"{RESULT}: everything, opens with xarray", f"{TABLE}: one line a cell",
            "sweep.json and cells: the store; the same command computes what is missing",
        ])
    ]  # fmt: skip
    again = f"<p>From the folder where it was typed: <code>{html.escape(command)}</code></p>"
    page = document(
        f"{dataset.attrs['cell']} over {', '.join(names)}", finding(dataset), sentences, "".join(pieces), sections,
        settings, versions(), command, again,
    )  # fmt: skip
    _put(folder / PAGE, page.encode())
    return folder / PAGE


def finding(dataset: xarray.Dataset) -> str:
    """The sweep in a sentence."""
    failure = dataset["failure"]
    shape = " x ".join(f"{size} {name}" for name, size in failure.sizes.items())
    failed = int(dataset.attrs["failed"])
    ended = "none failed" if not failed else f"{failed} failed"
    places = Counter(str(text) for text in dataset["platform"].values.flat if text)
    where = "" if len(places) < 2 else f"; they ran on {len(places)} platforms, between which numbers agree to rounding"
    return f"{failure.size} cells, {shape}: {ended}{where}. {_extremes(dataset)}".rstrip()


def _extremes(dataset: xarray.Dataset) -> str:
    """Least and largest value of what is drawn, and where."""
    try:
        name, chosen = picture_of(dataset)
    except InvalidInput:
        return ""
    values = selected(dataset, name, chosen)[name]
    values = values.where(there_of(values, dataset["failure"].dims))
    if not np.isfinite(values.values).any():
        return ""
    at = "".join(f" of {value}" for value in chosen.values())
    said = []
    for place in (int(np.nanargmin(values.values)), int(np.nanargmax(values.values))):
        index = np.unravel_index(place, values.shape)
        places = zip(values.dims, index, strict=True)
        labels = [f"{dim}={_short(values[dim].values[i].item())}" for dim, i in places if dim in values.coords]
        said.append(f"{values.values[index]:.3g} ({', '.join(labels)})")
    return f"{name}{at}: from {said[0]} to {said[1]}."


def caption(dataset: xarray.Dataset, variable: str | None) -> str:
    """What the picture shows."""
    name, chosen = picture_of(dataset, variable)
    at = "".join(f", {dim} {value}" for dim, value in chosen.items())
    words = str(dataset[name].attrs.get("long_name", name.replace("_", " ")))
    marked = " Crosses: cells that failed." if dataset.attrs["failed"] else ""
    return f"{words[0].upper()}{words[1:]}{at}.{marked}"


def table(dataset: xarray.Dataset) -> str:
    """One line a cell: its settings, every quantity that it has one or a few of, and why it failed."""
    names = [str(dim) for dim in dataset["failure"].dims]
    columns: dict[str, np.ndarray] = {}
    for label, values in dataset.data_vars.items():
        if not set(names) <= set(values.dims):
            continue
        rest = [dim for dim in values.dims if dim not in names]
        if any(dim not in dataset.coords or dataset[dim].dtype.kind not in "US" for dim in rest):
            continue  # along steps and paths: in the netCDF file
        stacked = values.transpose(*names, *rest).values.reshape(dataset["failure"].size, -1)
        tails = [", ".join(place) for place in product(*(dataset[dim].values.tolist() for dim in rest))]
        for i, tail in enumerate(tails):
            columns[f"{label} [{tail}]" if tail else str(label)] = stacked[:, i]
    settings = zip(*product(*(dataset[name].values.tolist() for name in names)), strict=True)
    every = dict(zip(names, settings, strict=True)) | {name: values.tolist() for name, values in columns.items()}
    return csv_text([dict(zip(every, row, strict=True)) for row in zip(*every.values(), strict=True)], list(every))


def _counted(texts: np.ndarray) -> list[str]:
    """Each sentence once, with the number of its cells."""
    found = Counter(str(text) for text in texts.flat if text).most_common()
    listed = [f"{count} cell{'s' * (count > 1)}: {text}" for text, count in found[:MOST_SENTENCES]]
    left = len(found) - len(listed)
    return [*listed, f"and {left} further sentences, in {RESULT}"] if left > 0 else listed


def _put(file: Path, content: bytes) -> None:
    with whole_file(file) as opened:
        opened.write(content)


def _short(label: Any) -> str:
    return f"{label:.4g}" if isinstance(label, float) else str(label)

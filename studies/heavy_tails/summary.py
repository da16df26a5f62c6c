"""The tables of the study as one dataset, of the same shape whatever is set but the data sets and batch sizes."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from sgdlimits.studies.summaries import TEXT, Entry, joined, summary_dataset

from . import sweeps, tables

if TYPE_CHECKING:
    import xarray

    from .study import HeavyTailsResult

LEFT_OUT = "left out: quick takes fewer values"


def summary(result: HeavyTailsResult) -> xarray.Dataset:
    """All tables as one dataset, whose shape depends on the number of data sets and batch sizes alone.

    Over row: the table on data. Over sweep_row (a parameter and its value): indices of both sides, bounds and
    estimates, and what to know of them; values that a quick run leaves out are missing, with a word. Over
    optimiser_row: theory and what paths show.
    """
    found = tables.rows(result)
    names = [f"{row['data']}, batch size {row['batch_size']}" for row in found]
    variables = _numbers("row", "", tables.NUMBERS, found)
    taken = {entry.name for entry in fields(result.study)} & set(variables)  # a grid has settings as its axes
    variables = {f"used_{name}" if name in taken else name: entry for name, entry in variables.items()}
    variables |= _texts("row", "", tables.TEXTS, found)
    labels, swept = _sweep_rows(result)
    variables |= _numbers("sweep_row", "sweep_", {"value": "value of the parameter"} | sweeps.NUMBERS, swept)
    variables |= _texts("sweep_row", "sweep_", {"parameter": "parameter", "note": "why a number is missing"}, swept)
    variables |= _texts("sweep_row", "sweep_", sweeps.WARNINGS, swept)
    tried = tables.optimiser_rows(result)
    optimisers = [f"{row['optimiser']}, {row['setting']}" for row in tried]
    variables |= _numbers("optimiser_row", "optimiser_", tables.OPTIMISER_NUMBERS, tried)
    variables |= _texts("optimiser_row", "optimiser_", tables.OPTIMISER_TEXTS, tried)
    coordinates = {
        "row": (names, TEXT, "data set and batch size"),
        "sweep_row": (labels, TEXT, "parameter that is varied, and its value"),
        "optimiser_row": (optimisers, TEXT, "optimiser and its setting"),
    }
    return summary_dataset(variables, coordinates, "sgd")


def _sweep_rows(result: HeavyTailsResult) -> tuple[list[str], list[dict[str, Any]]]:
    """Labels and rows of every value that a sweep has; of those that were not run the numbers are nan."""
    run = {(row["parameter"], row["value"]): row for row in tables.sweep_rows(result)}
    labels, rows = [], []
    for axis in sweeps.axes().values():
        for value in axis.values:
            row = run.get((axis.name, value))
            empty = dict.fromkeys(sweeps.NUMBERS, math.nan) | dict.fromkeys(sweeps.WARNINGS, "")
            missing = {"parameter": axis.name, "value": value, "note": LEFT_OUT} | empty
            labels.append(f"{axis.name.replace('_', ' ')} {value:g}")
            rows.append(missing if row is None else row | {"note": _why(row)})
    return labels, rows


def _why(row: dict[str, Any]) -> str:
    """Why numbers of a row are missing; empty where none is."""
    if not any(math.isnan(row[name]) for name in sweeps.NUMBERS):
        return ""
    return joined(row[name] for name in sweeps.WARNINGS)


def _numbers(dim: str, start: str, names: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Entry]:
    return {
        f"{start}{name}": ((dim,), np.array([float(row[name]) for row in rows]), "1", words)
        for name, words in names.items()
    }


def _texts(dim: str, start: str, names: dict[str, str], rows: list[dict[str, Any]]) -> dict[str, Entry]:
    return {
        f"{start}{name}": ((dim,), np.array([row[name] for row in rows], dtype=object), TEXT, words)
        for name, words in names.items()
    }

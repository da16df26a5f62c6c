"""What the study found as one dataset, of one shape for one choice of data sets and batch sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.studies.summaries import TEXT, Entry, summary_dataset

from . import tables

if TYPE_CHECKING:
    import xarray

    from .study import ValidityResult


def summary(result: ValidityResult) -> xarray.Dataset:
    """Over (row), a data set, batch size and limit: the end of validity, as it is and over the threshold."""
    found = tables.rows(result)
    numbers: dict[str, Entry] = {
        "boundary": (("row",), np.array([row["boundary"] for row in found]), "1", "largest step size that serves"),
        "of_threshold": (
            ("row",), np.array([row["of_threshold"] for row in found]), "1", "the same over the mean-square threshold"
        ),
        "term": (("row",), np.array([row["term"] for row in found], dtype=object), TEXT, "what breaks first"),
        "status": (("row",), np.array([row["status"] for row in found], dtype=object), TEXT, "where there is no end"),
    }  # fmt: skip
    names = [f"{row['data']}, {row['cell']}, {row['process']}" for row in found]
    return summary_dataset(numbers, {"row": (names, TEXT, "data set, batch size and limit")}, "of_threshold")

"""What the study found as one dataset, of the same shape whatever its numbers are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.studies.summaries import TEXT, Entry, summary_dataset


if TYPE_CHECKING:
    import xarray

    from .study import FiniteStepSizeResult


def summary(result: FiniteStepSizeResult) -> xarray.Dataset:
    """Over (curve): the largest deviation of paths from exact theory, and how far each limit is."""
    curves = list(result.curves.values())
    limit = "Ornstein-Uhlenbeck"
    off = [curve.off(limit) if limit in curve.lines else np.nan for curve in curves]
    variables: dict[str, Entry] = {
        "paths_off": (
            ("curve",), np.array([curve.worst for curve in curves]), "1",
            "largest deviation of paths from theory, in standard errors",
        ),
        "limit_error": (
            ("curve",), np.array(off), "1", "largest relative error of the Ornstein-Uhlenbeck limit along the curve",
        ),
    }  # fmt: skip
    rows = [(f"{name}, {process}", float(table.dataset.excess.sel(process=process)))
            for name, (table, _) in result.tables.items() for process in table.dataset.process.values]  # fmt: skip
    values = np.array([value for _, value in rows])
    variables["excess"] = (("method",), values, "1", "exact excess loss at stationarity")
    return summary_dataset(
        variables,
        {"curve": ([curve.name for curve in curves], TEXT, "curve"),
         "method": ([name for name, _ in rows], TEXT, "data set and method")},
        "limit_error",
    )  # fmt: skip



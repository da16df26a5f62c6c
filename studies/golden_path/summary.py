"""The verdicts of the study as one dataset, of the same shape whatever is set but the tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.studies.summaries import TEXT, Entry, summary_dataset

from . import tables

if TYPE_CHECKING:
    import xarray

    from .study import GoldenPathResult

AXES = ("setting", "criterion")
NUMBERS = {
    "value": "what is judged: phi at the end, gap over loss, or ratio of distances",
    "lower": "lower end of its interval", "upper": "upper end of its interval",
    "needed": "about how many seeds would decide; missing where it is decided",
}  # fmt: skip
TEXTS = {"verdict": "verdict", "why": "why"}
DOSES = {
    "relative": "loss over that without noise, less 1, at the last step", "lower": "lower end of its interval",
    "upper": "upper end of its interval",
}  # fmt: skip


def summary(result: GoldenPathResult) -> xarray.Dataset:
    """All verdicts and doses as one dataset, whose shape depends on the tasks alone.

    Over (setting, criterion): value, interval and verdict, with a word where there is none. Over dose_row: the
    loss relative to that without noise, at the last step of each ladder.
    """
    every, settings = tables.rows(result), [case.name for case in result.study.cases]
    shape = (len(settings), len(tables.COLUMNS))
    variables: dict[str, Entry] = {
        name: (AXES, np.array([float(row[name]) for row in every]).reshape(shape), "1", words)
        for name, words in NUMBERS.items()
    }
    variables |= {
        name: (AXES, np.array([row[name] for row in every], dtype=object).reshape(shape), TEXT, words)
        for name, words in TEXTS.items()
    }
    last = [(name, row) for name, dose in result.doses.items() for row in dose.table()
            if row["step"] == dose.dataset.attrs["steps"]]  # fmt: skip
    variables |= {
        f"dose_{name}": (("dose_row",), np.array([float(row[name]) for _, row in last]), "1", words)
        for name, words in DOSES.items()
    }
    variables["dose_verdict"] = (("dose_row",), np.array([row["verdict"] for _, row in last], dtype=object), TEXT,
                                 "what noise does to the loss")  # fmt: skip
    coordinates = {
        "setting": (settings, TEXT, "setting of the noise drop"),
        "criterion": (list(tables.COLUMNS), TEXT, "criterion and baseline"),
        "dose_row": ([f"{name} {row['dose']:g}" for name, row in last], TEXT, "ladder and dose"),
    }
    return summary_dataset(variables, coordinates, "value criterion=F1")

"""What the study found as one dataset, of the same shape whatever its numbers are."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np

from sgdlimits.studies.summaries import TEXT, Entry, joined, summary_dataset

from .basins import ADDITIVE, ENDINGS, HOMOGENIZED, LANGEVIN, MULTIPLICATIVE, STABLE

if TYPE_CHECKING:
    import xarray

    from .basins import Basins
    from .study import ExplorationResult

PROCESSES = (
    MULTIPLICATIVE, *(name + ending for ending in ENDINGS.values() for name in (ADDITIVE, HOMOGENIZED, LANGEVIN)),
    STABLE,
)  # fmt: skip
EXACT = {
    "long_time": "exact share of the time in the widest well in the long run",
    "rate": "exact rate of leaving the well of the start, per step",
    "interquartile_range": "exact spread in the well of the start",
}  # fmt: skip


def summary(result: ExplorationResult) -> xarray.Dataset:
    """Over (process) on the wells: exact numbers and intervals; over (claim): its verdict. Missing parts are nan."""
    first = next(iter(result.basins.values()), None)
    variables: dict[str, Entry] = {}
    for name, words in EXACT.items():
        values = [math.nan if first is None else first.long_run(process, name) for process in PROCESSES]
        variables[name] = (("process",), np.array(values), "1", words)
    for quantity in ("residence", "passage"):
        exact = [math.nan if first is None else first.exact(process, quantity) for process in PROCESSES]
        variables[quantity] = (("process",), np.array(exact), "step", f"exact mean steps, {quantity}")
        for end in ("lower", "upper"):
            seen = [_seen(first, process, quantity, end) for process in PROCESSES]
            variables[f"{quantity}_{end}"] = (("process",), np.array(seen), "step", f"{end} end by paths, {quantity}")
    notes = [_note(first, process) for process in PROCESSES]
    variables["note"] = (("process",), np.array(notes, dtype=object), TEXT, "why a number is missing")
    claims = result.claims
    variables["verdict"] = (("claim",), np.array([one.verdict for one in claims], dtype=object), TEXT, "verdict")
    names = [f"{place}. {one.source}" for place, one in enumerate(claims, start=1)]
    return summary_dataset(
        variables,
        {"process": (list(PROCESSES), TEXT, "process"), "claim": (names, TEXT, "claim")}, "long_time",
    )  # fmt: skip


def _seen(first: Basins | None, process: str, quantity: str, end: str) -> float:
    if first is None or not first.has(process):
        return math.nan
    return float(first.exploration.dataset[end].sel(process=process, quantity=quantity))


def _note(first: Basins | None, process: str) -> str:
    if first is None:
        return "the part basins was not run"
    data = first.exploration.dataset
    if process not in data["process"].values:
        return joined(text for text in first.notes if text.startswith(process)) or joined(first.notes)
    return joined(json.loads(str(data["exact_notes"].sel(process=process).item())))

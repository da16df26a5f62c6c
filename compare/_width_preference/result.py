"""The result of compare.width_preference."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import TextTable, number, with_error
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    ("process", "width"): "wide sharp ratio_time ratio_next ratio_visits error rate",
    ("process",): "exponent_time exponent_time_error exponent_next exponent_next_error",
}
ROW = ("process", "width", "wide", "sharp", "ratio_time", "error", "ratio_next", "ratio_visits", "rate")
EQUAL = 1e-6  # relative, within which rates of leaving are called equal


@dataclass(frozen=True, eq=False, repr=False)
class WidthPreference(Result):
    """A wide well against a sharp one as the width grows: what `compare.width_preference` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (process, width), exact: wide and sharp (widths of the two wells), ratio_time (shares of the time in the
        long run, wide over sharp; error: relative), ratio_visits, ratio_next (probabilities to be the next well, from
        the quasi-stationary law of the well of the start; nan where the start's is one of the two), rate of leaving it.
        Over process: exponent_time and exponent_next, slopes of the log ratios against the log ratio of widths over the
        last two, with their changes from the two before.
    """

    kind: ClassVar[str] = "width preference"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        sizes = self.dataset.sizes
        return ["Preference for the wider well", f"{sizes['width']} widths, {sizes['process']} processes, exact"]

    def table(self) -> list[dict[str, Any]]:
        """One dict a process and width."""
        return [
            {"process": name, "width": float(width)}
            | {key: float(self.dataset[key].sel(process=name, width=width)) for key in ROW[2:]}
            for name in self.dataset["process"].values.tolist()
            for width in self.dataset["width"].values
        ]

    def tables(self) -> list[TextTable]:
        """Ratios, a group a process; then the exponents."""
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            groups.setdefault(row["process"], []).append((
                number(row["wide"] / row["sharp"], 3), number(row["ratio_time"]), number(row["ratio_next"]),
                number(row["ratio_visits"]), number(row["rate"]),
            ))  # fmt: skip
        heads = ("ratio of widths", "of time", "of being next", "of visits", "rate of leaving")
        ratios = TextTable(heads, tuple((name, tuple(rows)) for name, rows in groups.items()), "Wide over sharp")
        rows = []
        for name in self.dataset["process"].values.tolist():
            here = self.dataset.sel(process=name)
            pairs = [(float(here[key]), float(here[f"{key}_error"])) for key in ("exponent_time", "exponent_next")]
            rows.append((*(with_error(value, error, False) for value, error in pairs), name))
        exponents = TextTable(("of time", "of being next", "process"), (("Exponents", tuple(rows)),), "Exponents")
        return [ratios, exponents]

    def notes(self) -> list[str]:
        """The findings, then how to read the tables."""
        return [
            *self.findings(), *(f"{text}." for text in json.loads(self.dataset.attrs["notes"])),
            "Ratios are those of the wide well over the sharp one: of the time in the long run, of the probability to "
            "be entered next, of visits in the long run. exponent: slope of the log ratio against the log ratio of "
            "widths over the last two widths, ± its change from the two before. Gibbs' law of additive noise gives 1 "
            "for the time, in small noise and small steps.",
        ]

    def findings(self) -> list[str]:
        """Whether rates are equal, and which process prefers width more, by the time at the largest ratio of widths."""
        rate = self.dataset["rate"].values
        spread = np.nanmax(rate.max(axis=0) / rate.min(axis=0)) - 1 if np.isfinite(rate).any() else math.nan
        said = [] if len(rate) < 2 else [
            "The processes leave the well of the start equally often at every width." if spread <= EQUAL
            else f"The processes leave the well of the start at rates that differ by up to {number(spread, 2)} of them."
        ]  # fmt: skip
        first, *others = self.dataset["process"].values.tolist()
        for other in others:
            ratios, errors = (
                [float(self.dataset[key].sel(process=name)[-1]) for name in (first, other)]
                for key in ("ratio_time", "error")
            )
            if any(map(math.isnan, ratios)):
                continue
            apart = abs(math.log(ratios[0] / ratios[1])) > sum(errors)
            more = first if ratios[0] > ratios[1] else other
            width = number(float((self.dataset["wide"] / self.dataset["sharp"]).sel(process=first)[-1]), 3)
            said.append(
                f"At the ratio of widths {width} {first} is {number(ratios[0])} times as long in the wide well as in "
                f"the sharp one, {other} {number(ratios[1])} times: "
                + (f"{more} prefers width more." if apart else "neither prefers width more.")
            )
        return said

    def plot(self, ax: Axes | None = None) -> Figure:
        """Ratios of time against ratios of widths; see `plots.ratios`."""
        return plots.ratios(self.dataset, ax)

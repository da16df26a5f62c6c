"""The result of compare.exit_scaling."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import NOTHING, TextTable, number, rounded, some
from . import plots
from .plots import EXPONENTIAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POWER = "power"
AXES = {
    ("process", "rung"): "value barrier radius scaled_barrier mean_steps error slope control_slope",
    ("process",): "predicted_family family predicted guess exponent exponent_error residual control_residual "
    "verdict notes",
}
ROW = ("process", "value", "barrier", "radius", "scaled_barrier", "mean_steps", "error", "slope", "control_slope")
SUMMARY = ("predicted_family", "family", "predicted", "guess", "exponent", "exponent_error", "residual",
           "control_residual", "verdict")  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class ExitScaling(Result):
    """Times to leave a basin along ladders: what `compare.exit_scaling` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (process, rung): value, barrier, radius, scaled_barrier (2 barrier / (step size x variance at minimum)),
        mean_steps with its numerical error, slope of log time from the rung before (by the predicted family) and
        control_slope (by the other). Over process: predicted_family and family ("exponential" in the barrier,
        "power" of the radius or "undecided", by the residuals), predicted (guess: not by a theorem, as where an index
        is that of the recurrence linearised at the minimum of a well that is not harmonic) and exponent with
        exponent_error (what its changes from rung to rung leave), residual and control_residual of log time, verdict
        ("agrees", "differs", "undecided").
    """

    kind: ClassVar[str] = "exit scaling"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        return ["Mean time to leave a basin along a ladder", f"{self.dataset.sizes['rung']} rungs at most, exact times"]

    def table(self) -> list[dict[str, Any]]:
        """One dict a rung."""
        found = []
        for name in self.dataset["process"].values.tolist():
            here = self.dataset.sel(process=name)
            for place in range(self.dataset.sizes["rung"]):
                if not math.isnan(float(here["value"][place])):
                    found.append({"process": name} | {key: float(here[key][place]) for key in ROW[1:]})
        return found

    def summary(self) -> list[dict[str, Any]]:
        """One dict a process: the law found, the exponent and its prediction."""
        return [
            {"process": name} | {key: self.dataset[key].sel(process=name).item() for key in SUMMARY}
            for name in self.dataset["process"].values.tolist()
        ]

    def tables(self) -> list[TextTable]:
        """Exponents beside predictions, then the rungs."""
        rows = [
            (
                f"{rounded(row['exponent'], row['exponent_error'])} ±{number(row['exponent_error'], 1)}",
                number(row["predicted"]), number(row["residual"], 2), number(row["control_residual"], 2),
                f"{row['verdict']}: {row['process']}, {row['family']}",
            )
            for row in self.summary()
        ]  # fmt: skip
        heads = ("exponent", "predicted", "residual", "of the control", "verdict")
        first = TextTable(heads, (("Law of the time to leave", tuple(rows)),), "Exponents")
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            groups.setdefault(row["process"], []).append(
                tuple(number(row[key]) for key in ROW[2:6]) + (number(row["slope"]), number(row["control_slope"]))
            )
        shown = {name: [listed[place] for place in some(len(listed))] for name, listed in groups.items()}
        of_rungs = ("barrier", "radius", "scaled barrier", "mean steps", "slope", "of the control")
        return [first, TextTable(of_rungs, tuple((name, tuple(rows)) for name, rows in shown.items()), "Rungs")]

    def notes(self) -> list[str]:
        """The findings, then how to read the tables."""
        told = self.dataset.attrs
        said = []
        for name in self.dataset["process"].values.tolist():
            said += [f"{name}: {text}." for text in json.loads(str(self.dataset["notes"].sel(process=name).item()))]
        return [
            *self.findings(), *said,
            "exponent: slope of log time against 2 barrier / (step size x variance of the noise at the minimum), or "
            "against log radius, from the last rungs, without what else is known to grow (what stands before the "
            "exponential; a correction that falls like the inverse radius squared, of a power below 2 a constant), ± "
            "what a geometric series of its changes from rung to rung has left, twice. residual: root mean square of "
            "log time beside a straight line over all rungs, of the predicted family and of the control (a power of "
            "the barrier where the radius stays); a family "
            f"is the law where the other's is {told['apart']:g} times as "
            f"large. agrees: within that error, or {100 * told['close']:g} %, of the prediction; undecided where the "
            f"error that it is within is over {100 * told.get('loose', 1.0):g} % of the prediction.",
        ]

    def findings(self) -> list[str]:
        """A sentence a process."""
        said = []
        for row in self.summary():
            if row["family"] == "undecided":
                said.append(f"{row['process']}: neither law fits better by enough: lengthen the ladder.")
                continue
            ratio = row["control_residual"] / max(row["residual"], 1e-300)
            ratio = ratio if row["family"] == row["predicted_family"] else 1 / ratio
            predicted = NOTHING if math.isnan(row["predicted"]) else number(row["predicted"])
            how = "guessed" if row["guess"] else "predicted"
            said.append(
                f"{row['process']}: the time to leave is {_article(row['family'])}, and the other law misses it by "
                f"{number(ratio, 2)} times as much; exponent {rounded(row['exponent'], row['exponent_error'])} beside "
                f"{predicted} {how}{'' if row['family'] == row['predicted_family'] else ' for the other law'}: "
                f"{row['verdict']}" + (" within so wide an error: lengthen the ladder."
                                       if row["verdict"] == "undecided" and predicted != NOTHING else ".")
            )
        return said

    def plot(self, ax: Axes | None = None) -> Figure:
        """Times against scaled barrier and against radius; see `plots.ladders`."""
        return plots.ladders(self.dataset, ax)


def _article(family: str) -> str:
    return "a power of the radius" if family == POWER else f"{EXPONENTIAL} in the barrier"

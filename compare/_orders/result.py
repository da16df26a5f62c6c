"""The result of compare.orders."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sgdlimits.exact.errors import one_of

from ..results import Result
from ..text_table import NOTHING, TextTable, number
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

QUANTITIES = ("risk", "mean", "covariance")
NO_FIT = "the error changes sign along the ladder, or is rounding, or too few rungs are stable"
SUMMARY = ("slope", "slope_error", "claimed", "constant", "constant_error", "constant_predicted")


@dataclass(frozen=True, eq=False, repr=False)
class Orders(Result):
    """Observed weak orders over a ladder of step sizes: what `compare.orders` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates process, step_size (with the small parameter beside it, `parameter`), quantity. Variables
        error and standard_error (process, quantity, step_size), the latter zero where errors are exact, and slope,
        slope_error, claimed, constant (process, quantity); constant_predicted where theory gives it, and
        constant_error where it is sampled.
    """

    kind: ClassVar[str] = "orders"
    columns: ClassVar[tuple[str, ...]] = (
        "process", "quantity", *SUMMARY, "smallest_step_size", "largest_step_size",
    )  # fmt: skip

    def heading(self) -> list[str]:
        return [str(self.dataset.attrs.get("title", "observed weak orders"))]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each process and quantity."""
        ladder = self.dataset["step_size"].values
        ends = {"smallest_step_size": float(ladder.min()), "largest_step_size": float(ladder.max())}
        return [
            {"process": process, "quantity": quantity}
            | {name: self._summary(name, process, quantity) for name in SUMMARY}
            | ends
            for process in self.dataset["process"].values.tolist()
            for quantity in self.dataset["quantity"].values.tolist()
        ]

    def _summary(self, name: str, process: str, quantity: str) -> float:
        if name not in self.dataset:  # a constant that is not sampled has no standard error, one may not be known
            return math.nan
        return float(self.dataset[name].sel(process=process, quantity=quantity))

    def tables(self) -> list[TextTable]:
        """Observed order and leading constant against the claimed ones, grouped by process."""
        columns = ("observed order", "claimed", "constant", "predicted", "ratio", "error of")
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            groups.setdefault(row["process"], []).append(_cells(row))
        return [TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()))]

    def notes(self) -> list[str]:
        ladder, parameter = self.dataset["step_size"].values, self.dataset.attrs.get("parameter", "step_size")
        name, paths = parameter.replace("step_size", "step size"), int(self.dataset.attrs.get("paths", 0))
        held = self.dataset.attrs.get("ladder", "")
        kind = f"means over {paths} paths of each side" if paths else "exact (moment equations)"
        fit = (
            f"observed order: exponent ± its standard error of the power of {name} that fits the errors, each weighted "
            f"by its standard error. constant: that of {name}^claimed, beside the next power"
            if paths
            else f"observed order: slope of log error against log {name} ± its standard error. constant: limit of "
            f"error/{name}^order"
        )
        reading = (
            f"Errors against the reference are {kind} at {ladder.size} step sizes from "
            f"{number(ladder.min(), 3)} to {number(ladder.max(), 3)}, at one fixed time. {fit}"
            ", beside the one that theory predicts. A slope alone proves little: gradient flow has order 1 too. "
            f"–: {'errors are within their standard errors, so take more paths' if paths else NO_FIT}."
        )
        if any(math.isnan(row["claimed"]) for row in self.table()):
            reading += (
                " Where no order is claimed (v starts at zero: pass second_moment= for a start at which one is) the "
                "constant is of the first power."
            )
        if parameter != "step_size":
            reading += f" The ladder: {held.replace('step_size', 'step size')}."
        faster = [
            f"{row['process']}, {row['quantity']}"
            for row in self.table()
            if _vanishes(row) and not math.isnan(row["slope"])
        ]
        if faster:
            reading += (
                f" Where theory's constant of the claimed order is 0 ({'; '.join(faster)}), that term vanishes at this "
                "start and time, and the observed order is that of the next term, one or more higher."
            )
        return [reading, *json.loads(self.dataset.attrs.get("unstable", "[]"))]

    def plot(self, ax: Axes | None = None, quantity: str | None = None) -> Figure:
        """Error against step size, both logarithmic, with the slopes as labels."""
        names = self.dataset["quantity"].values.tolist()
        chosen = names[0] if quantity is None else one_of("quantity", quantity, names)
        return plots.orders(self.dataset, chosen, ax)


def _vanishes(row: dict[str, Any]) -> bool:
    """Whether theory's constant is zero, to rounding."""
    return bool(abs(row["constant_predicted"]) <= 1e-9 * abs(row["constant"]) or row["constant_predicted"] == 0)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    predicted = 0.0 if _vanishes(row) else row["constant_predicted"]
    ratio = row["constant"] / predicted if predicted else math.nan
    slope = NOTHING if math.isnan(row["slope"]) else f"{row['slope']:.3f} ±{number(row['slope_error'], 1)}"
    claimed = NOTHING if math.isnan(row["claimed"]) else f"{row['claimed']:g}"
    spread = row.get("constant_error", math.nan)
    constant = number(row["constant"]) + ("" if math.isnan(spread) else f" ±{number(spread, 1)}")
    return slope, claimed, constant, number(predicted), number(ratio), row["quantity"]

"""The result of compare.bounds."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ..results import Result
from ..text_table import NOTHING, TextTable, number

QUANTITIES = ("risk", "risk over excess", "quadratic observables")
SCALED = QUANTITIES[:2]
NEVER = -1  # stands for the stationary end among steps


@dataclass(frozen=True, eq=False, repr=False)
class Bounds(Result):
    """How wrong limits are at worst, over all steps and over a range of step sizes: what `compare.bounds` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates process, quantity, scaled, side. Variables size, signed, step (process, quantity): the
        supremum over all steps, the difference (limit minus SGD) with its sign where it is reached, and the
        step, -1 for the stationary end; constant, power, at_step_size, leading, looked_at (process, scaled): C
        of |error| <= C step_size^power, where it is reached, its limit at step size 0, and how many step sizes
        were looked at; rates (process, side): decay of the excess a step where it tends to nothing, else nan.
    """

    kind: ClassVar[str] = "bounds"
    columns: ClassVar[tuple[str, ...]] = (
        "process", "quantity", "size", "signed", "step", "power", "constant", "at_step_size", "leading",
        "decay_rate_reference", "decay_rate_limit",
    )  # fmt: skip

    def heading(self) -> list[str]:
        return [str(self.dataset.attrs["title"])]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each process and quantity."""
        rows = []
        for process in self.dataset["process"].values.tolist():
            of_process = self.dataset.sel(process=process)
            for quantity in QUANTITIES:
                here = of_process.sel(quantity=quantity)
                row = {"process": process, "quantity": quantity}
                row |= {name: here[name].item() for name in ("size", "signed", "step")}
                scaled = quantity in SCALED
                row |= {
                    name: of_process[name].sel(scaled=quantity).item() if scaled else math.nan
                    for name in ("power", "constant", "at_step_size", "leading")
                }
                own, other = (float(of_process["rates"].sel(side=side)) for side in ("reference", "limit"))
                row |= {"decay_rate_reference": own, "decay_rate_limit": other}
                rows.append(row)
        return rows

    def tables(self) -> list[TextTable]:
        """One row a process and quantity: the supremum over all steps, and the constant over the step sizes."""
        heads = ("at worst", "at step", "C", "p", "C reached at", "C at 0", "of")
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            groups.setdefault(row["process"], []).append(_cells(row))
        return [TextTable(heads, tuple((title, tuple(cells)) for title, cells in groups.items()))]

    def notes(self) -> list[str]:
        told = self.dataset.attrs
        metric = "positions" if told["metric"] == "euclidean" else "H^(1/2) times positions"
        low = f"{told['low']:g}"
        reading = (
            "Exact: at worst is the supremum over every step of |limit - SGD|, the stationary end included (end: only "
            "it comes up to the supremum); risk over excess is divided by SGD's own L - min L at the same step. "
            "quadratic observables: the supremum over all x^T Q x / 2 + v.x with |Q|, |v| at most 1, of "
            f"{metric} about the {told['origin']}. C, p: |error| <= C step_size^p at all steps and all step sizes from "
            f"{low} to {told['high']:g}, p the whole power with which it falls at small ones, C to three digits (by "
            "interval halving with slopes, not proved); C at 0: the leading constant."
        )
        return [reading, *self._void(), *json.loads(told["notes"])]

    def _void(self) -> list[str]:
        """What stands for a relative error where the excess tends to nothing."""
        found = []
        for process in self.dataset["process"].values.tolist():
            own, other = self.dataset["rates"].sel(process=process).values.tolist()
            if math.isfinite(own) and math.isfinite(other):
                found.append(
                    f"{process}: SGD's excess tends to 0, so no error stays small beside it. Late in the run it "
                    f"decays by {number(own)} a step, that of the limit by {number(other)}: {number(other / own, 4)} "
                    "times as fast."
                )
        return found


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    step = NOTHING if math.isnan(row["size"]) or math.isinf(row["size"]) else str(row["step"])
    return (
        number(row["size"]), "end" if step == str(NEVER) else step, number(row["constant"]),
        NOTHING if math.isnan(row["constant"]) else f"{row['power']:g}", number(row["at_step_size"]),
        number(row["leading"]), row["quantity"],
    )  # fmt: skip

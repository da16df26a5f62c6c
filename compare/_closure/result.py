"""The result of compare.closure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from ..results import Result
from ..text_table import TextTable, number, with_error

AXES: dict[tuple[str, ...], str] = {("check",): "statement predicted found error verdict"}
ROW = ("statement", "predicted", "found", "error", "verdict")


@dataclass(frozen=True, eq=False, repr=False)
class ClosureCheck(Result):
    """A closure beside paths: what `compare.closure` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over checks: statement, predicted, found, error (a standard error; 0 of exact numbers, nan where tails leave
        none) and verdict.
    """

    kind: ClassVar[str] = "closure"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        return [
            f"{told['closure']}, beside {told['paths']} paths of the rule itself",
            f"step size {told['step_size']:g}, batch size {told['batch_size']}; {told['problem']}",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict a check."""
        columns = [self.dataset[name].values.tolist() for name in ROW]
        return [dict(zip(ROW, values)) for values in zip(*columns)]

    def tables(self) -> list[TextTable]:
        rows = []
        for row in self.table():
            value, error = row["found"], row["error"]
            if math.isnan(error):
                shown = f"{number(value)}, no error"
            elif error:
                shown = with_error(value, error, False)
            else:
                shown = number(value, 10) if math.isfinite(value) else "infinite"
            rows.append((number(row["predicted"], 6), shown, f"{row['verdict']}: {row['statement']}"))
        return [TextTable(("predicted", "found", "verdict"), (("What is said of it", tuple(rows)),))]

    def notes(self) -> list[str]:
        told = self.dataset.attrs
        return [
            f"agrees: the interval ({100 * told['confidence']:g} %, ± is a standard error) lies within "
            f"{100 * told['tolerance']:g} % of the prediction; differs: outside; undecided: neither, or the fourth "
            f"moment is infinite, so that no error bar holds. Numbers without ± are exact. Paths start from the "
            f"closure's law, take {told['steps']} steps, and are looked at 16 times after.",
        ]

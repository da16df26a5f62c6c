"""The result of compare.rank_correlation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import NOTHING, TextTable, number
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HOLDS, FAILS, UNDECIDED = "holds", "fails", "undecided"
AXES: dict[tuple[str, ...], str] = {
    ("row",): "estimator method given cells value lower upper cells_lower cells_upper runs_lower runs_upper",
}
ROW = (
    "estimator", "method", "given", "cells", "value", "lower", "upper", "cells_lower", "cells_upper", "runs_lower",
    "runs_upper", "verdict",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class RankCorrelation(Result):
    """Rank correlation of tail index and test error over cells: what `compare.rank_correlation` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over row: estimator, method ("spearman", "kendall"), given (what is held equal; empty: nothing), cells (how many
        have numbers), value with lower and upper, the hull of cells_lower, cells_upper (over cells) and runs_lower,
        runs_upper (over runs; nan without resamples). Over (of, cell): shape (1 / index) and error_of_cell, with
        the ends shape_lower, shape_upper, error_lower, error_upper of intervals over runs (nan without resamples).
    """

    kind: ClassVar[str] = "rank correlation"
    columns: ClassVar[tuple[str, ...]] = ROW

    @property
    def verdicts(self) -> dict[tuple[str, str, str], str]:
        """(estimator, method, given) to whether heavier tails generalise better: holds, fails or undecided."""
        return {(row["estimator"], row["method"], row["given"]): row["verdict"] for row in self.table()}

    @property
    def verdict(self) -> str:
        """Of all rows together: holds or fails where every one does, else undecided."""
        found = set(self.verdicts.values())
        return found.pop() if len(found) == 1 else UNDECIDED

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        return [
            f"Heavier tails generalise better: {self.verdict} over {told['cells']} cells of {told['over']}",
            f"rank correlation of the tail index with {told['error'].replace('_', ' ')}; positive: heavier, a smaller "
            "index, goes with a smaller error.",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each estimator, method and what is held equal."""
        found = []
        columns = {name: self.dataset[name].values.tolist() for name in ROW if name != "verdict"}
        for place in range(self.dataset.sizes["row"]):
            row = {name: column[place] for name, column in columns.items()}
            row["verdict"] = HOLDS if row["lower"] > 0 else FAILS if row["upper"] < 0 else UNDECIDED
            found.append(row)
        return found

    def tables(self) -> list[TextTable]:
        """A group an estimator."""
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            held = f", at equal {row['given'].replace('_', ' ')}" if row["given"] else ""
            groups.setdefault(f"index by {row['estimator'].replace('_', ' ')}", []).append(
                (
                    number(row["value"], 2), _interval(row["lower"], row["upper"]),
                    _interval(row["cells_lower"], row["cells_upper"]), _interval(row["runs_lower"], row["runs_upper"]),
                    str(row["cells"]), f"{row['method']}{held}", row["verdict"],
                )
            )  # fmt: skip
        level = f"{100 * self.dataset.attrs['confidence']:g} %"
        heads = ("correlation", f"{level} interval", "over cells", "over runs", "cells", "kind", "verdict")
        return [TextTable(heads, tuple((title, tuple(rows)) for title, rows in groups.items()), "Correlations")]

    def notes(self) -> list[str]:
        """What the verdicts mean, and cells that are missing."""
        told, said = self.dataset.attrs, []
        if told["fewest"] < told["cells"]:
            said.append(
                f"{told['cells'] - told['fewest']} of {told['cells']} cells have no index or no error and are left "
                "out, as where runs left the range of numbers or the sample refused the estimator."
            )
        return [
            *said,
            "holds: the whole interval lies above 0; fails: below, heavier tails go with larger errors; undecided: "
            "it straddles 0, or the index is the same everywhere. The interval is the hull of that over cells, were "
            "others drawn like them, and of that over runs, were the same cells run again. An association over a "
            "grid is no cause: at equal ranks of another quantity is what that quantity does not explain.",
        ]

    def plot(self, ax: Axes | None = None, estimator: str | None = None) -> Figure:
        """Error against 1 / index, a point a cell; see `plots.cells`."""
        return plots.cells(self.dataset, estimator, ax)


def _interval(lower: float, upper: float) -> str:
    if math.isnan(lower):
        return NOTHING
    return f"[{number(lower, 2)}, {number(upper, 2)}]"

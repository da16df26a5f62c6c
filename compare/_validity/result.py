"""The result of compare.validity."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number
from .crossings import ACCURATE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_COMPONENT = "none"
SHOWN = 12  # cells of a printed table
SEEN = 1e-4  # relative width of an interval that is printed


@dataclass(frozen=True, eq=False, repr=False)
class Validity(Result):
    """Up to which step size each limit serves: what `compare.validity` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (process, cell): `boundary`, the end of the step sizes from 0 up at which the error is within the
        allowance (0 if there are none), from `low` to `high` (95 % where it is sampled), `status` (""; "at least", "at
        most": the scan ends before; "none": no small one serves, down to `searched`, where the error no longer falls),
        the `step` at which the allowance is used up, the
        `steps` of the horizon there, the error with its `signed` value, the `term` of the error budget that is the
        largest there, `others`, further components. Over (process, cell, scanned): `error`. Over (cell):
        `mean_square_threshold`, `lyapunov_threshold`, and the settings of the cell as coordinates.
    """

    kind: ClassVar[str] = "validity"
    columns: ClassVar[tuple[str, ...]] = (
        "process", "cell", "boundary", "low", "high", "status", "of_threshold", "step", "steps", "term", "others",
    )  # fmt: skip

    @property
    def names(self) -> list[str]:
        """What was varied beside the step size."""
        return list(json.loads(self.dataset.attrs["names"]))

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        until = f"{told['horizon']:g} {told['unit']}"
        if told["unit"] == "gradient-flow time":
            until = f"{told['unit']} {told['horizon']:g}"
        return [
            f"Within {100 * told['within']:g} % of SGD's {_SCALE[told['scale']]}, at every step up to "
            f"{until}: up to which {told['along'].replace('_', ' ')}?"
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict a cell and limit."""
        data, rows = self.dataset, []
        for place in range(data.sizes["cell"]):
            here = data.isel(cell=place)
            for process in data["process"].values.tolist():
                one = here.sel(process=process)
                row: dict[str, Any] = {"process": process, "cell": self._cell(place)}
                row |= {name: one[name].item() for name in _NUMBERS}
                row |= {"term": str(one["term"].item()), "others": str(one["others"].item())}
                row["of_threshold"] = row["boundary"] / float(here["mean_square_threshold"])
                rows.append(row)
        return rows

    def _accuracy(self) -> str:
        """Half of the widest interval of an end, relative; of many modes that of bounds."""
        data = self.dataset
        with np.errstate(invalid="ignore", divide="ignore"):
            wide = ((data["high"] - data["low"]) / (2 * data["boundary"])).values
        return number(float(np.max(wide, where=np.isfinite(wide), initial=ACCURATE)), 1)

    def _cell(self, place: int) -> str:
        settings = [(name, self.dataset[name].values[place]) for name in self.names]
        return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings) or "all"

    def tables(self) -> list[TextTable]:
        """A group a cell, a row a limit."""
        heads = ("up to", "of threshold", "at step", "of", "breaks first", "limit")
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            groups.setdefault(row["cell"], []).append(_cells(row))
        titles = list(groups)
        some = (
            titles if len(titles) <= SHOWN else [titles[i] for i in np.linspace(0, len(titles) - 1, SHOWN).astype(int)]
        )
        return [TextTable(heads, tuple((title, tuple(groups[title])) for title in some))]

    def notes(self) -> list[str]:
        told = self.dataset.attrs
        sampled = int(told["paths"]) > 0
        found = [
            f"From {told['paths']} paths: an end has a 95 % interval, between bounds of the largest error over "
            "steps; the error is taken to grow with the step size below it."
            if sampled
            else f"Exact: nothing is sampled; an end is found to {self._accuracy()} of itself. The end is that of the "
            "step sizes that begin at 0. of threshold: of the exact mean-square threshold of SGD. at step: where the "
            "allowance is used up there, of so many steps of the horizon. breaks first: the largest term of the "
            "error budget there (step size: noise and drift of a finite step; closure: what the limit has in place of "
            "the true covariance)."
        ]
        none = [row for row in self.table() if row["status"] == NO_COMPONENT]
        for process in dict.fromkeys(row["process"] for row in none):
            rows = [row for row in none if row["process"] == process]
            terms = sorted({row["term"] for row in rows} - {""})
            least = max(row["searched"] for row in rows)
            found.append(
                f"{process}: within the allowance at no small step size in {len(rows)} of "
                f"{self.dataset.sizes['cell']} cells, down to {number(least, 2)}, where the error no longer falls; "
                "what stays is "
                + (" or ".join(terms) or "of a process that has no error budget, so no term is named") + "."
            )
        below = [row for row in self.table() if row["status"] == "at most"]
        if below and not sampled:
            found.append(
                "<: at the least step size whose steps can be counted, or that was looked at, the error still is "
                f"above the allowance and falls ({len(below)} rows)."
            )
        more = [row for row in self.table() if row["others"] != "[]"]
        for row in more[:3]:
            spans = ", ".join(f"{low:.4g} to {high:.4g}" for low, high in json.loads(row["others"]))
            found.append(f"{row['process']}, {row['cell']}: within again at {told['along'].replace('_', ' ')} {spans}.")
        if len(more) > 3:
            found.append(f"Further components in {len(more) - 3} more rows; see `others`.")
        return found

    def regions(self, order: Sequence[str] | None = None) -> np.ndarray:
        """The first limit in the order that serves, by index, over (cell, scanned); their number where none does.

        Parameters
        ----------
        order : sequence of str, optional
            Coarsest first; default gradient flow, Ornstein-Uhlenbeck, homogenized SGD, then the others.
        """
        names = self.order() if order is None else list(order)
        inside = np.stack([self.dataset["error"].sel(process=name).values for name in names])
        inside = inside <= self.dataset.attrs["within"]
        return np.where(inside.any(axis=0), inside.argmax(axis=0), len(names))

    def order(self) -> list[str]:
        """The limits, coarsest first."""
        known = self.dataset["process"].values.tolist()
        usual = [name for name in USUAL if name in known]
        return usual + [name for name in known if name not in usual]

    def plot(self, ax: Axes | None = None, order: Sequence[str] | None = None) -> Figure:
        """The phase diagram: which limit is enough where."""
        from .plots import regions

        return regions(self, ax, order)

    def plot_errors(self, ax: Axes | None = None, cell: int = 0) -> Figure:
        """Error against the step size in one cell, a line a limit."""
        from .plots import errors

        return errors(self, ax, cell)


USUAL = ("gradient flow", "Ornstein-Uhlenbeck", "homogenized SGD", "modified equation, order 1",
         "modified equation, order 2")  # fmt: skip
_NUMBERS = ("boundary", "low", "high", "status", "searched", "step", "steps")
_SCALE = {"excess": "excess risk at the same step", "noise": "risk, its largest part that noise makes",
          "risk": "risk at the same step"}  # fmt: skip


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    if row["status"] == NO_COMPONENT:
        return ("none", NOTHING, NOTHING, NOTHING, row["term"] or NOTHING, row["process"])
    more = {"at least": ">", "at most": "<"}.get(row["status"], "")
    return (
        more + _interval(row), number(row["of_threshold"]), NOTHING if row["step"] < 0 else str(row["step"]),
        str(row["steps"]), row["term"] or NOTHING, row["process"],
    )  # fmt: skip


def _interval(row: dict[str, Any]) -> str:
    """The end, with what is uncertain of it where that can be seen."""
    wide = row["status"] == "" and np.isfinite(row["high"]) and row["high"] - row["low"] > SEEN * row["boundary"]
    if not wide:
        return number(row["boundary"])
    digits = 3  # more, as many as tell both ends apart
    while number(row["low"], digits) == number(row["high"], digits):
        digits += 1
    return f"{number(row['boundary'])} ({number(row['low'], digits)} to {number(row['high'], digits)})"

"""The result of compare.tails."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, rounded
from . import plots
from .rows import BOUNDS, EXACT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = (
    "process", "kind", "method", "index", "lower", "upper", "k", "verdict", "beside_reference", "lyapunov_exponent",
    "notes",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Tails(Result):
    """Tail indices side by side: what `compare.tails` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over row: kind ("exact", "bounds", "estimate"), method, index with lower and upper (numerical errors, bounds,
        or an interval at attrs["confidence"]), k, verdict, notes (JSON), of (place of the process). Over process:
        lyapunov_exponent (per step), settles, beside_reference ("same", "other", "undecided", or "neither" has a
        stationary law). sample (process, path): the ends of paths along the direction, each process's less its own
        centre: its `centre` where it has one, else the minimiser of its problem, else the origin, which is then said.
    """

    kind: ClassVar[str] = "tails"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        attrs = self.dataset.attrs
        parts: list[str] = json.loads(attrs.get("settings", "[]"))
        if np.isfinite(self.dataset["sample"]).any():
            parts.append(f"{attrs['paths']} ends of independent paths of {attrs['steps']} steps, seed {attrs['seed']}")
        return [str(attrs["title"]), "; ".join(parts)]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each way of knowing each index."""
        dataset, names = self.dataset, self.dataset["process"].values.tolist()
        found = []
        for place in range(dataset.sizes["row"]):
            row, of = dataset.isel(row=place), int(dataset["of"][place])
            found.append(
                {
                    "process": names[of], "kind": str(row["kind"].item()), "method": str(row["method"].item()),
                    "index": float(row["index"]), "lower": float(row["lower"]), "upper": float(row["upper"]),
                    "k": int(row["k"]), "verdict": str(row["verdict"].item()),
                    "beside_reference": str(dataset["beside_reference"][of].item()),
                    "lyapunov_exponent": float(dataset["lyapunov_exponent"][of]),
                    "notes": "; ".join(json.loads(str(row["notes"].item()))),
                }
            )  # fmt: skip
        return found

    def tables(self) -> list[TextTable]:
        """A group a process: the exact index, bounds, estimates."""
        numbers = {text: place for place, text in enumerate(self._said(), start=1)}
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row, texts in zip(self.table(), self._texts()):
            beware = [str(numbers[text]) for text in texts]
            groups.setdefault(self._title(row), []).append(
                (
                    _value(row), _interval(row), str(row["k"]) if row["k"] else "",
                    f"({','.join(beware)})" if beware else "", f"{row['kind']}: {_short(row['method'])}",
                    row["verdict"],
                )
            )  # fmt: skip
        level = f"{100 * self.dataset.attrs['confidence']:g} % interval or bounds"
        columns = ("index", level, "k", "notes", "how", "verdict")
        return [TextTable(columns, tuple((title, tuple(rows)) for title, rows in groups.items()), "Tail indices")]

    def notes(self) -> list[str]:
        """The finding, what the numbers in the table mean, and how to read it."""
        return [
            *self.findings(),
            *(f"({place}) {text}." for place, text in enumerate(self._said(), start=1)),
            "index: E |x|^p under the stationary law is finite for p below it and infinite above. The interval of an "
            "exact index is its numerical error (of populations, 95 %). covers, misses: whether an estimate's interval "
            "meets the exact index; holds, violated: whether bounds do. Diffusions of least squares are sampled by the "
            "scheme of Ninomiya and Victoir, at most a tenth of the fastest relaxation an increment.",
        ]

    def findings(self) -> list[str]:
        """Whether the other indices are the reference's, a sentence a process."""
        exact = {row["process"]: row for row in self.table() if row["kind"] == EXACT}
        reference, *others = self.dataset["process"].values.tolist()
        first = exact[reference]
        settles = dict(zip(self.dataset["process"].values.tolist(), self.dataset["settles"].values.tolist()))
        said: list[str] = []
        for name in others:
            said += _beside(first, exact[name], settles)
        return said

    def index(self, process: str | None = None) -> float:
        """The exact index of a process, the reference's by default; nan where none is known."""
        name = self.dataset["process"].values.tolist()[0] if process is None else process
        return next(row["index"] for row in self.table() if row["process"] == name and row["kind"] == EXACT)

    def plot(self, ax: Axes | None = None) -> Figure:
        """Every index with its interval, a line each; see `plots.intervals`."""
        return plots.intervals(self, ax)

    def plot_survival(self, ax: Axes | None = None) -> Figure:
        """P(|x| > t) of the sampled ends with the exact power beside it; see `plots.survival`."""
        return plots.survival(self, ax)

    def _title(self, row: dict[str, Any]) -> str:
        exponent = row["lyapunov_exponent"]
        known = "" if math.isnan(exponent) else f"; Lyapunov exponent {number(exponent)} a step"
        return f"{row['process']}{known}"

    def _texts(self) -> list[list[str]]:
        """The notes of each row."""
        return [[text for text in json.loads(str(notes)) if text] for notes in self.dataset["notes"].values]

    def _said(self) -> list[str]:
        return list(dict.fromkeys(text for texts in self._texts() for text in texts))


def _beside(first: dict[str, Any], other: dict[str, Any], settles: dict[str, bool]) -> list[str]:
    """What the index of a process is beside the reference's, in at most one sentence."""
    verdict, pair = other["beside_reference"], (other, first)
    if not verdict:
        return []
    if verdict == "neither":
        return [f"Neither {other['process']} nor {first['process']} has a stationary law."]
    sides = " and ".join(
        f"{row['process']} has "
        + (
            "no stationary law" if not settles[row["process"]]
            else "an infinite tail index" if math.isinf(row["index"]) else f"the tail index {_value(row)}"
        )
        for row in pair
    )  # fmt: skip
    if verdict != "other":
        return [f"{sides}: {verdict}."]
    low, high = sorted(pair, key=lambda row: row["index"] if settles[row["process"]] else 0.0)
    if not settles[low["process"]]:
        return [f"{sides}: not the same."]
    between = f"above {_value(low)}" if math.isinf(high["index"]) else "between the two"
    return [
        f"{sides}: not the same. For p {between}, E |x|^p is infinite for {low['process']} and finite for "
        f"{high['process']}."
    ]


def _value(row: dict[str, Any]) -> str:
    value, half = row["index"], (row["upper"] - row["lower"]) / 2
    if math.isinf(value):
        return "infinite"
    if row["kind"] == EXACT and half < 1e-3 * value:
        return number(value, 7 if half < 1e-6 * value else 5)
    return rounded(value, half)


def _short(method: str) -> str:
    return method.split(":")[0].split(", maximum")[0].removesuffix(", by collocation")


def _interval(row: dict[str, Any]) -> str:
    lower, upper = row["lower"], row["upper"]
    if math.isnan(lower) or math.isinf(lower):
        return NOTHING
    if row["kind"] == BOUNDS:
        return f"[{number(lower)}, {number(upper)}]"
    half = (upper - lower) / 2
    if row["kind"] == EXACT and half < 1e-3 * upper:
        return f"± {number(half, 1)}"
    return f"[{rounded(lower, half)}, {'infinite' if math.isinf(upper) else rounded(upper, half)}]"

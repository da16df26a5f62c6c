"""The result of compare.finite_time_exponents."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import TextTable, number, percent, rounded
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART, TOGETHER, UNDECIDED = "apart", "together", "undecided"
AXES = {("run", "place", "step"): "exponent", ("place", "step"): "mean lower upper spread positive"}
ROW = ("step", "place", "mean", "lower", "upper", "spread", "positive", "verdict", "exact", "beside_exact")


@dataclass(frozen=True, eq=False, repr=False)
class FiniteTimeExponents(Result):
    """Lyapunov exponents over finite times: what `compare.finite_time_exponents` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (run, place, step), `place` 1 for the largest: exponent, a step, from the burn-in to there. Over (place,
        step): mean over runs with its interval, spread (standard deviation over runs), positive (share of runs above
        0). attrs["exact"]: the exact largest exponent, nan where none is known.
    """

    kind: ClassVar[str] = "finite-time exponents"
    columns: ClassVar[tuple[str, ...]] = ROW

    @property
    def verdict(self) -> str:
        """Whether neighbouring paths run apart or together at the last time: by the largest exponent's interval."""
        return str(self.table()[-self.dataset.sizes["place"]]["verdict"])

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        starts = "one start for all runs" if told["one_start"] else "a start of each run"
        counted = f" after {told['burn_in']} that are not counted" if told["burn_in"] else ""
        return [
            f"Finite-time Lyapunov exponents of {told['process']}, a step: {told['runs']} runs ({starts}), "
            f"{told['steps'] - told['burn_in']} steps{counted}",
            f"{told['problem']}; step size {told['step_size']}, batch size {told['batch_size']}; seed {told['seed']}.",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each recorded step and exponent."""
        found, exact = [], float(self.dataset.attrs["exact"])
        for step in self.dataset["step"].values.tolist():
            for place in self.dataset["place"].values.tolist():
                at = self.dataset.sel(step=step, place=place)
                lower, upper = float(at["lower"]), float(at["upper"])
                known = exact if place == 1 else math.nan
                beside = "" if math.isnan(known) else "covers" if lower <= known <= upper else "misses"
                found.append(
                    {
                        "step": step, "place": place, "mean": float(at["mean"]), "lower": lower, "upper": upper,
                        "spread": float(at["spread"]), "positive": float(at["positive"]),
                        "verdict": APART if lower > 0 else TOGETHER if upper < 0 else UNDECIDED,
                        "exact": known, "beside_exact": beside,
                    }
                )  # fmt: skip
        return found

    def tables(self) -> list[TextTable]:
        """A group an exponent."""
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            half = (row["upper"] - row["lower"]) / 2
            beside = f"; {row['beside_exact']} the exact one" if row["beside_exact"] else ""
            cells = (
                str(row["step"]), rounded(row["mean"], half),
                f"[{rounded(row['lower'], half)}, {rounded(row['upper'], half)}]", number(row["spread"], 2),
                f"{percent(row['positive'])} %", row["verdict"] + beside,
            )  # fmt: skip
            groups.setdefault(f"exponent {row['place']}", []).append(cells)
        level = f"{100 * self.dataset.attrs['confidence']:g} % interval"
        heads = ("step", "mean", level, "sd over runs", "above 0", "verdict")
        return [TextTable(heads, tuple((title, tuple(rows)) for title, rows in groups.items()), "Exponents")]

    def notes(self) -> list[str]:
        """How to read the verdicts."""
        told = self.dataset.attrs
        of = "positions" if told["state"] == told["dimension"] else "states (position and what the rule keeps)"
        said = [
            f"together: neighbouring {of} under the same batches approach each other in the mean; apart: they "
            "separate; undecided: the interval of the mean over runs straddles 0. Over a finite time the first "
            "directions matter by something like 1 / steps; a burn-in leaves them out.",
        ]
        if not math.isnan(told["exact"]):
            said.append(f"The exact largest exponent is {number(told['exact'], 6)} a step.")
        return said

    def plot(self, ax: Axes | None = None) -> Figure:
        """Exponents of all runs, and their means, against the time; see `plots.along`."""
        return plots.along(self.dataset, ax)

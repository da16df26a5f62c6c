"""The result of compare.golden_path."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, some
from . import plots, wording
from .criteria import NAMES
from .functions import PAIRS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    ("arm", "seed", "after"): "loss",
    ("seed", "after"): "gap noiseless_gap",
    ("arm", "seed", "before"): "early_loss",
    ("before",): "early_time",
    ("after",): "time high_time phi phi_lower phi_upper psi psi_lower psi_upper exact_gap",
    ("pair", "seed"): "distance",
    ("arm",): "compared_loss compared_at",
    ("criterion",): "name verdict against value lower upper at needed why beware",
    ("side", "probe"): "scaled_sharpness scaled_sharpness_error",
    ("side",): "edge edge_absent",
}
ROW = ("name", "claim", "against", "value", "lower", "upper", "margin", "at", "needed", "verdict", "why", "beware")
QUANTITY = {"F1": "phi at the end", "F2": "gap / larger loss", "F3": "ratio of distances", "F4": "gap / larger loss"}


@dataclass(frozen=True, eq=False, repr=False)
class GoldenPath(Result):
    """Arms of a noise drop, their gaps, and what would falsify the golden path: what `compare.golden_path` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (arm, seed, after), `after` in steps of the snapped run since the drop: loss. Over (arm, seed, before), the
        steps before it: early_loss, of low runs at the same part of their way. Over (seed, after): gap
        (snapped less low, less `noiseless_gap`). Over before and after: sums of step sizes early_time and time, and
        high_time of the run that goes on undropped. Over after: phi and psi with 95 % intervals that count the
        denominator's error, and exact_gap where moments close (nan elsewhere). Over (pair, seed): distance of
        functions, seen at compared_at(arm) with mean loss compared_loss(arm). Over criterion: verdict, value, lower,
        upper, at, needed (seeds that would decide), why, beware. Over (side, probe), the high and the low run of
        some seeds at the drop: scaled_sharpness, step size times largest Hessian eigenvalue, with
        scaled_sharpness_error. Over side: edge, from which descent without noise leaves a parabola; nan where
        edge_absent says why. The attribute sharpness is the mean scaled_sharpness of the high run.
    """

    kind: ClassVar[str] = "golden path"
    columns: ClassVar[tuple[str, ...]] = ROW

    @property
    def verdicts(self) -> dict[str, str]:
        """Criterion, with its baseline, to holds, marginal, fails or void."""
        names, found = (self.dataset[key].values.tolist() for key in ("criterion", "verdict"))
        return dict(zip(names, found))

    def heading(self) -> list[str]:
        return wording.heading(self.dataset)

    def table(self) -> list[dict[str, Any]]:
        """One dict for each criterion and baseline."""
        rows = []
        for place in range(self.dataset.sizes["criterion"]):
            here = self.dataset.isel(criterion=place)
            row = {key: here[key].item() for key in ("name", "against", "verdict", "why", "beware")}
            row |= {key: float(here[key]) for key in ("value", "lower", "upper", "at", "needed")}
            rows.append(row | {"claim": NAMES[row["name"]], "margin": self.dataset.attrs["margin"]})
        return rows

    def tables(self) -> list[TextTable]:
        """The criteria; the gaps by steps; functions."""
        return [self._criteria(), self._gaps(), *([self._functions()] if self.dataset.sizes["pair"] else [])]

    def notes(self) -> list[str]:
        """Why, criterion by criterion, and how to read the tables."""
        return wording.notes(self.dataset, self.table())

    def _criteria(self) -> TextTable:
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            low, high = number(row["lower"], 3, sign=True), number(row["upper"], 3, sign=True)
            interval = NOTHING if math.isnan(row["value"]) else f"[{low}, {high}]"
            groups.setdefault(f"{row['name']}: {row['claim']} ({QUANTITY[row['name']]})", []).append((
                number(row["value"], 3, sign=row["name"] != "F3"), interval,
                self._where(row), f"{row['verdict']}" + (f", against {row['against']}" if row["against"] else ""),
            ))  # fmt: skip
        heads = ("value", f"{100 * (1 - 2 * self.dataset.attrs['level']):g} % interval", "steps on", "verdict")
        return TextTable(heads, tuple((title, tuple(rows)) for title, rows in groups.items()))

    def _where(self, row: dict[str, Any]) -> str:
        if row["name"] == "F1":
            return f"last {100 * self.dataset.attrs['window']:g} %"
        return NOTHING if math.isnan(row["at"]) else f"{row['at']:g}"

    def _gaps(self) -> TextTable:
        data, rows = self.dataset, []
        exact = bool(np.isfinite(data["exact_gap"].values).all())
        for place in some(data.sizes["after"]):
            here = data.isel(after=place)
            means = here["loss"].mean("seed")
            rows.append((
                f"{int(here['after'])}", *(number(float(means.sel(arm=name))) for name in plots.CURVES),
                number(float(here["noiseless_gap"].mean()), 2), _interval(here, "phi"), _interval(here, "psi"),
                *([number(float(here["exact_gap"] / data["exact_gap"][0]), 3)] if exact else []),
            ))  # fmt: skip
        heads = ("steps on", *plots.CURVES, "noiseless gap", "phi", "psi", *(["exact phi"] if exact else []))
        return TextTable(heads, (("mean losses after the drop; phi and psi with 95 % intervals", tuple(rows)),), "gaps")

    def _functions(self) -> TextTable:
        data, rows = self.dataset, []
        what = "total variation of class probabilities" if data.attrs["classifier"] else "1 - rho of residuals"
        for pair in data["pair"].values.tolist():
            values = data["distance"].sel(pair=pair).values
            error = values.std(ddof=1) / math.sqrt(values.size)
            losses = (number(float(data["compared_loss"].sel(arm=name))) for name in PAIRS[pair])
            rows.append((f"{number(values.mean(), 3)} ±{number(error, 2)}", *losses, pair))
        title = f"{what} (mean ± standard error over seeds), at looks whose mean loss is nearest to "
        title += number(data.attrs["target"])
        return TextTable(("distance", "loss of one", "of the other", "between"), ((title, tuple(rows)),), "functions")

    def plot(self, ax: Axes | None = None, label: bool = True) -> Figure:
        """Losses with the drop; see `plots.losses`."""
        return plots.losses(self.dataset, ax, label)

    def plot_gap(self, ax: Axes | None = None, log: bool = False) -> Figure:
        """phi against steps, or the gap itself on logarithmic axes; see `plots.gaps` and `plots.log_gaps`."""
        return plots.log_gaps(self.dataset, ax) if log else plots.gaps(self.dataset, ax)

    def plot_functions(self, ax: Axes | None = None) -> Figure:
        """Distances of functions; see `plots.functions`."""
        return plots.functions(self.dataset, ax)


def _interval(here: Any, name: str) -> str:
    value, low, high = (float(here[name + end]) for end in ("", "_lower", "_upper"))
    return NOTHING if math.isnan(value) else f"{number(value, 2, sign=True)} [{number(low, 2)}, {number(high, 2)}]"

"""The result of compare.manifold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, with_error
from . import plots
from .error_expansion import term

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = (
    "observable", "noise_level", "step_size", "step", "estimate", "estimate_error", "limit", "limit_error", "error",
    "error_error", "relative", "ratio",
)  # fmt: skip
_RUNGS = ("step_size", "noise_level", "time")
AXES = {
    _RUNGS: "steps",
    (*_RUNGS, "observable"): "estimate estimate_error limit limit_error error error_error",
    (*_RUNGS, "coordinate"): "mean_point limit_point",
    (*_RUNGS, "kind"): "spread spread_error",
    ("part", "observable"): "coefficient coefficient_error",
    ("observable",): "reduced_chi2 change order order_error verdict",
    ("kind", "variable"): "spread_exponent spread_exponent_error spread_exponent_predicted",
}


@dataclass(frozen=True, eq=False, repr=False)
class Manifold(Result):
    """A recurrence against its limit over a ladder of step sizes and noise levels: what `compare.manifold` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates step_size and noise_level (decreasing), time (the limit's), observable, part, kind, variable,
        coordinate. estimate, limit, error = estimate - limit, each with its standard error (`..._error`), over
        (step_size, noise_level, time, observable); mean_point and limit_point of Phi(w_k) and W; spread(step_size,
        noise_level, time, kind) and its error; steps. At the last time: coefficient(part, observable) of the error's
        parts, verdict, order(observable) in the step size, spread_exponent(kind, variable) beside the predicted one.
    """

    kind: ClassVar[str] = "manifold"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        return [f"{self.dataset.attrs['title']}; {self.dataset.attrs['model']}; start {self.dataset.attrs['w0']}"]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each observable, noise level and step size, at the last time; `ratio`: to the one before."""
        table, last = [], self.dataset.isel(time=-1)
        for observable in last["observable"].values.tolist():
            for j, level in enumerate(last["noise_level"].values):
                before = np.nan
                for i, size in enumerate(last["step_size"].values):
                    here = last.sel(observable=observable).isel(step_size=i, noise_level=j)
                    names = ("estimate", "estimate_error", "limit", "limit_error", "error", "error_error")
                    row = {"observable": observable, "noise_level": float(level), "step_size": float(size)}
                    row |= {"step": int(here["steps"])} | {name: float(here[name]) for name in names}
                    row["relative"] = row["error"] / abs(row["limit"]) if row["limit"] else np.nan
                    row["ratio"] = row["error"] / before if before else np.nan
                    before = row["error"]
                    table.append(row)
        return table

    def tables(self) -> list[TextTable]:
        """The parts of the error with the verdict, then the errors, and the spread."""
        return [self._parts(), self._errors(), self._spreads()]

    def _errors(self) -> TextTable:
        """Both sides and their difference, a group for each observable and noise level."""
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            level = "" if np.isnan(row["noise_level"]) else f", noise level {number(row['noise_level'])}"
            groups.setdefault(row["observable"] + level, []).append(
                (
                    number(row["step_size"]),
                    str(row["step"]),
                    with_error(row["estimate"], row["estimate_error"], False),
                    with_error(row["limit"], row["limit_error"], row["limit_error"] == 0),
                    with_error(row["error"], row["error_error"], False, sign=True),
                    NOTHING if np.isnan(row["relative"]) else f"{100 * row['relative']:+.2f} %",
                    NOTHING if np.isnan(row["ratio"]) else f"{row['ratio']:.2f}",
                )
            )
        columns = ("step size", "step", "E at Phi(w)", "limit", "error", "relative", "ratio")
        said = "Errors at every step size and noise level"
        return TextTable(columns, tuple((title, tuple(cells)) for title, cells in groups.items()), said)

    def _parts(self) -> TextTable:
        """Fitted parts of the error: coefficient, and the part at the largest step size and noise level."""
        dataset, groups = self.dataset, []
        size, level = float(dataset["step_size"][0]), float(np.nan_to_num(dataset["noise_level"].values[0]))
        for observable in dataset["observable"].values.tolist():
            result, cells = dataset.sel(observable=observable), []
            for part in dataset["part"].values.tolist():
                value, error = (float(result[name].sel(part=part)) for name in ("coefficient", "coefficient_error"))
                factor = float(term(part, size, level))
                share = with_error(value * factor, error * factor, False, sign=True)
                verdict = str(result["verdict"].item()) if part == "what remains" else ""
                cells.append((with_error(value, error, False, sign=True), share, part, verdict))
            groups.append((f"parts of the error of {observable}", tuple(cells)))
        return TextTable(("coefficient", "at the largest", "part", "verdict"), tuple(groups))

    def _spreads(self) -> TextTable:
        """Observed and predicted exponents of the spread."""
        cells = []
        for kind in self.dataset["kind"].values.tolist():
            for variable in self.dataset["variable"].values.tolist():
                here = self.dataset.sel(kind=kind, variable=variable)
                value, error = float(here["spread_exponent"]), float(here["spread_exponent_error"])
                if np.isfinite(value):
                    bound = "at least " if kind == "tangential" else ""
                    predicted = bound + f"{float(here['spread_exponent_predicted']):g}"
                    cells.append((f"{value:.3f} ±{number(error, 1)}", predicted, f"{kind}, in the {variable}"))
        groups = (("spread of a path", tuple(cells)),)
        return TextTable(("exponent", "predicted", "spread"), groups, "Spread across and along the set")

    def notes(self) -> list[str]:
        """What was found, and how to read the tables."""
        dataset, attrs = self.dataset, self.dataset.attrs
        sentences = ["The limit: " + attrs["explanation"]]
        sentences += [attrs[name] for name in ("dropped", "regimes") if attrs.get(name)]
        for observable in dataset["observable"].values.tolist():
            here = dataset.sel(observable=observable)
            rest, error = float(here["coefficient"][0]), float(here["coefficient_error"][0])
            change, order = float(here["change"]), float(here["order"])
            tolerance = f"{100 * attrs['tolerance']:g} % of the limit's change {number(change)}"
            text = (
                f"{observable} {here['verdict'].item()}: as step size and noise go to zero "
                f"{with_error(rest, error, False, True)} of the error remains (tolerance: {tolerance})."
            )
            if np.isfinite(order):
                half = number(float(here["order_error"]), 1)
                text += f" Order in the step size over this ladder: {order:.2f} ±{half}."
            sentences.append(text)
        sentences.append(
            "error = E of the observable at Phi(w_k), minus that of the limit at the same step; ±: one standard error; "
            f"ratio to the step size above. {attrs['paths']} paths a row, {100 * attrs['confidence']:g} % intervals "
            "decide the verdict: agrees, the whole interval lies within the tolerance; differs, all of it outside; "
            "undecided, neither."
        )
        return sentences

    def plot(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Error against the step size with its fitted parts; see `plots.errors`."""
        return plots.errors(self.dataset, observable, ax)

    def plot_spread(self, ax: Axes | None = None) -> Figure:
        """Spread across and along the set against the step size; see `plots.spreads`."""
        return plots.spreads(self.dataset, ax)

"""The result of compare.manifold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import TextTable
from . import plots, tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    columns: ClassVar[tuple[str, ...]] = tables.ROW

    def table(self) -> list[dict[str, Any]]:
        """One dict for each observable, noise level and step size, at the last time."""
        return tables.rows(self.dataset)

    def heading(self) -> list[str]:
        return [f"{self.dataset.attrs['title']}; {self.dataset.attrs['model']}; start {self.dataset.attrs['w0']}"]

    def tables(self) -> list[TextTable]:
        return [make(self.dataset) for make in (tables.errors_table, tables.parts_table, tables.spreads_table)]

    def notes(self) -> list[str]:
        return tables.notes(self.dataset)

    def plot(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Error against the step size with its fitted parts; see `plots.errors`."""
        return plots.errors(self.dataset, observable, ax)

    def plot_spread(self, ax: Axes | None = None) -> Figure:
        """Spread across and along the set against the step size; see `plots.spreads`."""
        return plots.spreads(self.dataset, ax)

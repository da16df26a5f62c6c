"""The result of compare.time_scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import TextTable
from . import plots, tables

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    ("measurement",): "time_scale_index ladder step_size noise_level time time_error predicted steps",
    ("time_scale", "variable"): "exponent exponent_error bias bias_error exponent_predicted verdict",
    ("time_scale",): "kind level regime displacement displacement_order motion",
}


@dataclass(frozen=True, eq=False, repr=False)
class TimeScales(Result):
    """Measured and predicted times side by side: what `compare.time_scales` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over measurement: time_scale_index, ladder ("step size" or "noise level"), step_size, noise_level, time and its
        standard error time_error (in steps; inf where nothing moves), predicted. Over (time_scale, variable): exponent
        and exponent_error as the variable goes to zero, bias, exponent_predicted, verdict. Over time_scale: label,
        kind, level, regime, and for processes that stand still displacement, its order in the step size
        (displacement_order) and the motion of the last half of the run.
    """

    kind: ClassVar[str] = "time scales"
    columns: ClassVar[tuple[str, ...]] = tables.ROW

    def table(self) -> list[dict[str, Any]]:
        """One dict for each time scale."""
        return tables.rows(self.dataset)

    def heading(self) -> list[str]:
        return [str(self.dataset.attrs["title"])]

    def tables(self) -> list[TextTable]:
        return [tables.times_table(self.dataset)]

    def notes(self) -> list[str]:
        return tables.notes(self.dataset)

    def plot(self, axes: Sequence[Axes] | None = None) -> Figure:
        """Times against step size, and against noise level below; see `plots.times`."""
        return plots.times(self.dataset, axes)

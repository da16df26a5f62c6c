"""The result of compare.laws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from sgdlimits.exact.errors import one_of

from ..results import Result
from ..text_table import TextTable
from . import plots, tables, wording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Laws(Result):
    """Processes side by side, in law: what `compare.laws` returns. Printing it prints the verdicts.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates process (the reference first), observable, step, distance_step, quantile, part. Variables
        estimate, standard_error, exact, difference (other minus reference) with difference_lower and
        difference_upper (one step at a time), band_lower and band_upper (all steps at once), integrator (its part
        of the intervals), scale, predicted, verdict, quantiles, w1 and ks with their intervals, and where defined
        gelbrich, budget, budget_error, budget_rounding and budget_sum. Over (process, step): deviation (exact
        standard deviation of the risk), deviation_sampled (over the paths) and deviation_error (its standard error).
        Over (process, place): noise_share, how much of the reference's gradient noise a process has. Over (process,
        observable): the difference where it is the largest part of its scale, of all steps but 0 (worst_difference,
        worst_lower, worst_upper, worst_scale, worst_step, worst_part), overall (the verdict on all of them) and caution
        (why not to trust the row).
    """

    kind: ClassVar[str] = "laws"
    columns: ClassVar[tuple[str, ...]] = tables.ROW

    def heading(self) -> list[str]:
        prepared = self.dataset.attrs.get("preparation")
        return [wording.title(self.dataset), wording.setting(self.dataset), *([f"{prepared}."] if prepared else [])]

    def tables(self) -> list[TextTable]:
        return [tables.summary_table(self.dataset), tables.steps_table(self.dataset)]

    def notes(self) -> list[str]:
        return wording.notes(self.dataset)

    def table(self, steps: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """One dict for each observable, other process and step; default: about seven steps, early ones and the last."""
        return tables.rows(self.dataset, steps)

    def rows(self) -> list[dict[str, Any]]:
        return self.table(self.dataset["step"].values.tolist())

    def summary(self) -> list[dict[str, Any]]:
        """One dict for each observable and other process: the worst difference on its scale of all recorded steps."""
        return tables.summary_rows(self.dataset)

    def plot(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Means of each process against the step; see `plots.curves`."""
        return plots.curves(self.dataset, self._observable(observable), ax)

    def plot_differences(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Differences to the reference with intervals and predictions; see `plots.differences`."""
        return plots.differences(self.dataset, self._observable(observable), ax)

    def plot_budget(self, ax: Axes | None = None, process: str | None = None) -> Figure:
        """Parts of the error budget against the step; default: of the first process after the reference."""
        return plots.budget(self.dataset, self._process(process), ax)

    def plot_deviations(self, ax: Axes | None = None) -> Figure:
        """Standard deviations of the risk, exact and over the paths; see `plots.deviations`."""
        return plots.deviations(self.dataset, ax)

    def plot_quantiles(
        self, ax: Axes | None = None, observable: str | None = None, process: str | None = None
    ) -> Figure:
        """Quantiles of the reference and of one other process against the step."""
        return plots.quantiles(self.dataset, self._observable(observable), self._process(process), ax)

    def plot_distances(
        self, ax: Axes | None = None, observable: str | None = None, distance: str = "ks"
    ) -> Figure:
        """Distance of laws to the reference ("w1" or "ks") with its interval, against the step."""
        kind = one_of("distance", distance, ("w1", "ks"))
        return plots.distances(self.dataset, self._observable(observable), kind, ax)

    def _observable(self, name: str | None) -> str:
        names = self.dataset["observable"].values.tolist()
        return names[0] if name is None else one_of("observable", name, names)

    def _process(self, name: str | None) -> str:
        names = self.dataset["process"].values.tolist()[1:]
        return names[0] if name is None else one_of("process", name, names)

"""Results of a comparison: each holds one dataset, and all that it prints or draws follows from that."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sgdlimits.exact.errors import InvalidInput, one_of

from . import tables

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, eq=False, repr=False)
class Laws:
    """Processes side by side, in law: what `compare.laws` returns. Printing it prints the verdict table.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates process (the reference first), observable, step, distance_step, quantile, part. Variables
        estimate, standard_error, exact, difference (other minus reference) with difference_lower and
        difference_upper, predicted, verdict, quantiles, w1 and ks with their intervals, and where defined
        gelbrich, budget and budget_error.
    """

    dataset: xarray.Dataset

    def table(self, steps: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """One dict for each observable, other process and step; default: about five steps with the last."""
        return tables.rows(self.dataset, steps)

    def __str__(self) -> str:
        return tables.laws_text(self.dataset)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return tables.laws_html(self.dataset)

    def to_latex(self, steps: Sequence[int] | None = None) -> str:
        """The verdict table as a tabular with booktabs rules."""
        return tables.laws_grid(self.dataset, steps).latex()

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Every recorded step with all digits as CSV text; also written to `path` when given."""
        text = tables.to_csv(self.table(self.dataset["step"].values.tolist()), tables.ROW)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_dataset(self) -> xarray.Dataset:
        """A copy of the dataset."""
        return self.dataset.copy(deep=True)

    def claims(self) -> str:
        """Statements of theory, their hypotheses and the BibTeX of their sources."""
        from . import sentences

        return sentences.claims_text(self.dataset)

    def plot(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Means of each process against the step; see `plots.curves`."""
        from . import plots

        return plots.curves(self.dataset, self._observable(observable), ax)

    def plot_differences(self, ax: Axes | None = None, observable: str | None = None) -> Figure:
        """Differences to the reference with intervals and predictions; see `plots.differences`."""
        from . import plots

        return plots.differences(self.dataset, self._observable(observable), ax)

    def plot_budget(self, ax: Axes | None = None, process: str | None = None) -> Figure:
        """Parts of the error budget against the step; default: of the first process after the reference."""
        from . import plots

        names = self.dataset["process"].values.tolist()[1:]
        return plots.budget(
            self.dataset, names[0] if process is None else one_of("process", process, names), ax
        )

    def plot_quantiles(
        self, ax: Axes | None = None, observable: str | None = None, process: str | None = None
    ) -> Figure:
        """Quantiles of the reference and of one other process against the step."""
        from . import plots

        names = self.dataset["process"].values.tolist()[1:]
        chosen = names[0] if process is None else one_of("process", process, names)
        return plots.quantiles(self.dataset, self._observable(observable), chosen, ax)

    def plot_distances(
        self, ax: Axes | None = None, observable: str | None = None, distance: str = "ks"
    ) -> Figure:
        """Distance of laws to the reference ("w1" or "ks") with its interval, against the step."""
        from . import plots

        kind = one_of("distance", distance, ("w1", "ks"))
        return plots.distances(self.dataset, self._observable(observable), kind, ax)

    def _observable(self, name: str | None) -> str:
        names = self.dataset["observable"].values.tolist()
        return names[0] if name is None else one_of("observable", name, names)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF file."""
        _save(self.dataset, "laws", path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Laws:
        """Read what `save` wrote."""
        return cls(_load("laws", path))


@dataclass(frozen=True, eq=False, repr=False)
class Orders:
    """Observed weak orders over a ladder of step sizes: what `compare.orders` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates process, step_size, quantity. Variables error(process, quantity, step_size), and slope,
        slope_error, claimed, constant, constant_predicted (process, quantity).
    """

    dataset: xarray.Dataset

    def table(self) -> list[dict[str, Any]]:
        """One dict for each process and quantity."""
        return tables.order_rows(self.dataset)

    def __str__(self) -> str:
        return tables.orders_text(self.dataset)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return tables.orders_html(self.dataset)

    def to_latex(self) -> str:
        """The table as a tabular with booktabs rules."""
        return tables.orders_grid(self.dataset).latex()

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """The table with all digits as CSV text; also written to `path` when given."""
        text = tables.to_csv(self.table(), tables.ORDER_ROW)
        if path is not None:
            Path(path).write_text(text, encoding="utf-8")
        return text

    def to_dataset(self) -> xarray.Dataset:
        """A copy of the dataset."""
        return self.dataset.copy(deep=True)

    def claims(self) -> str:
        """Statements of theory, their hypotheses and the BibTeX of their sources."""
        from . import sentences

        return sentences.claims_text(self.dataset)

    def plot(self, ax: Axes | None = None, quantity: str | None = None) -> Figure:
        """Error against step size, both logarithmic, with the slopes as labels."""
        from . import plots

        names = self.dataset["quantity"].values.tolist()
        return plots.orders(
            self.dataset, names[0] if quantity is None else one_of("quantity", quantity, names), ax
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a netCDF file."""
        _save(self.dataset, "orders", path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Orders:
        """Read what `save` wrote."""
        return cls(_load("orders", path))


def _save(dataset: xarray.Dataset, kind: str, path: str | os.PathLike[str]) -> None:
    from sgdlimits.ensembles.results import save

    save(dataset.assign_attrs(result=kind), path)


def _load(kind: str, path: str | os.PathLike[str]) -> xarray.Dataset:
    from sgdlimits.ensembles.results import load

    dataset = load(path)
    found = dataset.attrs.pop("result", None)
    if found != kind:
        raise InvalidInput(f"{os.fspath(path)!r} holds {json.dumps(found)}, not {kind!r}")
    return dataset

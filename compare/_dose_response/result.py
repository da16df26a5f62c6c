"""The result of compare.dose_response."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import InvalidInput

from .._noise_cost import NoiseCost, noise_cost_of_curves
from ..drops import BATCH, SIZE
from ..results import Result
from ..text_table import NOTHING, TextTable, number, some
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HELPS, COSTS, NEITHER = "helps", "costs", "neither"
AXES = {
    ("dose", "seed", "step"): "loss noiseless_loss",
    ("dose", "step"): "relative relative_lower relative_upper epochs samples",
}
ROW = ("dose", "step", "epochs", "samples", "loss", "noiseless_loss", "relative", "lower", "upper", "verdict")


@dataclass(frozen=True, eq=False, repr=False)
class DoseResponse(Result):
    """Loss against the dose of noise: what `compare.dose_response` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (dose, seed, step), `dose` a batch size or a step size, `step` those of the base run with the same sum of
        step sizes: loss and noiseless_loss. Over (dose, step): relative (mean loss over that without noise, less 1)
        with relative_lower and relative_upper; epochs (nan online) and samples of that run.
    """

    kind: ClassVar[str] = "dose and response"
    columns: ClassVar[tuple[str, ...]] = ROW

    @property
    def verdicts(self) -> dict[float, str]:
        """Dose to what noise does to the loss at the last step: helps, costs or neither, as far as can be seen."""
        return {row["dose"]: row["verdict"] for row in self.table() if row["step"] == self.dataset.attrs["steps"]}

    @property
    def helps_from(self) -> dict[float, int]:
        """Dose to the step from which on noise helps at every later look, of doses where it helps at the last one.

        Looks are judged from the last one back, and the first that does not help ends it: tests in a fixed order, whose
        number costs no level, so that the intervals' confidence is that of all that is said here.
        """
        found: dict[float, int] = {}
        ended = set()
        for row in reversed(self.table()):
            if row["dose"] not in ended and row["verdict"] == HELPS:
                found[row["dose"]] = row["step"]
            else:
                ended.add(row["dose"])
        return dict(sorted(found.items()))

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        where = "online" if told["online"] else f"offline, {told['rows']} rows"
        matched = "equal sums of step sizes" if told["kind"] == SIZE else "equal steps"
        return [
            f"{told['name']}, {where}: loss relative to that without noise, against the {told['kind']}; "
            f"{told['seeds']} seeds, compared at {matched}",
            f"base: {told['base']}, {told['steps']} steps; noiseless: {told['noiseless']}.",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each dose and step."""
        rows = []
        for dose in range(self.dataset.sizes["dose"]):
            for step in range(self.dataset.sizes["step"]):
                here = self.dataset.isel(dose=dose, step=step)
                low, high = float(here["relative_lower"]), float(here["relative_upper"])
                if math.isnan(low):  # beside a loss of zero noise can only cost
                    low, high = math.inf, math.inf
                rows.append({
                    "dose": float(here["dose"]), "step": int(here["step"]), "epochs": float(here["epochs"]),
                    "samples": float(here["samples"]), "loss": float(here["loss"].mean()),
                    "noiseless_loss": float(here["noiseless_loss"].mean()), "relative": float(here["relative"]),
                    "lower": float(here["relative_lower"]), "upper": float(here["relative_upper"]),
                    "verdict": HELPS if high < 0 else COSTS if low > 0 else NEITHER,
                })  # fmt: skip
        return rows

    def tables(self) -> list[TextTable]:
        """Every dose at the last step; every dose along the way."""
        every = self.table()
        last = [row for row in every if row["step"] == self.dataset.attrs["steps"]]
        shown = {int(self.dataset["step"][place]) for place in some(self.dataset.sizes["step"])}
        return [
            self._rows("at the last step", last),
            self._rows("along the way", [row for row in every if row["step"] in shown]),
        ]

    def notes(self) -> list[str]:
        """How to read the tables, and where noise begins to help."""
        told, begins = self.dataset.attrs, self.helps_from
        epochs = {dose: float(self.dataset["epochs"].sel(dose=dose, step=step)) for dose, step in begins.items()}
        where = ", ".join(
            f"{dose:g} from step {step} on" + ("" if told["online"] else f" (epoch {epochs[dose]:.3g})")
            for dose, step in begins.items()
        )
        return [
            *([f"Noise helps at every later look at {told['kind']} {where}."] if begins else []),
            f"relative: mean loss over that of the run without noise, less 1, with intervals that hold for all "
            f"{self.dataset.sizes['dose']} doses at once with probability {100 * told['confidence']:g} %, at one "
            "number of steps. Noise helps where the interval lies below zero, costs where it lies above, neither where "
            "it holds zero; no number where the loss without noise is zero to rounding.",
            *([] if told["silent"] else ["The noiseless run is one of large fresh batches, not of none."]),
            *([] if told["formula"] else ["Losses are means over the test rows: verdicts are about these."]),
        ]

    def _rows(self, title: str, rows: list[dict[str, Any]]) -> TextTable:
        offline, cells = not self.dataset.attrs["online"], []
        for row in rows:
            interval = f"[{number(row['lower'], 3, sign=True)}, {number(row['upper'], 3, sign=True)}]"
            interval = NOTHING if math.isnan(row["relative"]) else interval
            cells.append((
                f"{row['dose']:g}", f"{row['step']}", f"{row['epochs']:.3g}" if offline else NOTHING,
                number(row["loss"]), number(row["noiseless_loss"]), number(row["relative"], 3, sign=True), interval,
                row["verdict"],
            ))  # fmt: skip
        heads = (
            self.dataset.attrs["kind"], "steps", "epochs", "loss", "without noise", "relative", "interval", "noise",
        )  # fmt: skip
        return TextTable(heads, ((title, tuple(cells)),), title)

    def noise_cost(self, level: float, least: float = 0.0, confidence: float = 0.95) -> NoiseCost:
        """Steps and samples to a loss, and the critical batch size, from these curves; see `noise_cost_of_curves`.

        Parameters
        ----------
        level : float
            The loss to be reached.
        least : float
            The least loss there is.
        confidence : float

        Raises
        ------
        InvalidInput
            If the doses are step sizes, or fewer than two curves reach the level.
        """
        data = self.dataset
        if data.attrs["kind"] != BATCH:
            raise InvalidInput("the doses are step sizes; samples are counted along a ladder of batch_sizes")
        losses = [*data["loss"].values, *([data["noiseless_loss"].values[0]] if data.attrs["silent"] else [])]
        sizes = [*data["dose"].values, *([math.inf] if data.attrs["silent"] else [])]
        means = [each.mean(axis=0) for each in losses]
        errors = [each.std(axis=0, ddof=1) / math.sqrt(len(each)) for each in losses]
        return noise_cost_of_curves(
            data["step"].values, means, np.array(sizes), level, errors, least, confidence, data.attrs["name"],
            len(losses[0]),
        )

    def plot(self, ax: Axes | None = None, colour: str | None = None) -> Figure:
        """Relative loss against the dose at the last step; see `plots.response`."""
        return plots.response(self.dataset, ax, colour)

    def plot_epochs(self, ax: Axes | None = None) -> Figure:
        """Relative loss along the way, a line each dose; see `plots.along`."""
        return plots.along(self.dataset, ax)

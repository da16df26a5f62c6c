"""The result of compare.snapping."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import one_of

from ..drops import event
from ..results import Result
from ..text_table import NOTHING, TextTable, number
from . import plots
from .wording import SEEN, notes_of, settings_of

if TYPE_CHECKING:
    import xarray
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARMS = ("high", "snapped", "low", "noiseless", "gradient flow")
WINDOWS = ("early", "late")
AXES = {
    ("arm", "step"): "own_step time excess risk",
    ("after",): "gap noiseless_gap phi psi over_excess slope quasi_static",
    ("fraction",): "time_to flow_to gap_then how",
    ("run",): "floor",
    ("window",): "exponent_predicted exponent_between exponent middle first last",
}
CLAIMS = (
    {
        "statement": "the mean path is that of gradient descent whatever the batch sizes, so that noise adds a "
        "positive part to the expected risk",
        "assumptions": ["least squares", "independent batches", "a rule that is linear in the gradient"],
    },
    {
        "statement": "after a drop of the batch size the difference D of second moments to the run with little noise "
        "throughout obeys D' = A D, A the linear part of that run's moment equations; the gap is positive and closes",
        "assumptions": ["as above", "the spectral radius of A is below 1"],
    },
    {
        "statement": "for eigenvalues i^-a the gap falls as j^-(1 - 1/a) for j far below the steps before the drop, "
        "and as j^-(2 - 1/a) far above",
        "assumptions": ["quasi-static noise", "modes many enough for the windows"],
    },
)
ROW = ("after", "gap", "phi", "psi", "over_excess", "slope", "quasi_static", "noiseless_gap")


@dataclass(frozen=True, eq=False, repr=False)
class Snapping(Result):
    """How the risk comes back after a drop of the noise: what `compare.snapping` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (arm, step), where step counts those of the run whose noise drops: own_step (of the arm), time (its sum of
        step sizes), risk (expected, without the ridge) and excess (risk above its least value). Over after, steps
        since the drop: gap (risk of snapped less that of low, less noiseless_gap, the same of gradient descent), phi
        (gap over that at the drop), psi (gap over the risk of low), over_excess (gap over its excess), slope (d log gap
        / d log after over a factor of two; nan before 2 and where the gap changes sign), quasi_static (predicted gap);
        quotients are nan where they are void: there is no gap at the drop, or no risk.
        Over fraction: time_to (first steps after the drop with at most so much of the gap, -1: not reached), flow_to
        (the same as a sum of step sizes), gap_then, how (it is known). Over run: floor (stationary excess risk above
        that of gradient descent, nan under a schedule). Over window: exponent_predicted, the limit far inside
        the ends first and last; exponent and exponent_between, seen and predicted at the step `middle` after the drop.
    """

    kind: ClassVar[str] = "snapping"
    columns: ClassVar[tuple[str, ...]] = (*ROW, "low_step", "time", "risk_snapped", "risk_low")

    def arm(self, name: str) -> xarray.Dataset:
        """One arm over its own steps: time, risk, excess."""
        here = self.dataset[["own_step", "time", "risk", "excess"]].sel(arm=one_of("name", name, ARMS))
        return here.drop_vars("step").rename(step="own", own_step="step").swap_dims(own="step").set_coords("step")

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        return [f"{told['process']}: {event(told)} at step {told['drop_at']}", settings_of(told)]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each recorded step from the drop on."""
        late = self.dataset.sel(step=self.dataset["step"] >= self.dataset.attrs["drop_at"])
        rows = []
        for place in range(self.dataset.sizes["after"]):
            row = {name: self.dataset[name][place].item() for name in ROW}
            low, snapped = (late.sel(arm=arm).isel(step=place) for arm in ("low", "snapped"))
            row |= {"low_step": low["own_step"].item(), "time": low["time"].item()}
            row |= {"risk_snapped": snapped["risk"].item(), "risk_low": low["risk"].item()}
            rows.append(row)
        return rows

    def tables(self) -> list[TextTable]:
        """When the gap has fallen to fractions; the gap at some steps; the arms; exponents where they are predicted."""
        found = [self._arrivals(), self._gaps(), self._arms()]
        return [*found, self._exponents()] if np.isfinite(self.dataset["exponent_predicted"]).all() else found

    def _arrivals(self) -> TextTable:
        rows, first = [], float(self.dataset["gap"][0])
        for place, fraction in enumerate(self.dataset["fraction"].values.tolist()):
            here = self.dataset.isel(fraction=place)
            step = int(here["time_to"])
            rows.append((
                str(Fraction(fraction).limit_denominator(10_000)) if fraction > 1e-4 else number(fraction),
                NOTHING if step < 0 else str(step), number(float(here["flow_to"])),
                number(float(here["gap_then"]) / first if first else math.nan), str(here["how"].item()),
            ))  # fmt: skip
        heads = ("of the gap", "steps after", "step sizes", "phi there", "how it is known")
        return TextTable(heads, ((f"until the gap has fallen to a fraction of {number(first)}", tuple(rows)),))

    def _gaps(self) -> TextTable:
        told, after = self.dataset.attrs, self.dataset["after"].values
        marks = {0: "at the drop", told["drop_at"]: "as long as before", 5 * told["drop_at"]: "five times as long"}
        marks[int(after[-1])] = "at the end"
        for step, fraction in zip(self.dataset["time_to"].values.tolist(), self.dataset["fraction"].values.tolist()):
            marks.setdefault(step, f"{Fraction(fraction).limit_denominator(10_000)} of the gap")
        rows = []
        for row in self.table():
            if row["after"] in marks:
                numbers = (number(row[name]) for name in ROW[1:7])
                rows.append((str(row["after"]), *numbers, marks[row["after"]]))
        heads = ("steps after", "gap", "phi", "psi", "over excess", "slope", "quasi-static", "")
        return TextTable(heads, (("the gap, among the recorded steps", tuple(rows)),), "The gap after the drop")

    def _arms(self) -> TextTable:
        rows = []
        for name in ARMS:
            here = self.dataset.sel(arm=name)
            at = here.sel(step=self.dataset.attrs["drop_at"])["excess"]
            floor = {"high": 0, "snapped": 1, "low": 1}.get(name)
            left = "0" if floor is None else number(float(self.dataset["floor"][floor]))
            rows.append((number(float(at)), number(float(here["excess"][-1])), left, name))
        heads = ("at the drop", "at the end", "left for ever", "arm")
        return TextTable(heads, (("expected excess risk", tuple(rows)),), "The arms")

    def _exponents(self) -> TextTable:
        rows = []
        for name in WINDOWS:
            here = self.dataset.sel(window=name)
            step = int(here["middle"])
            rows.append((
                number(float(here["exponent"])), number(float(here["exponent_between"])),
                number(float(here["exponent_predicted"])), NOTHING if step < 0 else str(step),
                number(float(here["first"])), number(float(here["last"])),
                SEEN[name] if step > 0 else f"not judged: no factor of 100 between the ends ({name})",
            ))  # fmt: skip
        heads = ("slope", "predicted", "limit", "at step", "window from", "to", "window")
        return TextTable(heads, (("exponents of the gap", tuple(rows)),), "Exponents")

    def notes(self) -> list[str]:
        return notes_of(self.dataset)

    def plot(self, axes: tuple[Axes, Axes] | None = None) -> Figure:
        """Curves of the arms, and the gap with its predicted slopes; see `plots.curves`, `plots.gap`."""
        return plots.both(self.dataset, axes)

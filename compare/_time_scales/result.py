"""The result of compare.time_scales."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, with_error
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW = (
    "time_scale", "kind", "regime", "step_size", "noise_level", "time", "time_error", "predicted", "steps",
    *(f"{variable}_{name}" for variable in ("step_size", "noise_level")
      for name in ("exponent", "exponent_error", "bias", "bias_error", "exponent_predicted", "verdict")),
    "displacement", "motion", "displacement_order",
)  # fmt: skip
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
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        return [str(self.dataset.attrs["title"])]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each time scale: its time as given, exponents in both variables, verdicts."""
        table, dataset = [], self.dataset
        for index, label in enumerate(dataset["time_scale"].values.tolist()):
            mine = np.flatnonzero(dataset["time_scale_index"].values == index)
            here, first = dataset.isel(time_scale=index), dataset.isel(measurement=mine[0])  # the largest step size
            names = ("step_size", "noise_level", "time", "time_error", "predicted")
            row = {"time_scale": label, "kind": str(here["kind"].item()), "regime": str(here["regime"].item())}
            row |= {name: float(first[name]) for name in names}
            row["steps"] = int(dataset["steps"].values[mine].max())
            for variable in dataset["variable"].values.tolist():
                side, key = here.sel(variable=variable), variable.replace(" ", "_")
                for name in ("exponent", "exponent_error", "bias", "bias_error", "exponent_predicted"):
                    row[f"{key}_{name}"] = float(side[name])
                row[f"{key}_verdict"] = str(side["verdict"].item())
            row |= {name: float(here[name]) for name in ("displacement", "motion", "displacement_order")}
            table.append(row)
        return table

    def tables(self) -> list[TextTable]:
        """Times and exponents, measured and predicted, grouped by what moves."""
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            title = row["time_scale"] + (f" ({row['regime']})" if row["regime"] else "")
            level = NOTHING if np.isnan(row["noise_level"]) else number(row["noise_level"], 3)
            cells = [number(row["step_size"], 3), level]
            if row["regime"] == "trivial":
                cells += [f"> {row['steps']}", "inf", NOTHING, NOTHING, row["step_size_verdict"]]
            else:
                cells += [with_error(row["time"], row["time_error"], row["time_error"] == 0), number(row["predicted"])]
                verdicts = []
                for key in ("step_size", "noise_level"):
                    cells.append(_exponent(row, key))
                    if row[f"{key}_verdict"]:
                        verdicts.append(row[f"{key}_verdict"])
                cells.append(", ".join(dict.fromkeys(verdicts)))
            groups.setdefault(title, []).append(tuple(cells))
        columns = (
            "step size", "noise level", "steps", "predicted", "exponent in step size", "in noise level", "verdict",
        )  # fmt: skip
        return [TextTable(columns, tuple((title, tuple(rows)) for title, rows in groups.items()))]

    def notes(self) -> list[str]:
        """Which rungs were left out, the verdicts on processes that stand still, and how to read the table."""
        attrs = self.dataset.attrs
        sentences = str(attrs.get("dropped", "")).splitlines()
        for row in self.table():
            if row["regime"] != "trivial":
                continue
            moved, order = row["displacement"], row["displacement_order"]
            text = f"{row['time_scale']}: {row['step_size_verdict']}. "
            if moved == 0:
                text += f"Started on the zero-loss set it has moved by exactly 0 in {row['steps']} steps."
            else:
                text += f"From off the set it ends at most {number(moved, 3)} from Phi(w_0)"
                text += f" (order {order:.2f} in the step size)" if np.isfinite(order) else ""
                text += f", and over the last half of the run no path moves more than {number(row['motion'], 2)}."
            sentences.append(text)
        sentences.append(
            "steps: measured at the step size and noise level of the row, ± one standard error; predicted: of the "
            "limit, or of the flow for a relaxation. What is exact is that of the recurrence without noise, or as the "
            "noise goes to zero. Exponents as step size and noise go to zero, predicted ones in "
            "brackets: the leading bias, of the order of the step size and of the noise level squared, is fitted along "
            f"from four rungs on. agrees: the whole {100 * attrs['confidence']:g} % interval lies within "
            f"{attrs['tolerance']:g} of the prediction; differs: all of it outside; undecided: neither; trivial: "
            "nothing moves."
        )
        return sentences

    def plot(self, axes: Sequence[Axes] | None = None) -> Figure:
        """Times against step size, and against noise level below; see `plots.times`."""
        return plots.times(self.dataset, axes)


def _exponent(row: dict[str, Any], key: str) -> str:
    value, error = row[f"{key}_exponent"], row[f"{key}_exponent_error"]
    if np.isnan(value):
        return NOTHING
    return f"{value:.3f} ±{number(error, 1)} ({row[f'{key}_exponent_predicted']:g})"

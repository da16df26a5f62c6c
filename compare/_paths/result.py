"""The result of compare.paths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, with_error
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    ("row", "step_size"): "value lower upper control_value control_lower control_upper local_order",
    ("row",): "phase kind predicted bound order order_error verdict paths_needed control_order control_order_error "
    "control_verdict control_paths",
}
COLUMNS = (
    "row", "phase", "kind", "step_size", "value", "lower", "upper", "order", "order_error", "predicted", "verdict",
    "paths_needed", "control_value", "control_order", "control_verdict", "control_paths",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class Paths(Result):
    """How paths converge as the step size goes to zero: what `compare.paths` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Coordinates row and step_size (decreasing). Over both: value of the error or distance with its interval (lower,
        upper), the same against the wrong limit (`control_...`), local_order between neighbouring rungs. Over row:
        phase ("slow", "laws", "exit", "fast"), kind ("order", "distance", "probability"), order and order_error (nan:
        below the Monte Carlo resolution), predicted, bound (whether that is the least order), verdict, paths_needed to
        decide it (nan: decided), and control_order, control_order_error, control_verdict, control_paths.
        noise_level_slow and noise_level_fast (step_size).
    """

    kind: ClassVar[str] = "paths"
    columns: ClassVar[tuple[str, ...]] = COLUMNS

    def heading(self) -> list[str]:
        attrs = self.dataset.attrs
        return [f"{attrs['title']}; {attrs['model']}; start {attrs['w0']}"]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each row and step size."""
        dataset, table = self.dataset, []
        for place, name in enumerate(dataset["row"].values.tolist()):
            here = dataset.isel(row=place)
            for i, size in enumerate(dataset["step_size"].values):
                row: dict[str, Any] = {"row": name, "step_size": float(size)}
                for key in COLUMNS:
                    if key not in row:
                        found = here[key] if here[key].ndim == 0 else here[key][i]
                        row[key] = found.item()
                table.append({key: row[key] for key in COLUMNS})
        return table

    def tables(self) -> list[TextTable]:
        """Orders and verdicts with their control, then the errors at every rung."""
        return [self._verdicts(), self._errors()]

    def _groups(self) -> list[tuple[str, list[int]]]:
        titles = {
            "slow": "slow phase: Phi(w_k) against the limit", "laws": "laws of Phi(w_k) against the limit's",
            "exit": "exit from a neighbourhood", "fast": "fast phase: w_k against the gradient flow",
        }  # fmt: skip
        phases = self.dataset["phase"].values.tolist()
        return [
            (title, [i for i, p in enumerate(phases) if p == key]) for key, title in titles.items() if key in phases
        ]

    def _verdicts(self) -> TextTable:
        groups = []
        for title, places in self._groups():
            cells = []
            for place in places:
                here = self.dataset.isel(row=place)
                order, error = float(here["order"]), float(here["order_error"])
                known = "not resolved" if np.isnan(order) else with_error(order, error, False)
                if here["kind"].item() == "probability":
                    known = NOTHING
                last = here.isel(step_size=-1)
                low, high = (number(float(last[end]), 2) for end in ("lower", "upper"))
                value = f"{number(float(last['value']), 3)} [{low}, {high}]"
                against = f"{here['control_verdict'].item()}"
                if np.isfinite(float(here["control_order"])):
                    against += f" ({number(float(here['control_order']), 2)})"
                name = (
                    str(here["row"].item()).partition(": ")[2]
                    if here["phase"].item() != "exit"
                    else str(here["row"].item())
                )
                predicted = ("≥ " if here["bound"].item() else "") + number(float(here["predicted"]), 2)
                cells.append((value, known, predicted, against, f"{here['verdict'].item()}: {name}"))
            groups.append((title, tuple(cells)))
        return TextTable(("at the smallest step", "order", "predicted", "control", "verdict"), tuple(groups))

    def _errors(self) -> TextTable:
        sizes = self.dataset["step_size"].values
        groups = []
        for name in self.dataset["row"].values.tolist():
            here, cells = self.dataset.sel(row=name), []
            for i, size in enumerate(sizes):
                at = here.isel(step_size=i)
                interval = f"[{number(float(at['lower']), 3)}, {number(float(at['upper']), 3)}]"
                local = float(at["local_order"])
                cells.append(
                    (
                        number(size), number(float(at["value"])), interval, number(float(at["control_value"]), 3),
                        NOTHING if np.isnan(local) else f"{local:.2f}",
                    )
                )  # fmt: skip
            groups.append((name, tuple(cells)))
        heads = ("step size", "error", "interval", "against the control", "local order")
        return TextTable(heads, tuple(groups), "Errors at every step size")

    def notes(self) -> list[str]:
        """What was found, and how to read the tables."""
        dataset, attrs = self.dataset, self.dataset.attrs
        sentences = attrs["notes"].split("\n")
        for place, name in enumerate(dataset["row"].values.tolist()):
            here = dataset.isel(row=place)
            needed, control = float(here["paths_needed"]), float(here["control_paths"])
            verdict = here["control_verdict"].item()
            order, phase = here["kind"].item() == "order", here["phase"].item()
            wrong = "the flow at twice the speed" if phase == "fast" else attrs["control"]
            local = ", ".join(f"{x:.2f}" for x in here["local_order"].values if np.isfinite(x))
            if np.isfinite(needed):
                sentences.append(f"{name} is undecided: about {number(needed, 2)} paths would decide it.")
            elif np.isinf(needed):
                sentences.append(
                    f"{name} is undecided, and more paths hardly help on this ladder"
                    + (f" (local orders {local})" if local else "")
                    + ": go on to smaller step sizes."
                )
            if here["verdict"].item() == "differs" and order:
                sentences.append(
                    f"{name} differs over this ladder, with local orders {local}: smaller step sizes tell a "
                    "ladder that is too coarse from a wrong order."
                )
            if verdict == "agrees" and order:
                sentences.append(f"{name} cannot refute {wrong}: over this ladder its errors fall alike.")
            elif verdict == "agrees":
                sentences.append(f"{name} cannot refute {wrong}, which lies within the tolerance too.")
            elif verdict == "undecided":
                cure = (
                    f"about {number(control, 2)} paths would have"
                    if np.isfinite(control)
                    else "smaller step sizes may have"
                )
                sentences.append(f"{name} has no power against {wrong} with these paths ({cure}).")
        moving = [p for p in ("slow", "fast") if np.ptp(np.nan_to_num(dataset[f"noise_level_{p}"].values)) > 0]
        if moving:
            sentences.append(
                f"The noise level goes as the root of the step size in the {' and the '.join(moving)} phase."
            )
        tolerance, percent = attrs["tolerance"], 100 * attrs["confidence"]
        sentences.append(
            f"Verdicts: an order agrees if its {percent:g} % interval lies within {tolerance:g} of the prediction; a "
            f"distance at the smallest step size, if its interval lies below {tolerance:g} (W1: of the limit's spread; "
            f"KS and probability: absolute); differs, all of it outside; undecided, neither. Control: the verdict of "
            f"the same paths against {attrs['control']}, in brackets the order. {attrs['paths']} paths a rung; ±: one "
            "standard error."
        )
        return sentences

    def plot(self, ax: Axes | None = None, kind: str | None = None) -> Figure:
        """Errors against step size, with predicted slopes; see `plots.ladders`."""
        return plots.ladders(self.dataset, ax, kind)

"""The result of compare.step_size_effect."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import NOTHING, TextTable, number, with_error
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES: dict[tuple[str, ...], str] = {
    ("step",): "descent flow modified difference difference_error leading leading_error edge edge_error sgd noise "
    "noise_error",
}
EDGE = 2.0  # step size times curvature, past which gradient descent on a quadratic diverges
SHOWN = 8  # rows of the printed table


@dataclass(frozen=True, eq=False, repr=False)
class StepSizeEffect(Result):
    """Gradient descent against gradient flow, apart from noise: what `compare.step_size_effect` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over step: the risks `descent`, `flow`, `modified` (the flow of f + (step_size / 4) |grad f|^2) and `sgd`
        (expected); `difference`, descent less flow, and `leading`, modified less flow, with their errors; `noise`, sgd
        less descent, with its standard error (nan without SGD); `edge`, step size times the largest Hessian eigenvalue
        along gradient descent, with its error (nan where nobody looked).
    """

    kind: ClassVar[str] = "step size effect"
    columns: ClassVar[tuple[str, ...]] = (
        "step", "descent", "flow", "difference", "difference_error", "leading", "leading_error", "noise", "noise_error",
        "edge", "edge_error",
    )  # fmt: skip

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        noise = f"; noise of {told['process']}, batch size {told['batch_size']}" if told["noise"] else ""
        return [
            f"Gradient descent against gradient flow, step size {told['step_size']:g}{noise}",
            str(told["problem"]),
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict a step."""
        numbers = {name: self.dataset[name].values for name in self.columns}
        return [{name: values[row].item() for name, values in numbers.items()} for row in range(len(numbers["step"]))]

    def tables(self) -> list[TextTable]:
        """Some of the steps: those where the Hessian was looked at, else spread evenly."""
        rows = self.table()
        seen = [row for row in rows if math.isfinite(row["edge"])] or rows
        places = np.unique(np.linspace(0, len(seen) - 1, min(SHOWN, len(seen))).round().astype(int))
        noisy = bool(self.dataset.attrs["noise"])
        heads = ("step", "descent", "flow", "difference", "leading order", *(["noise"] if noisy else []), "edge")
        return [TextTable(heads, (("risk", tuple(self._cells(seen[place], noisy) for place in places)),))]

    def _cells(self, row: dict[str, Any], noisy: bool) -> tuple[str, ...]:
        exact = bool(self.dataset.attrs["noise_exact"])
        noise = [with_error(row["noise"], row["noise_error"], exact, sign=True)] if noisy else []
        past = " past" if row["edge"] - row["edge_error"] > EDGE else ""
        return (
            str(row["step"]), number(row["descent"]), number(row["flow"]),
            _known(row["difference"], row["difference_error"]), _known(row["leading"], row["leading_error"]), *noise,
            NOTHING if math.isnan(row["edge"]) else number(row["edge"], 3) + past,
        )  # fmt: skip

    @property
    def first_past(self) -> int | None:
        """The first looked-at step past the edge of stability; None where none is."""
        past = self.dataset["edge"].values - self.dataset["edge_error"].values > EDGE
        return int(self.dataset["step"].values[np.argmax(past)]) if past.any() else None

    def notes(self) -> list[str]:
        told, first = self.dataset.attrs, self.first_past
        reading = (
            "difference: descent less flow, the effect of the step size alone; leading order: the flow of f + "
            "(step_size / 4) |grad f|^2 less that of f, from which the difference departs by O(step_size^2). Either "
            f"within the errors of the flows at rtol {told['rtol']:g} (distance to tolerances 100 times as loose): <= "
            "where it is no larger. edge: step size times the largest Hessian eigenvalue along gradient descent."
        )
        found = [reading]
        if told["noise"]:
            how = "exact" if told["noise_exact"] else f"over {told['paths']} paths, ± its standard error"
            found.append(f"noise: expected risk of SGD less that of gradient descent with the same step size, {how}.")
        if first is None and np.isfinite(self.dataset["edge"].values).any():
            found.append("No step that was looked at is past the edge of stability, 2.")
        if first is not None:
            found.append(
                f"Past the edge of stability, 2, at step {first}: there gradient descent no longer follows a flow, and "
                "neither the flow nor the leading order says what it does."
            )
        if told["evaluated"]:
            found.append(
                f"The problem is an endless stream, and descent and flow are those of the mean over its first "
                f"{told['evaluated']} samples, not of the expected loss."
            )
        return found

    def plot(self, ax: Axes | None = None) -> Figure:
        """Differences of risks against steps, past the edge shaded; see `plots.differences`."""
        return plots.differences(self.dataset, EDGE, ax)


def _known(value: float, error: float) -> str:
    """A difference, or how large it is at most where its error hides it."""
    if not math.isfinite(value):
        return number(value)
    if error and abs(value) <= error:
        return f"<= {number(abs(value) + error, 2)}"
    return number(value, sign=True)

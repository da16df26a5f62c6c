"""The result of compare.singular_values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import TextTable, number, percent, rounded
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRETCHES, SHRINKS, UNDECIDED = "above 0", "below 0", "undecided"
AXES = {
    ("run", "batch", "step"): "sigma_max sigma_min sigma_max_error sigma_min_error lowest highest",
    ("end", "step"): "mean_log mean_log_lower mean_log_upper",
    ("end", "level", "step"): "quantile quantile_lower quantile_upper",
    ("step",): "straddling both_sides unresolved products step_size",
}
ROW = (
    "step", "end", "mean_log", "lower", "upper", "verdict", "quantiles", "straddling", "both_sides", "unresolved",
    "largest_error",
)  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class SingularValues(Result):
    """Extreme singular values of I - step_size (batch Hessian): what `compare.singular_values` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (run, batch, step): sigma_max, sigma_min with numerical errors; lowest, highest eigenvalue of the batch
        Hessian, ridge included. Over (end, step), `end` "largest" or "smallest": mean_log, E log sigma a step, with its
        interval over runs. Over (end, level, step): quantile of log sigma, with its interval. Over step: the share of
        draws whose spectrum goes past 1 / step_size (straddling), of those with sigma_min <= 1 <= sigma_max
        (both_sides), of those whose sigma_min is not told from 0 (unresolved); mean products a draw; step_size.
    """

    kind: ClassVar[str] = "singular values"
    columns: ClassVar[tuple[str, ...]] = ROW

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        starts = "one start for all runs" if told["one_start"] else "a start of each run"
        return [
            f"Singular values of I − step size × batch Hessian along {told['process']}: {told['runs']} runs "
            f"({starts}), {told['batches']} batches drawn at each place",
            f"{told['problem']}; step size {told['step_size']}, batch size {told['batch_size']}; seed {told['seed']}.",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each recorded step and end: verdicts say whether E log sigma is above 0."""
        found = []
        for step in self.dataset["step"].values.tolist():
            for end in ("largest", "smallest"):
                at = self.dataset.sel(step=step, end=end)
                lower, upper = float(at["mean_log_lower"]), float(at["mean_log_upper"])
                errors = at["sigma_max_error" if end == "largest" else "sigma_min_error"]
                found.append(
                    {
                        "step": step, "end": end, "mean_log": float(at["mean_log"]), "lower": lower, "upper": upper,
                        "verdict": STRETCHES if lower > 0 else SHRINKS if upper < 0 else UNDECIDED,
                        "quantiles": dict(zip(at["level"].values.tolist(), at["quantile"].values.tolist())),
                        "straddling": float(at["straddling"]), "both_sides": float(at["both_sides"]),
                        "unresolved": float(at["unresolved"]), "largest_error": float(errors.max()),
                    }
                )  # fmt: skip
        return found

    def tables(self) -> list[TextTable]:
        """A group an end."""
        levels = self.dataset["level"].values.tolist()
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            half = (row["upper"] - row["lower"]) / 2
            cells = (
                str(row["step"]), rounded(row["mean_log"], half), f"[{rounded(row['lower'], half)}, "
                f"{rounded(row['upper'], half)}]", *(number(row["quantiles"][level], 3) for level in levels),
                row["verdict"],
            )  # fmt: skip
            groups.setdefault(f"{row['end']} singular value", []).append(cells)
        level = f"{100 * self.dataset.attrs['confidence']:g} % interval"
        heads = ("step", "E log σ", level, *(f"{100 * each:g} %" for each in levels), "verdict")
        return [TextTable(heads, tuple((title, tuple(rows)) for title, rows in groups.items()), "E log σ")]

    def notes(self) -> list[str]:
        """What was seen, and how to read it."""
        told, d = self.dataset.attrs, self.dataset
        sides, straddling = float(d["both_sides"].min()), float(d["straddling"].max())
        error = max(float(d[f"sigma_{end}_error"].max()) for end in ("max", "min"))
        said = [
            f"Between E log of the smallest and of the largest singular value lie all Lyapunov exponents of the "
            f"product of steps, where the law of places is stationary. Quantiles are of log σ over runs and batches; "
            f"errors of σ are at most {error:.1g}, from about {float(d['products'].mean()):.0f} products a draw.",
        ]
        if sides == 1.0:
            why = " (a batch Hessian with an eigenvalue 0 does that)" if told["dimension"] > told["batch_size"] else ""
            said.append(
                f"In every draw σ_min <= 1 <= σ_max{why}: E σ_max^s >= 1 >= E σ_min^s for all s, so that neither "
                "bounds a tail index."
            )
        if straddling:
            said.append(
                f"In up to {percent(straddling)} % of draws the spectrum goes past 1 / step size: the smallest "
                "singular value then belongs to an eigenvalue inside it."
            )
        if float(d["unresolved"].max()):
            said.append(
                f"In {percent(float(d['unresolved'].max()))} % of draws at some step σ_min is not told from 0; its "
                "error stands for it there: lower tolerance."
            )
        return said

    def plot(self, ax: Axes | None = None) -> Figure:
        """log σ of both ends against the step; see `plots.along`."""
        return plots.along(self.dataset, ax)

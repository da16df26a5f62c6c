"""The result of compare.contraction."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..results import Result
from ..text_table import NOTHING, TextTable, number, with_error
from . import plots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AXES = {
    ("quantity", "step"): "distance error",
    ("step",): "bound",
    ("quantity",): "floor exponent exponent_error last verdict",
}
ROW = ("quantity", "exponent", "exponent_error", "exponent_bound", "last", "floor", "first", "end", "verdict")


@dataclass(frozen=True, eq=False, repr=False)
class Contraction(Result):
    """Distance to the stationary law beside its bound: what `compare.contraction` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (quantity, step): distance and its standard error. Over step: bound, C growth^(step / p) times the coupled
        distance at step 0. Over quantity: floor (0 for coupled paths), exponent (slope of the log distance over the
        second half of the steps up to `last`) and exponent_error, verdict. Attributes: p, growth (k(p)), constant (C),
        method.
    """

    kind: ClassVar[str] = "contraction"
    columns: ClassVar[tuple[str, ...]] = ROW

    @property
    def exponent_bound(self) -> float:
        """log k(p) / p."""
        return math.log(self.dataset.attrs["growth"]) / float(self.dataset.attrs["p"])

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        sign = "=" if told["exact"] or told["control"] else "at most"
        constant = "C is not known" if math.isnan(told["constant"]) else f"C = {number(told['constant'])}"
        name = "the number tried for k(p)" if told["control"] else "k(p)"
        return [
            f"{told['process']}: distance to the stationary law in W_p, p = {told['p']:g}, beside C k(p)^(n/p)",
            f"{name} {sign} {number(told['growth'], 6)}, {constant} ({told['method']}); {told['problem']}",
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict for each distance: exponents a step, measured and of the bound, and the verdict."""
        rows = []
        for name in self.dataset["quantity"].values.tolist():
            here = self.dataset.sel(quantity=name)
            row = {"quantity": name, "exponent_bound": self.exponent_bound, "verdict": str(here["verdict"].item())}
            row |= {key: float(here[key]) for key in ("exponent", "exponent_error", "floor")}
            row |= {"last": int(here["last"]), "first": float(here["distance"][0]), "end": float(here["distance"][-1])}
            rows.append(row)
        return rows

    def tables(self) -> list[TextTable]:
        """Measured exponents beside that of the bound, and the sampling floor."""
        rows = []
        for row in self.table():
            slope = with_error(row["exponent"], row["exponent_error"], False, sign=True)
            rows.append((
                slope, number(row["exponent_bound"], 4, sign=True), str(row["last"]), number(row["first"]),
                number(row["end"]), number(row["floor"]) if row["floor"] else NOTHING, f"{row['verdict']}: "
                f"{row['quantity']}",
            ))  # fmt: skip
        heads = ("exponent a step", "of the bound", "up to step", "at first", "at the end", "floor", "the bound")
        return [TextTable(heads, (("W_p <= C k(p)^(n/p) W_p at step 0", tuple(rows)),))]

    def notes(self) -> list[str]:
        told = self.dataset.attrs
        reading = (
            "exponent a step: slope of the log distance over the second half of the steps up to that one, ± its "
            f"standard error over {told['groups']} groups of {told['group']} pairs; the bound allows any that is "
            "lower. coupled paths: (E |x_n - y_n|^p)^(1/p) with one noise, which W_p does not exceed, up to the step "
            "where few paths begin to carry the mean. W_p along a line: between independent samples, up to the step "
            f"where it comes within {told['above']:g} floors; "
            f"floor: W_p of two samples of {told['group']} from the stationary law, "
            "below which nothing is seen. violated: above the bound at some step, by more than its error at "
            f"{100 * told['confidence']:g} % over all steps and rows (for a line, by more than two floors besides); "
            "holds: nowhere seen so."
        )
        constant = told["constant"]
        about = "where the constant were 1" if math.isnan(constant) else "by the same bound"
        stationary = (
            f"y comes from the minimiser by {told['burn_in']} steps: {about}, W_p of its law to the stationary one is "
            f"then at most {told['residual']:g} of the stationary size, {number(told['stationary'])}."
        )
        infinite = (
            "k(2 p) is not below 1, so that |y|^p has no variance under the stationary law: the errors here are those "
            "of the paths that were drawn, and too small."
        )
        return [reading, stationary, *([infinite] if told["growth_of_squares"] >= 1 else [])]

    def plot(self, ax: Axes | None = None) -> Figure:
        """Distances and their bound against steps; see `plots.distances`."""
        return plots.distances(self.dataset, ax)

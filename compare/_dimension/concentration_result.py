"""The result of compare.concentration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from sgdlimits.exact.errors import one_of

from ..estimates import half_width
from ..results import Result
from ..text_table import NOTHING, TextTable, number, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVEL = 0.95
EXPECTED = -0.5  # power of the dimension with which the risk concentrates
QUANTITIES = ("gap", "deviation", "limit_deviation")
WORDS = {"gap": "gap", "deviation": "spread of SGD", "limit_deviation": "spread of homogenized SGD"}


@dataclass(frozen=True)
class Slope:
    """A power of the dimension, with its standard error over draws of the data and a 95 % interval."""

    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True, eq=False, repr=False)
class Concentration(Result):
    """Error of homogenized SGD and spread of the risk over the dimension: what `compare.concentration` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over (dimension, redraw): `gap`, the largest relative difference of the expected risks up to the horizon, exact,
        and `step_size`. Over (dimension, redraw, epoch): `deviation`, the standard deviation of SGD's risk over its
        mean, and `limit_deviation` of homogenized SGD, exact (nan above 64 dimensions). Over (dimension, redraw):
        `past`, whether a mean-square threshold, of SGD or of homogenized SGD, is passed. Over (dimension): `exact`,
        whether `deviation` is.
    """

    kind: ClassVar[str] = "concentration"
    columns: ClassVar[tuple[str, ...]] = ("quantity", "epoch", "dimension", "mean", "low", "high", "exact")

    def heading(self) -> list[str]:
        told, sizes = self.dataset.attrs, self.dataset["dimension"].values
        return [
            f"Homogenized SGD over the dimension, {sizes[0]} to {sizes[-1]}: gap and concentration",
            f"{told['ratio']:g} rows a dimension, step size {told['fraction']:g} of the mean-square threshold of "
            f"{told['threshold']}, batch size {told['batch_size']}, {told['epochs']:g} epochs, "
            f"{self.dataset.sizes['redraw']} draws of the data",
        ]

    def slope(self, quantity: str, epoch: float | None = None) -> Slope:
        """The fitted power of the dimension of "gap", "deviation" or "limit_deviation"; the last epoch by default.

        A line through the logarithms of each draw; mean and standard error over draws.
        """
        values = self._values(one_of("quantity", quantity, QUANTITIES), epoch)
        known = np.isfinite(values).all(axis=1)
        if known.sum() < 2:
            return Slope(math.nan, math.nan, math.nan, math.nan)
        x = np.log(self.dataset["dimension"].values[known])
        centred = x - x.mean()
        slopes = np.log(values[known]).T @ centred / (centred @ centred)
        return Slope(*_interval(slopes))

    def table(self) -> list[dict[str, Any]]:
        """One dict a quantity, epoch and dimension."""
        rows = []
        for quantity in QUANTITIES:
            for epoch in [None] if quantity == "gap" else self.dataset["epoch"].values.tolist():
                values = self._values(quantity, epoch)
                for place, size in enumerate(self.dataset["dimension"].values.tolist()):
                    if not np.isfinite(values[place]).all():
                        continue
                    mean, _, low, high = _interval(values[place])
                    exact = quantity != "deviation" or bool(self.dataset["exact"].values[place])
                    row = {"quantity": quantity, "epoch": math.nan if epoch is None else epoch, "dimension": size}
                    rows.append(row | {"mean": mean, "low": low, "high": high, "exact": exact})
        return rows

    def tables(self) -> list[TextTable]:
        """Powers; then every dimension."""
        epochs = self.dataset["epoch"].values.tolist()
        rows = [self._slope_row("gap", None)]
        rows += [self._slope_row(name, epoch) for name in QUANTITIES[1:] for epoch in epochs]
        first = TextTable(("power", "standard error", "95 %", "expected", "of"), (("of the dimension", tuple(rows)),))
        groups: dict[str, list[tuple[str, ...]]] = {}
        for row in self.table():
            title = WORDS[row["quantity"]] + ("" if math.isnan(row["epoch"]) else f", at epoch {row['epoch']:g}")
            half = (row["high"] - row["low"]) / 2
            groups.setdefault(title, []).append((
                str(row["dimension"]), rounded(row["mean"], half),
                f"{rounded(row['low'], half)} to {rounded(row['high'], half)}", "exact" if row["exact"] else "sampled",
            ))  # fmt: skip
        heads = ("dimension", "mean", "95 % over draws", "each")
        return [first, TextTable(heads, tuple((t, tuple(g)) for t, g in groups.items()), "Every dimension")]

    def _slope_row(self, quantity: str, epoch: float | None) -> tuple[str, ...]:
        found = self.slope(quantity, epoch)
        where = "" if epoch is None else f", at epoch {epoch:g}"
        if math.isnan(found.value):
            return (NOTHING, NOTHING, NOTHING, NOTHING, WORDS[quantity] + where)
        verdict = "" if quantity == "gap" else f"{EXPECTED:g}"
        half = (found.high - found.low) / 2
        return (
            rounded(found.value, found.error), number(found.error, 2),
            f"{rounded(found.low, half)} to {rounded(found.high, half)}", verdict or NOTHING, WORDS[quantity] + where,
        )  # fmt: skip

    def notes(self) -> list[str]:
        told, past = self.dataset.attrs, self.dataset["past"].sum("redraw")
        sizes = [str(size) for size in self.dataset["dimension"].values[past.values > 0]]
        words = [
            f"In {int(past.sum())} draws, in dimension {', '.join(sizes)}, the step size is past the mean-square "
            "threshold of the other process, whose risk grows there without end."
        ] if sizes else []  # fmt: skip
        return [
            *words,
            "gap: the largest relative difference of the expected risks of SGD and homogenized SGD at any step up to "
            "the horizon, exact for each draw of the data. spread: the standard deviation of L(x_k) over its mean, "
            "exact for homogenized SGD up to 64 dimensions, and for SGD up to 8; else from "
            f"{told['paths']} paths. Powers are fitted to each draw; their standard errors are over draws. expected: "
            "the power with which the risk concentrates about its deterministic curve; of the gap no power is claimed.",
        ]

    def _values(self, quantity: str, epoch: float | None) -> np.ndarray:
        """Values (dimensions, draws)."""
        found = self.dataset[quantity]
        if quantity != "gap":
            found = found.isel(epoch=-1) if epoch is None else found.sel(epoch=epoch)
        return np.asarray(found.transpose("dimension", "redraw").values)

    def plot(self, ax: Axes | None = None) -> Figure:
        """Gap and spread against the dimension."""
        from .plots import dimensions

        return dimensions(self, ax)


def _interval(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, standard error and interval over draws."""
    mean, error = float(values.mean()), float(values.std(ddof=1)) / math.sqrt(values.size)
    half = float(half_width(values, LEVEL))
    return mean, error, mean - half, mean + half

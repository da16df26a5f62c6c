"""The result of compare.delocalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..results import Result
from ..text_table import TextTable, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NUMBERS = ("vector", "off-diagonal", "diagonal")
FORMULAS = {"vector": "|e_i R b|", "off-diagonal": "|R_ij|", "diagonal": "|R_ii - tr R / n|"}
BELOW = 0.25  # theta that the theorem asks for
LEVEL = 0.05  # at which data are told from Gaussian features, by the three numbers together
HOLDS, GAUSSIAN, ABOVE = "below 1/4", "as Gaussian", "above Gaussian"


@dataclass(frozen=True, eq=False, repr=False)
class Delocalisation(Result):
    """How delocalised the resolvent of data is: what `compare.delocalisation` returns.

    Attributes
    ----------
    dataset : xarray.Dataset
        Over number: `size`, the largest entry on the contour, and `theta`, its exponent in n^(theta - 1/2). Over
        (draw, number): the same of Gaussian features, `gaussian_size` and `gaussian_theta`.
    """

    kind: ClassVar[str] = "delocalisation"
    columns: ClassVar[tuple[str, ...]] = (
        "number", "size", "theta", "gaussian_low", "gaussian_median", "gaussian_high", "verdict",
    )  # fmt: skip

    def heading(self) -> list[str]:
        told = self.dataset.attrs
        return [
            f"Is the theorem behind homogenized SGD about these data? {told['name']}, {told['rows']} rows, "
            f"{told['features']} features",
            self.sentence(),
        ]

    def table(self) -> list[dict[str, Any]]:
        """One dict a number."""
        rows, told_apart = [], self.p_value() <= LEVEL
        for name in NUMBERS:
            here = self.dataset.sel(number=name)
            theta, others = float(here["theta"]), here["gaussian_theta"].values
            row = {"number": name, "size": float(here["size"]), "theta": theta}
            row |= {"gaussian_low": float(others.min()), "gaussian_median": float(np.median(others))}
            row |= {"gaussian_high": float(others.max())}
            beyond = told_apart and theta > others.max()
            verdict = HOLDS if theta < BELOW else ABOVE if beyond else GAUSSIAN
            rows.append(row | {"verdict": verdict})
        return rows

    def p_value(self) -> float:
        """Of the hypothesis that the data are Gaussian features: by rank, of the three numbers together, exact.

        Data and draws are alike under it, so that the largest standardised number of the data has any rank among those
        of all. Each number at its own largest of 20 draws would be wrong for one Gaussian data set in seven.
        """
        values = np.vstack([self.dataset["theta"].values, self.dataset["gaussian_theta"].values])
        spread = values.std(axis=0)
        centred = np.divide(values - values.mean(axis=0), spread, out=np.zeros_like(values), where=spread > 0)
        largest = centred.max(axis=1)
        return float((largest >= largest[0]).mean())

    def sentence(self) -> str:
        """Whether the theorem is about these data, from the numbers."""
        told, rows = self.dataset.attrs, self.table()
        above = [row for row in rows if row["verdict"] == ABOVE]
        if above:
            which = " and ".join(
                f"{FORMULAS[row['number']]} (theta {row['theta']:.2f}, Gaussian features at most "
                f"{row['gaussian_high']:.2f})"
                for row in above
            )
            return (
                f"No: more localised than {told['draws']} draws of Gaussian features of the same size and spectrum, "
                f"and not below n^(-1/4), in {which}; p = {self.p_value():.2g} for the three numbers together; what "
                "homogenized SGD does on them is to be measured, not cited."
            )
        if all(row["verdict"] == HOLDS for row in rows):
            return "Yes, in numbers: every theta is below the 1/4 that the theorem asks for at this size."
        worst = max(rows, key=lambda row: row["theta"])
        others = " and ".join(FORMULAS[row["number"]] for row in rows if row["theta"] > row["gaussian_high"])
        p = f"p = {self.p_value():.2g} for the three numbers together"
        like = f"but not told from Gaussian features of the same size and spectrum ({p}): it is the size that is small."
        if self.p_value() <= LEVEL:
            like = (
                "within what Gaussian features of the same size and spectrum have: there it is the size that is small. "
                f"The data are told from such features ({p}), but "
                + (f"in {others}, below 1/4." if others else "by no number that exceeds all of theirs.")
            )
        return (
            f"As far as {told['rows']} rows can tell: theta is {worst['theta']:.2f}, above the 1/4 that is asked for, "
            + like
        )

    def tables(self) -> list[TextTable]:
        """A row a number."""
        heads = ("largest", "theta", "Gaussian, lowest", "median", "highest", "verdict")
        groups = tuple(
            (
                f"{row['number']}, {FORMULAS[row['number']]}",
                ((number(row["size"]), *(f"{row[name]:.3f}" for name in ("theta", "gaussian_low", "gaussian_median",
                  "gaussian_high")), row["verdict"]),),
            )
            for row in self.table()
        )  # fmt: skip
        return [TextTable(heads, groups)]

    def notes(self) -> list[str]:
        told = self.dataset.attrs
        return [
            "R(z) is the resolvent of A A^T, scaled to a largest eigenvalue of 1, b of length 1; largest: over a "
            "circle of radius 1 about 1/2. theta: largest = n^(theta - 1/2). The hypothesis, theta < 1/4 "
            "(from memory of the theorem on many passes, whose text was not read), is about families of data as n "
            f"grows; one data set has numbers of its own, to be read beside those of {told['draws']} draws of Gaussian "
            "features with the same singular values, the same fit and the same residual. above Gaussian: larger than "
            "all of these, where the largest of the three standardised numbers is among the first "
            f"{100 * LEVEL:g} %."
        ]

    def plot(self, ax: Axes | None = None) -> Figure:
        """Exponents beside those of Gaussian features."""
        from .plots import exponents

        return exponents(self, ax)

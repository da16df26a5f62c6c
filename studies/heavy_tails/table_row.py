"""One row of the table on data: what is known of both indices, what was fitted, and what follows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sgdlimits.compare._tails.rows import Known
from sgdlimits.compare.tail_estimators import GoodnessOfFit, TailEstimate

from .verdicts import Interval, within, worded

ACCEPTED = 0.05  # p-value below which a law is rejected
SGD, LIMIT = "SGD", "homogenized SGD"  # labels of the two sides


@dataclass(frozen=True)
class Bounds:
    """Bounds on the index of homogenized SGD; nan where it has none.

    Attributes
    ----------
    lower, upper : float
    lower_proved, upper_proved : bool
    regime : str
        On which side of its mean-square threshold.
    why_not : str
        Why there are none.
    """

    lower: float = math.nan
    upper: float = math.nan
    lower_proved: bool = False
    upper_proved: bool = False
    regime: str = ""
    why_not: str = ""

    @property
    def interval(self) -> Interval:
        """The two."""
        return self.lower, self.upper

    @property
    def proved(self) -> bool:
        """Whether both are."""
        return self.lower_proved and self.upper_proved


@dataclass(frozen=True)
class TableRow:
    """One data set, batch size and ridge.

    Attributes
    ----------
    data : str
    rows, columns : int
        Of the data.
    batch_size : int
    ridge, step_size : float
    threshold_share : float
        Step size over SGD's exact mean-square threshold.
    bounds : Bounds
    homogenized, sgd : Known
        The index of each side, or what is known of it.
    paths, steps : int
        Of the sample; no steps where there is none.
    student : TailEstimate
        Student's t fitted to ends of paths of SGD; its degrees of freedom are the index.
    student_fit, stable_fit : GoodnessOfFit
        Whether Student's t and the symmetric stable law describe the ends of SGD.
    notes : tuple of str
        What to know of the sample, and why a number is missing.
    """

    data: str
    rows: int
    columns: int
    batch_size: int
    ridge: float
    step_size: float
    threshold_share: float
    bounds: Bounds
    homogenized: Known
    sgd: Known
    paths: int
    steps: int
    student: TailEstimate
    student_fit: GoodnessOfFit
    stable_fit: GoodnessOfFit
    notes: tuple[str, ...] = ()

    @property
    def fitted(self) -> Interval:
        """Interval of the fitted degrees of freedom."""
        return self.student.lower, self.student.upper

    @property
    def one_index(self) -> bool | None:
        """Whether both sides may have one index: the interval of one lies in the other's. Proved bounds can deny it."""
        sides = self.homogenized.interval, self.sgd.interval
        if self.homogenized.index is None:
            apart = self.bounds.proved and within(self.sgd.interval, self.bounds.interval) is False
            return False if apart else None
        return within(*sides) or within(*sides[::-1])

    @property
    def sgd_inside(self) -> bool | None:
        """Whether SGD's own index lies inside the bounds."""
        return within(self.sgd.interval, self.bounds.interval)

    @property
    def fitted_inside(self) -> bool | None:
        """Whether the interval of the fitted degrees of freedom lies inside the bounds."""
        return within(self.fitted, self.bounds.interval)

    @property
    def fitted_is_index(self) -> bool | None:
        """Whether the interval of the fitted degrees of freedom holds SGD's index."""
        return within(self.sgd.interval, self.fitted)

    @property
    def student_accepted(self) -> bool | None:
        """Whether Student's t is not rejected."""
        return _accepted(self.student_fit)

    @property
    def stable_accepted(self) -> bool | None:
        """Whether the symmetric stable law is not rejected."""
        return _accepted(self.stable_fit)

    @property
    def ratio(self) -> float:
        """Index of homogenized SGD over SGD's; nan unless both are known and finite."""
        sides = [side.index for side in (self.homogenized, self.sgd)]
        numbers = [math.nan if each is None else each.index for each in sides]
        return numbers[0] / numbers[1] if all(map(math.isfinite, numbers)) else math.nan

    @property
    def verdict(self) -> str:
        """In words."""
        where = worded(self.fitted_inside, "inside the bounds", "outside the bounds")
        what = worded(self.fitted_is_index, "holds SGD's index", "not SGD's index")
        laws = {"t": self.student_accepted, "symmetric stable": self.stable_accepted}
        fits = ", ".join(f"{law} {worded(each, 'not rejected', 'rejected')}" for law, each in laws.items())
        missing = [
            f"the index of {name} is not known ({side.text})"
            for name, side in ((SGD, self.sgd), (LIMIT, self.homogenized))
            if side.index is None
        ]
        where = f"{where} whether in the bounds" if self.fitted_inside is None else where
        what = f"{what} whether SGD's index" if self.fitted_is_index is None else what
        return "; ".join([f"fitted nu: {where}, {what}", fits, *missing])


def _accepted(fit: GoodnessOfFit) -> bool | None:
    return None if math.isnan(fit.p_value) else fit.p_value > ACCEPTED

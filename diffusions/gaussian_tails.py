"""Tails of diffusions whose stationary law is Gaussian, or a point: all moments are finite."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from sgdlimits.exact.errors import InvalidInput, NoStationaryLaw
from sgdlimits.exact.tail_index import TailIndex


class GaussianTails:
    """What a diffusion of linear drift has whose noise does not depend on the position.

    Attributes
    ----------
    stationary_in_words : str
        What is stationary.
    """

    tail_index_closed: ClassVar[bool] = True
    stationary_in_words: ClassVar[str]

    def fourth_moments_settle(self: Any) -> bool:
        """Whether the mean settles: the law is Gaussian about it, so that every moment then does."""
        return bool(self.quadratic.curvatures.min() >= 0)

    def tail_index(self: Any) -> TailIndex:
        """Infinite: the stationary law is Gaussian, or a point. It is not the index of SGD.

        Raises
        ------
        NoStationaryLaw
            If the objective has a negative curvature.
        InvalidInput
            If the step size is a schedule, or the objective is no quadratic, or flat.
        """
        return gaussian_tail_index(self, self.stationary_in_words)


def gaussian_tail_index(process: Any, law: str) -> TailIndex:
    """Infinite, or an error; `law`: what is stationary, in words."""
    float(process.step_size)  # a schedule says that it is no number
    problem, rates = process.quadratic, process.rates
    if problem.curvatures.min() < 0:
        raise NoStationaryLaw(
            f"the descended objective has the negative curvature {problem.curvatures.min():.6g}, so {process.label} "
            "runs away; raise the ridge",
            0.0,
        )
    if not (rates > 0).any():
        raise InvalidInput("the objective is flat: nothing pulls back, and there is no stationary law to ask about")
    other = "" if problem.additive else ". The noise of SGD grows with the distance: this index is not SGD's"
    return TailIndex(
        math.inf, 0.0, "closed form: linear drift, and noise that does not depend on the position",
        -float(rates[rates > 0].min()), 0.0, f"the law is {law}, with all its moments{other}",
    )  # fmt: skip

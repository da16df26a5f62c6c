"""Does a fitted law describe a sample? Kolmogorov-Smirnov distance, judged by a bootstrap of the whole fit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from sgdlimits.exact.errors import one_of, seed_number, whole_number

from .samples import whole_sample
from .stable_fits import LEVELS
from .stable_table import LEAST, MOST, index_of, ratios
from .student_fits import LARGEST_INDEX, distance, fit_student, standardised

LAWS = ("student", "stable")
INDICES, PLACES = 31, 161  # of the table of stable laws: right to 2e-4 for indices above 0.8, to 3e-3 at 0.5


@dataclass(frozen=True)
class GoodnessOfFit:
    """Distance of a sample to a law fitted to it, and how often a sample of that law lies as far from its own fit.

    Attributes
    ----------
    law : {"student", "stable"}
    index : float
        Of the fitted law: degrees of freedom, or the stable index; math.inf where that is the normal law.
    ks : float
        Largest difference of the two distribution functions.
    p_value : float
        (1 + resamples with a larger distance) / (1 + resamples).
    resamples : int
    """

    law: str
    index: float
    ks: float
    p_value: float
    resamples: int


def goodness_of_fit(sample: Any, law: str = "student", resamples: int = 99, seed: int = 0) -> GoodnessOfFit:
    """Test of a law whose parameters are fitted to the same sample.

    The usual p-value of Kolmogorov and Smirnov knows nothing of the fit and accepts too often. Here samples of the
    fitted law are drawn, each is fitted anew, and its distance to its own fit is held against that of the data
    (parametric bootstrap; Stute, Gonzalez Manteiga and Presedo Quindimil 1993).

    Parameters
    ----------
    sample : (n,) array
        Independent values.
    law : {"student", "stable"}
        Student's t with location and scale by maximum likelihood, or the symmetric stable law with McCulloch's index
        and scale about the median. Both contain the normal law.
    resamples : int
        At least 19: with fewer no p-value is as small as 5 %.
    seed : int

    Returns
    -------
    GoodnessOfFit

    Raises
    ------
    InvalidInput
        If the sample shows nothing (too short, not finite, ties), or an argument cannot be used.
    """
    one_of("law", law, LAWS)
    resamples = whole_number("resamples", resamples, 19)
    generator = np.random.Generator(np.random.Philox(seed_number(seed)))
    _, _, x = standardised(whole_sample(sample))
    fit, draw = (_student, _draw_student) if law == "student" else (_stable, _draw_stable)
    index, ks = fit(x)
    # Both fits move with location and scale, so that the law's own need not be drawn.
    farther = sum(fit(draw(index, len(x), generator))[1] >= ks for _ in range(resamples))
    return GoodnessOfFit(law, index, ks, (1 + farther) / (1 + resamples), resamples)


def stable_distribution(x: np.ndarray, index: float) -> np.ndarray:
    """P(X <= x) of the symmetric stable law exp(-|t|^index), from a table that scipy fills once."""
    values = _table()(index, _place(np.abs(x)), grid=False)
    return np.where(x < 0, 1 - values, values)


@cache
def _table() -> Callable[..., np.ndarray]:
    from scipy.interpolate import RectBivariateSpline
    from scipy.stats import cauchy, levy_stable, norm

    indices, places = np.linspace(LEAST, MOST, INDICES), np.linspace(0.0, 1.0, PLACES)
    x = np.tan(0.5 * math.pi * places[:-1])
    rows = []
    for index in indices:
        if index == MOST:
            row = norm.cdf(x, scale=math.sqrt(2))
        elif abs(index - 1) < 1e-9:
            row = cauchy.cdf(x)
        else:
            row = levy_stable.cdf(x, index, 0.0)
        rows.append(np.r_[row, 1.0])
    return RectBivariateSpline(indices, places, np.array(rows))


def _place(x: np.ndarray) -> np.ndarray:
    return np.arctan(x) / (0.5 * math.pi)


def _student(x: np.ndarray) -> tuple[float, float]:
    index, _, _, ks = fit_student(standardised(x)[2])
    return math.inf if index >= 0.99 * LARGEST_INDEX else index, ks


def _stable(x: np.ndarray) -> tuple[float, float]:
    quantiles = np.quantile(x, LEVELS, method="hazen")  # McCulloch's convention
    spread, _ = ratios(quantiles)
    index = float(index_of(np.array([spread]), np.zeros(1))[0][0])
    scale = (quantiles[3] - quantiles[1]) / (2 * float(np.interp(index, *_upper_quartiles())))
    ks = distance(stable_distribution(np.sort(x - quantiles[2]) / scale, index))
    return index if index < MOST else math.inf, ks


@cache
def _upper_quartiles() -> tuple[np.ndarray, np.ndarray]:
    """Indices, and where the stable distribution function of each passes 3/4."""
    indices, places = np.linspace(LEAST, MOST, 8 * INDICES), np.linspace(0.0, 1.0, 8 * PLACES)
    found = [np.interp(0.75, row, places) for row in _table()(indices, places)]
    return indices, np.tan(0.5 * math.pi * np.array(found))


def _draw_student(index: float, n: int, generator: np.random.Generator) -> np.ndarray:
    return generator.standard_normal(n) if math.isinf(index) else generator.standard_t(index, n)


def _draw_stable(index: float, n: int, generator: np.random.Generator) -> np.ndarray:
    """By Chambers, Mallows and Stuck (1976), the symmetric case."""
    if math.isinf(index):
        return generator.standard_normal(n)
    angle, wait = math.pi * (generator.random(n) - 0.5), generator.standard_exponential(n)
    power = (np.cos((1 - index) * angle) / wait) ** ((1 - index) / index)
    return np.sin(index * angle) / np.cos(angle) ** (1 / index) * power

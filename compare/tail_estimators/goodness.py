"""Does a fitted law describe a sample? Kolmogorov-Smirnov distance, judged by a bootstrap of the whole fit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sgdlimits.exact.errors import one_of, seed_number, whole_number

from .doubts import doubts_of_whole
from .samples import whole_sample
from .stable_law import draw_stable, fit_stable
from .stable_table import MOST
from .student_fits import LARGEST_INDEX, distance, fit_student, standardised

LAWS = ("student", "stable", "symmetric stable")


@dataclass(frozen=True)
class GoodnessOfFit:
    """Distance of a sample to a law fitted to it, and how often a sample of that law lies as far from its own fit.

    Attributes
    ----------
    law : {"student", "stable", "symmetric stable"}
    index : float
        Of the fitted law: degrees of freedom, or the stable index; math.inf where that is the normal law.
    ks : float
        Largest difference of the two distribution functions.
    p_value : float
        (1 + resamples with a larger distance) / (1 + resamples).
    resamples : int
    skewness : float
        Of a stable law, from -1 to 1.
    warnings : tuple of str
        Sentences that say why not to trust the p-value: it is made for independent values without ties.
    """

    law: str
    index: float
    ks: float
    p_value: float
    resamples: int
    skewness: float = 0.0
    warnings: tuple[str, ...] = ()


def goodness_of_fit(sample: Any, law: str = "student", resamples: int = 99, seed: int = 0) -> GoodnessOfFit:
    """Test of a law whose parameters are fitted to the same sample.

    The usual p-value of Kolmogorov and Smirnov knows nothing of the fit and accepts too often. Here samples of the
    fitted law are drawn, each is fitted anew, and its distance to its own fit is held against that of the data
    (parametric bootstrap; Stute, Gonzalez Manteiga and Presedo Quindimil 1993).

    Parameters
    ----------
    sample : (n,) array
        Independent values, in the order in which they came; clusters and ties are warned of.
    law : {"student", "stable", "symmetric stable"}
        Student's t with location and scale by maximum likelihood, or the stable law by McCulloch's quantiles, with
        their skewness or without. All contain the normal law.
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
    values = whole_sample(sample)
    _, _, x = standardised(values)
    fitted = _fit(x, law)
    # The fits move with location and scale, so that the law's own need not be drawn.
    farther = sum(_fit(_draw(fitted, law, len(x), generator), law)[2] >= fitted[2] for _ in range(resamples))
    index, skewness, ks = fitted
    p_value = (1 + farther) / (1 + resamples)
    return GoodnessOfFit(law, index, ks, p_value, resamples, skewness, doubts_of_whole(values))


def _fit(x: np.ndarray, law: str) -> tuple[float, float, float]:
    # Index, skewness of a stable law, and distance.
    if law == "student":
        index, _, _, ks = fit_student(standardised(x)[2])
        return math.inf if index >= 0.99 * LARGEST_INDEX else index, 0.0, ks
    found = fit_stable(np.sort(x), law == "symmetric stable")
    return found.index if found.index < MOST else math.inf, found.skewness, distance(found.below)


def _draw(fitted: tuple[float, float, float], law: str, n: int, generator: np.random.Generator) -> np.ndarray:
    index, skewness, _ = fitted
    if math.isinf(index):
        return generator.standard_normal(n)
    return generator.standard_t(index, n) if law == "student" else draw_stable(index, skewness, n, generator)

"""Estimators of the tail index from samples, each with an interval, the order statistics used and warnings.

The index is that of the survival function, P(|X| > t) ~ t^-index (the density's exponent is one more). Which to trust
when stands in docs/tail_estimators.md, with the coverage that each interval reaches.
"""

from .goodness import GoodnessOfFit, goodness_of_fit
from .lognormal_tails import LognormalComparison, against_lognormal
from .order_statistics import corrected_hill, hill, moment, pickands
from .pareto_fits import power_law
from .plots import alt_hill_plot, hill_plot, qq_plot, survival_plot
from .result import TailEstimate
from .stable_fits import stable_blocks, stable_quantiles
from .student_fits import skewed_student, student

__all__ = [
    "GoodnessOfFit",
    "LognormalComparison",
    "TailEstimate",
    "against_lognormal",
    "alt_hill_plot",
    "corrected_hill",
    "goodness_of_fit",
    "hill",
    "hill_plot",
    "moment",
    "pickands",
    "power_law",
    "qq_plot",
    "skewed_student",
    "stable_blocks",
    "stable_quantiles",
    "student",
    "survival_plot",
]

"""Estimators of the tail index from samples, each with an interval, the order statistics used and warnings.

The index is that of the survival function, P(|X| > t) ~ t^-index (the density's exponent is one more). Which to trust
when stands in docs/tail_estimators.md, with the coverage that each interval reaches.
"""

from .order_statistics import corrected_hill, hill, moment, pickands
from .result import TailEstimate

__all__ = ["TailEstimate", "corrected_hill", "hill", "moment", "pickands"]

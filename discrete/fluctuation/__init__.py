"""What SGD does at stationarity, exactly: losses, averages, correlations, shapes, dissipation, sampling, decay."""

from .averages import autocovariance, average
from .dissipation import Dissipation, dissipation
from .loss_table import LossTable, table
from .posteriors import Posterior, posterior
from .shapes import Ellipse, ellipse, shapes
from .weight_decays import WeightDecay, weight_decay

__all__ = [
    "Dissipation", "Ellipse", "LossTable", "Posterior", "WeightDecay", "autocovariance", "average", "dissipation",
    "ellipse", "posterior", "shapes", "table", "weight_decay",
]  # fmt: skip

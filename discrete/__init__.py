"""Exact recurrences: SGD step by step, its exact moments, and what is exactly known of them."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.discrete, not discrete")

from sgdlimits.exact import schedules

from . import escape, fluctuation, rules
from .additive_recurrence import AdditiveRecurrence
from .curvature import Sharpness, sharpness
from .exponent_bounds import tail_exponent_bounds
from .kesten import kesten_index
from .lipschitz_factors import LipschitzFactors, lipschitz_factors
from .method_table import methods
from .noisy_gradient_descent import NoisyGradientDescent
from .recurrence import Recurrence, simulate
from .sgd import SGD
from .svag import SVAG

__all__ = [
    "SGD", "SVAG", "AdditiveRecurrence", "LipschitzFactors", "NoisyGradientDescent", "Recurrence", "Sharpness",
    "escape", "fluctuation", "kesten_index", "lipschitz_factors", "methods", "rules", "schedules", "sharpness",
    "simulate", "tail_exponent_bounds",
]  # fmt: skip

"""SGD beside its continuous approximations: laws, orders, error budget, distances, reports."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.compare, not compare")

from ._bounds import Bounds, bounds
from ._validity import Validity, validity
from ._closure import ClosureCheck, closure
from ._contraction import Contraction, contraction
from ._dimension import Concentration, Delocalisation, concentration, delocalisation
from ._dose_response import DoseResponse, dose_response
from ._golden_path import GoldenPath, golden_path
from ._laws import Laws, laws
from ._manifold import Manifold, manifold
from ._matched_noise import MatchedNoise, linear_scaling, svag
from ._noise_cost import NoiseCost, noise_cost, noise_cost_of_curves
from ._orders import Orders, orders
from ._paths import Paths, paths
from ._scaling import ScalingLaws, scaling_laws
from ._snapping import Snapping, snapping
from ._step_size_effect import StepSizeEffect, step_size_effect
from ._tails import Tails, tails
from ._time_scales import TimeScale, TimeScales, time_scales
from .known_law import KnownLaw

__all__ = [
    "Bounds",
    "Validity",
    "ClosureCheck",
    "Concentration",
    "Contraction",
    "Delocalisation",
    "DoseResponse",
    "GoldenPath",
    "KnownLaw",
    "Laws",
    "Manifold",
    "MatchedNoise",
    "NoiseCost",
    "Orders",
    "Paths",
    "ScalingLaws",
    "Snapping",
    "StepSizeEffect",
    "Tails",
    "TimeScale",
    "TimeScales",
    "bounds",
    "validity",
    "closure",
    "concentration",
    "contraction",
    "delocalisation",
    "dose_response",
    "golden_path",
    "laws",
    "linear_scaling",
    "manifold",
    "noise_cost",
    "noise_cost_of_curves",
    "orders",
    "paths",
    "scaling_laws",
    "snapping",
    "step_size_effect",
    "svag",
    "tails",
    "time_scales",
]

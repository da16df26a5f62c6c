"""SGD beside its continuous approximations: laws, orders, error budget, distances, reports."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.compare, not compare")

from ._bounds import Bounds, bounds
from ._closure import ClosureCheck, closure
from ._contraction import Contraction, contraction
from ._dimension import Concentration, Delocalisation, concentration, delocalisation
from ._dose_response import DoseResponse, dose_response
from ._exit_scaling import ExitScaling, exit_scaling
from ._exploration import Exploration, exploration
from ._finite_time_exponents import FiniteTimeExponents, finite_time_exponents
from ._golden_path import GoldenPath, golden_path
from ._last_iterates import LastIterates, last_iterates
from ._laws import Laws, laws
from ._manifold import Manifold, manifold
from ._matched_noise import MatchedNoise, linear_scaling, svag
from ._noise_cost import NoiseCost, noise_cost, noise_cost_of_curves
from ._orders import Orders, orders
from ._paths import Paths, paths
from ._rank_correlation import RankCorrelation, index_and_test_error, rank_correlation
from ._singular_values import SingularValues, singular_values
from ._scaling import ScalingLaws, scaling_laws
from ._snapping import Snapping, snapping
from ._step_size_effect import StepSizeEffect, step_size_effect
from ._tails import Tails, tails
from ._time_scales import TimeScale, TimeScales, time_scales
from ._validity import Validity, validity
from ._width_preference import WidthPreference, width_preference
from .known_law import KnownLaw

__all__ = [
    "Bounds",
    "ClosureCheck",
    "Concentration",
    "Contraction",
    "Delocalisation",
    "DoseResponse",
    "ExitScaling",
    "Exploration",
    "FiniteTimeExponents",
    "GoldenPath",
    "KnownLaw",
    "LastIterates",
    "Laws",
    "Manifold",
    "MatchedNoise",
    "NoiseCost",
    "Orders",
    "Paths",
    "RankCorrelation",
    "SingularValues",
    "ScalingLaws",
    "Snapping",
    "StepSizeEffect",
    "Tails",
    "TimeScale",
    "TimeScales",
    "Validity",
    "WidthPreference",
    "bounds",
    "closure",
    "concentration",
    "contraction",
    "delocalisation",
    "dose_response",
    "exit_scaling",
    "exploration",
    "finite_time_exponents",
    "golden_path",
    "index_and_test_error",
    "last_iterates",
    "laws",
    "linear_scaling",
    "manifold",
    "noise_cost",
    "noise_cost_of_curves",
    "orders",
    "paths",
    "rank_correlation",
    "singular_values",
    "scaling_laws",
    "snapping",
    "step_size_effect",
    "svag",
    "tails",
    "time_scales",
    "validity",
    "width_preference",
]

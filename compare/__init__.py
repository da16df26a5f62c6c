"""SGD beside its continuous approximations: laws, orders, error budget, distances, reports."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.compare, not compare")

from ._bounds import Bounds, bounds
from ._contraction import Contraction, contraction
from ._dose_response import DoseResponse, dose_response
from ._laws import Laws, laws
from ._golden_path import GoldenPath, golden_path
from ._manifold import Manifold, manifold
from ._noise_cost import NoiseCost, noise_cost, noise_cost_of_curves
from ._orders import Orders, orders
from ._paths import Paths, paths
from ._snapping import Snapping, snapping
from ._tails import Tails, tails
from ._time_scales import TimeScale, TimeScales, time_scales
from .known_law import KnownLaw

__all__ = [
    "Bounds",
    "Contraction",
    "DoseResponse",
    "GoldenPath",
    "KnownLaw",
    "Laws",
    "Manifold",
    "NoiseCost",
    "Orders",
    "Paths",
    "Snapping",
    "Tails",
    "TimeScale",
    "TimeScales",
    "bounds",
    "contraction",
    "dose_response",
    "golden_path",
    "laws",
    "manifold",
    "noise_cost",
    "noise_cost_of_curves",
    "orders",
    "paths",
    "snapping",
    "tails",
    "time_scales",
]

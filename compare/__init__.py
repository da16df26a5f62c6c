"""SGD beside its continuous approximations: laws, orders, error budget, distances, reports."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.compare, not compare")

from ._laws import laws
from ._manifold import Manifold, manifold
from ._orders import orders
from ._time_scales import Passage, TimeScales, time_scales
from .outcomes import Laws, Orders

__all__ = [
    "Laws",
    "Manifold",
    "Orders",
    "Passage",
    "TimeScales",
    "laws",
    "manifold",
    "orders",
    "time_scales",
]

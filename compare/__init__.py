"""SGD beside its continuous approximations: laws, orders, error budget, distances, reports."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.compare, not compare")

from ._laws import laws
from ._orders import orders
from .outcomes import Laws, Orders

__all__ = ["Laws", "Orders", "laws", "orders"]

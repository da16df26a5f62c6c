"""compare.orders: observed weak orders over a ladder of step sizes."""

from .driver import orders
from .result import Orders

__all__ = ["Orders", "orders"]

"""compare.last_iterates: tails of the weights in which independent runs end, layer by layer."""

from .driver import last_iterates
from .result import LastIterates

__all__ = ["LastIterates", "last_iterates"]

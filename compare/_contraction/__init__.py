"""compare.contraction: the distance to the stationary law in W_p, step by step, beside its bound."""

from .driver import contraction
from .result import Contraction

__all__ = ["Contraction", "contraction"]

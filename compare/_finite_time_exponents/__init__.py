"""compare.finite_time_exponents: Lyapunov exponents of SGD over finite times, and their spread over runs."""

from .driver import finite_time_exponents
from .result import FiniteTimeExponents

__all__ = ["FiniteTimeExponents", "finite_time_exponents"]

"""compare.laws: processes side by side, in law."""

from .driver import laws
from .result import Laws

__all__ = ["Laws", "laws"]

"""compare.closure: a closure beside paths of the rule whose matrix it froze."""

from .driver import closure
from .result import ClosureCheck

__all__ = ["ClosureCheck", "closure"]

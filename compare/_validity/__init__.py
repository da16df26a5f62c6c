"""The question asked backwards: up to which step size is a limit within a few per cent of SGD?"""

from .driver import validity
from .result import Validity

__all__ = ["Validity", "validity"]

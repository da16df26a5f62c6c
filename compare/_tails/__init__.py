"""compare.tails: tail indices of processes side by side, exact, bounded and estimated."""

from .driver import tails
from .result import Tails

__all__ = ["Tails", "tails"]

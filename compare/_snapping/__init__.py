"""compare.snapping: what is left of a run's noise after its noise drops, exactly."""

from .driver import snapping
from .result import Snapping

__all__ = ["Snapping", "snapping"]

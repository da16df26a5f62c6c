"""How wrong limits are at worst: suprema over all steps, constants over step sizes."""

from .driver import bounds
from .result import Bounds

__all__ = ["Bounds", "bounds"]

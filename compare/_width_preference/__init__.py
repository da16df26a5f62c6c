"""compare.width_preference: how much more often, and longer, a process is in a wide well than in a sharp one.

    def make(width):  # a middle well of width 2 between a sharp one and one of this width, equal barriers
        wells = escape.Wells([1, 2, width], start=1.5)
        sgd = escape.LandscapeDescent(wells, 0.05, escape.MultiplicativeNoise(1.0, additive=1.5))
        alike = escape.matched(sgd, lambda level: escape.LandscapeDescent(wells, 0.05, level**2), by="rate")
        return {"multiplicative": sgd, "additive": alike.descent}

    compare.width_preference(make, [1.0, 1.5, 2.0, 3.0])
"""

from .driver import width_preference
from .result import WidthPreference

__all__ = ["WidthPreference", "width_preference"]

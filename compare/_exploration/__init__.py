"""compare.exploration: how long processes stay in a well, when they find the widest one, and how much they are there.

    from sgdlimits import compare, diffusions
    from sgdlimits.discrete import escape

    wells = escape.Wells(widths=[1, 3], start=0)  # a sharp and a wide well behind equal barriers
    sgd = escape.LandscapeDescent(wells, 0.05, escape.MultiplicativeNoise(1.2, additive=0.6))
    additive = lambda level: escape.LandscapeDescent(wells, 0.05, level**2)
    spread, rate = escape.matched(sgd, additive), escape.matched(sgd, additive, by="rate")
    result = compare.exploration({
        "multiplicative": sgd, "additive, equal spread": spread.descent, "additive, equal rate": rate.descent,
        "homogenized": diffusions.LandscapeDiffusion.homogenized(wells, 0.05, batch_size=2, floor=0.2),
        "stable": diffusions.StableLangevin(wells, 0.4, 1.7, step_size=0.05, substeps=4),
    })

`compare.exit_scaling` fits how the time to leave grows with the barrier or the radius, `compare.width_preference` how
the preference for a well grows with its width.
"""

from .driver import exploration
from .result import Exploration

__all__ = ["Exploration", "exploration"]

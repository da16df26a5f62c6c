"""compare.svag and compare.linear_scaling: processes that share one diffusion, at matched times."""

from .driver import linear_scaling, svag
from .result import MatchedNoise

__all__ = ["MatchedNoise", "linear_scaling", "svag"]

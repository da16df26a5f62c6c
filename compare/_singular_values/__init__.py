"""compare.singular_values: how much steps of SGD stretch and shrink, along training, over the batches drawn."""

from .driver import singular_values
from .result import SingularValues

__all__ = ["SingularValues", "singular_values"]

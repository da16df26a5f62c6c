"""Do heavier tails generalise better? The index and the test error of a cell, and their rank correlation over cells."""

from .cell import index_and_test_error
from .driver import rank_correlation
from .result import RankCorrelation

__all__ = ["RankCorrelation", "index_and_test_error", "rank_correlation"]

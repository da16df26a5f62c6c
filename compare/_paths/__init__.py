"""compare.paths: paths of noisy gradient descent beside their limit on the set of zero loss, and the fast phase."""

from .driver import paths
from .result import Paths

__all__ = ["Paths", "paths"]

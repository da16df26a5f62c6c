"""compare.manifold: noisy gradient descent beside its limit on the set of zero loss."""

from .driver import manifold
from .result import Manifold

__all__ = ["Manifold", "manifold"]

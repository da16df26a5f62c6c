"""compare.golden_path: online SGD against its noiseless path, as a test that can fail."""

from .driver import golden_path
from .result import GoldenPath

__all__ = ["GoldenPath", "golden_path"]

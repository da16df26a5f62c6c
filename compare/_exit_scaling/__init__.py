"""compare.exit_scaling: how the time to leave a basin grows, with the barrier or with the radius."""

from .driver import exit_scaling
from .result import ExitScaling

__all__ = ["ExitScaling", "exit_scaling"]

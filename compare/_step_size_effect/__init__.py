"""compare.step_size_effect: gradient descent against gradient flow, apart from what noise does."""

from .driver import step_size_effect
from .result import StepSizeEffect

__all__ = ["StepSizeEffect", "step_size_effect"]

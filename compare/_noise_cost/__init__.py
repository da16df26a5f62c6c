"""What noise costs online: steps and samples to a level, critical batch size, budgets, scaling rules."""

from .driver import noise_cost
from .measured import noise_cost_of_curves
from .result import NoiseCost

__all__ = ["NoiseCost", "noise_cost", "noise_cost_of_curves"]

"""Noise mechanisms near a set of zero loss: objects that combine with any model they fit, and add up with +.

Every `sigma` is a standard deviation.
"""

from .masks import DropConnect, Dropout
from .mechanism import Draw, Mechanism, Mixture, Regime, steps_per_time
from .perturbations import AntiCorrelated, Langevin, LossNoise, WeightNoise
from .sampling import InputNoise, LabelNoise, Minibatch
from .stepping import Perturbation, noisy_gradient, perturbation

__all__ = [
    "AntiCorrelated",
    "Draw",
    "DropConnect",
    "Dropout",
    "InputNoise",
    "LabelNoise",
    "Langevin",
    "LossNoise",
    "Mechanism",
    "Minibatch",
    "Mixture",
    "Perturbation",
    "Regime",
    "WeightNoise",
    "noisy_gradient",
    "perturbation",
    "steps_per_time",
]

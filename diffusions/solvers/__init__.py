"""Schemes for Ito diffusions: one a file, each with the orders that it claims, all of them in SCHEMES."""

from .coefficients import NOISE_TYPES, Coefficients, Diffusion
from .fused import fused_simulator
from .quadrature import linear_moments, step_noise_nodes
from .ninomiya_victoir import NinomiyaVictoir
from .registry import SCHEMES, find_scheme
from .process import process_simulator, scheme_simulator, steps_of
from .scheme import AdaptiveScheme, ModalScheme, Scheme, StepNoise
from .simulation import SchemeSteps

__all__ = [
    "NOISE_TYPES",
    "SCHEMES",
    "AdaptiveScheme",
    "Coefficients",
    "Diffusion",
    "ModalScheme",
    "NinomiyaVictoir",
    "Scheme",
    "SchemeSteps",
    "StepNoise",
    "find_scheme",
    "fused_simulator",
    "linear_moments",
    "process_simulator",
    "scheme_simulator",
    "step_noise_nodes",
    "steps_of",
]

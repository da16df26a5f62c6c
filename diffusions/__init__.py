"""Continuous approximations of SGD, each in its own clock, and what is exactly known of them."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.diffusions, not diffusions")

from .gradient_flow import GradientFlow
from .homogenized import HomogenizedSGD
from .modified_equation import ModifiedEquation
from .ornstein_uhlenbeck import OrnsteinUhlenbeck
from .volterra import volterra_risk

__all__ = ["GradientFlow", "HomogenizedSGD", "ModifiedEquation", "OrnsteinUhlenbeck", "volterra_risk"]

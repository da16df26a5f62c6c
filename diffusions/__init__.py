"""Continuous approximations of SGD, each in its own clock, and what is exactly known of them."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.diffusions, not diffusions")

from .gradient_flow import GradientFlow
from .homogenized import HomogenizedSGD
from .integration import integrate
from .modified_equation import ModifiedEquation
from ._monte_carlo import MonteCarloEstimate, monte_carlo
from ._multilevel import MultilevelEstimate, multilevel
from .ornstein_uhlenbeck import OrnsteinUhlenbeck
from .solvers import SCHEMES, Scheme, find_scheme, linear_moments
from .user import UserDiffusion
from .volterra import volterra_risk

__all__ = [
    "SCHEMES",
    "GradientFlow",
    "HomogenizedSGD",
    "ModifiedEquation",
    "MonteCarloEstimate",
    "MultilevelEstimate",
    "OrnsteinUhlenbeck",
    "Scheme",
    "UserDiffusion",
    "find_scheme",
    "integrate",
    "linear_moments",
    "monte_carlo",
    "multilevel",
    "volterra_risk",
]

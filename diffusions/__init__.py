"""Continuous approximations of SGD, each in its own clock, and what is exactly known of them."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.diffusions, not diffusions")

from sgdlimits.problems.geometry import limit_map

from .adam_sde import AdamSDE
from .gradient_flow import GradientFlow
from .homogenized import HomogenizedSGD
from .integration import integrate
from .landscape_diffusion import LandscapeDiffusion
from .manifold.checks import LargeNoise, NeglectedDrift
from .manifold.leaving import LeftTheSet
from .manifold_limit import ManifoldLimit
from .modified_equation import ModifiedEquation
from ._expectation import ExpectationEstimate
from ._monte_carlo import monte_carlo
from ._multilevel import multilevel
from .ornstein_uhlenbeck import OrnsteinUhlenbeck
from ._convex_order import ConvexOrder, convex_order
from .pearson import PearsonDiffusion, isotropic_law
from .solvers import SCHEMES, Scheme, find_scheme, linear_moments
from .solvers.adapters import (
    Diffrax,
    Sdeint,
    TorchSDE,
    from_diffrax,
    from_sdeint,
    from_torchsde,
    to_diffrax,
    to_sdeint,
    to_torchsde,
)
from .rmsprop_sde import RMSPropSDE
from .sign_sde import SignSDE
from .stable_langevin import StableLangevin
from .stable_ornstein_uhlenbeck import StableOrnsteinUhlenbeck
from .underdamped_langevin import UnderdampedLangevin
from .user import UserDiffusion
from .volterra import volterra_risk

__all__ = [
    "SCHEMES",
    "AdamSDE",
    "ConvexOrder",
    "Diffrax",
    "ExpectationEstimate",
    "GradientFlow",
    "HomogenizedSGD",
    "LandscapeDiffusion",
    "LargeNoise",
    "LeftTheSet",
    "ManifoldLimit",
    "ModifiedEquation",
    "NeglectedDrift",
    "OrnsteinUhlenbeck",
    "PearsonDiffusion",
    "RMSPropSDE",
    "Scheme",
    "Sdeint",
    "SignSDE",
    "StableLangevin",
    "StableOrnsteinUhlenbeck",
    "TorchSDE",
    "UnderdampedLangevin",
    "UserDiffusion",
    "convex_order",
    "find_scheme",
    "from_diffrax",
    "from_sdeint",
    "from_torchsde",
    "integrate",
    "isotropic_law",
    "limit_map",
    "linear_moments",
    "monte_carlo",
    "multilevel",
    "to_diffrax",
    "to_sdeint",
    "to_torchsde",
    "volterra_risk",
]

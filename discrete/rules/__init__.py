"""Update rules: how a step's gradient moves the position. One method a file."""

from .adam import Adam, AdamW
from .clipped import Clipped
from .curved import Curvature, CurvedRule
from .momentum import HeavyBall, Nesterov, Plain
from .natural_gradient import NaturalGradient
from .newton import DampedNewton
from .preconditioned import Preconditioned
from .proximal import Proximal
from .registry import RULES, find_rule
from .rmsprop import RMSProp
from .rule import Facts, MoveBound, Rule, UserRule
from .sign import SignSGD
from .stochastic_newton import StochasticNewton

__all__ = [
    "RULES",
    "Adam",
    "AdamW",
    "Clipped",
    "Curvature",
    "CurvedRule",
    "DampedNewton",
    "Facts",
    "HeavyBall",
    "MoveBound",
    "NaturalGradient",
    "Nesterov",
    "Plain",
    "Preconditioned",
    "Proximal",
    "RMSProp",
    "Rule",
    "SignSGD",
    "StochasticNewton",
    "UserRule",
    "find_rule",
]

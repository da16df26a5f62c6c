"""Update rules: how a step's gradient moves the position. One method a file."""

from .adam import Adam, AdamW
from .clipped import Clipped
from .momentum import HeavyBall, Nesterov, Plain
from .preconditioned import Preconditioned
from .registry import RULES, find_rule
from .rmsprop import RMSProp
from .rule import MoveBound, Rule, UserRule
from .sign import SignSGD

__all__ = [
    "RULES",
    "Adam",
    "AdamW",
    "Clipped",
    "HeavyBall",
    "MoveBound",
    "Nesterov",
    "Plain",
    "Preconditioned",
    "RMSProp",
    "Rule",
    "SignSGD",
    "UserRule",
    "find_rule",
]

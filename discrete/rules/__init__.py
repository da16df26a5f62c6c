"""Update rules: how a step's gradient moves the position. One method a file."""

from .adam import Adam, AdamW
from .momentum import HeavyBall, Nesterov, Plain
from .registry import RULES, find_rule
from .rmsprop import RMSProp
from .sign import SignSGD
from .rule import Rule, UserRule

__all__ = ["SignSGD", "RMSProp", "Adam", "AdamW", "RULES", "HeavyBall", "Nesterov", "Plain", "Rule", "UserRule", "find_rule"]

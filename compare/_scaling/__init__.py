"""Scaling laws of SGD on power-law random features: exact losses, their exponents, and continuous time beside steps."""

from .draws import Draw, one_draw
from .driver import scaling_laws
from .result import ScalingLaws

__all__ = ["Draw", "ScalingLaws", "one_draw", "scaling_laws"]

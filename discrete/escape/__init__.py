"""Escape of discrete SGD from a basin: exact rates, exponents, Kramers' formula, rates of rare escapes from paths."""

from sgdlimits.problems import landscapes
from sgdlimits.problems.landscapes import Basin, DoubleWell, HarmonicWell, Landscape, PlanarDoubleWell, UserLandscape

from .claims import CUSPS, SMOOTH, SUBSTITUTION, Substitution, substitution
from .descent import LandscapeDescent, LossNoise
from .driver import rate
from .exponents import exponent, quasi_potential
from .kramers import KramersRate, kramers
from .result import EscapeExponent, EscapeRate, WeightedPoints

__all__ = [
    "CUSPS", "SMOOTH", "SUBSTITUTION", "Basin", "DoubleWell", "EscapeExponent", "EscapeRate", "HarmonicWell",
    "KramersRate", "Landscape", "LandscapeDescent", "LossNoise", "PlanarDoubleWell", "Substitution", "UserLandscape",
    "WeightedPoints", "exponent", "kramers", "landscapes", "quasi_potential", "rate", "substitution",
]  # fmt: skip

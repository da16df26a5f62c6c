"""Escape of discrete SGD from a basin: exact rates, exponents, Kramers' formula, rates of rare escapes from paths."""

from sgdlimits.problems import landscapes
from sgdlimits.problems.landscapes import Basin, DoubleWell, HarmonicWell, Landscape, PlanarDoubleWell, UserLandscape

from sgdlimits.problems import wells
from sgdlimits.problems.wells import CosineValley, UserWells, Well, WellLandscape, Wells

from .claims import CUSPS, SMOOTH, SUBSTITUTION, Substitution, substitution
from .descent import LandscapeDescent, LossNoise, MultiplicativeNoise
from .driver import rate
from .exponents import exponent, quasi_potential
from .kramers import KramersRate, kramers
from .matching import BasinLaw, NoiseMatch, basin_law, matched
from .result import EscapeExponent, EscapeRate, WeightedPoints

__all__ = [
    "CUSPS", "SMOOTH", "SUBSTITUTION", "Basin", "BasinLaw", "CosineValley", "DoubleWell", "EscapeExponent",
    "EscapeRate", "HarmonicWell", "KramersRate", "Landscape", "LandscapeDescent", "LossNoise", "MultiplicativeNoise",
    "NoiseMatch", "PlanarDoubleWell", "Substitution", "UserLandscape", "UserWells", "WeightedPoints", "Well",
    "WellLandscape", "Wells", "basin_law", "exponent", "kramers", "landscapes", "matched", "quasi_potential", "rate",
    "substitution", "wells",
]  # fmt: skip

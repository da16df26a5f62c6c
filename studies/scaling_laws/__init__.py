"""Scaling laws: exponents of SGD's loss on power-law random features, and what continuous time makes of them."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .grids import scaling_laws
from .study import ScalingLawsResult, ScalingLawsStudy

Study = ScalingLawsStudy

__all__ = ["ScalingLawsResult", "ScalingLawsStudy", "Study", "scaling_laws"]

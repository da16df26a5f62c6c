"""Finite step sizes: stationary laws of SGD and its variants, exactly, by paths, and as limits have them."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .curves import Curve
from .study import FiniteStepSizeResult, FiniteStepSizeStudy

Study = FiniteStepSizeStudy

__all__ = ["Curve", "FiniteStepSizeResult", "FiniteStepSizeStudy", "Study"]

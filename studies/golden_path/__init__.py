"""The golden path on learning tasks: noise drops online and offline, dose and response, loss against samples."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .cases import CASES, Case
from .study import GoldenPathResult, GoldenPathStudy

Study = GoldenPathStudy

__all__ = ["CASES", "Case", "GoldenPathResult", "GoldenPathStudy", "Study"]

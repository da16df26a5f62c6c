"""Noisy gradient descent along a set of zero loss: limits, time scales, and what each noise selects."""

if not __name__.startswith("sgdlimits."):
    raise ImportError("import sgdlimits.studies, not studies")

from .study import ZeroLossResult, ZeroLossStudy

Study = ZeroLossStudy

__all__ = ["Study", "ZeroLossResult", "ZeroLossStudy"]
